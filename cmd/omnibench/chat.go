package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// chat is a load: users who ask, and read their answers over SSE.
type chat struct {
	answers int     // in all
	atOnce  int     // under way at a time
	rate    float64 // tokens a second of each; 0: as fast as they are taken
	tokens  int64   // of each
	users   int
	spread  time.Duration // over which the first questions are asked
	settle  time.Duration
	sample  int64
	waves   int           // how often all ask once more and hang up
	idle    time.Duration // after each of those
	after   func(ctx context.Context, d *desk, last *stream, values map[string]float64) error
}

func (c chat) String() string {
	how := fmt.Sprintf("%g tokens/s each", c.rate)
	if c.rate == 0 {
		how = "as fast as they are taken"
	}
	return fmt.Sprintf("%d answers of %d tokens, %d at once, %s; %d users", c.answers, c.tokens, c.atOnce, how, c.users)
}

var chatColumns = []column{
	{key: "tokens_per_s", head: "tokens/s"},
	{key: "cpu_s_per_1000_tokens", head: "CPU-s/1,000", digit: 4, ratio: true},
	{key: "first_p50_ms", head: "first p50", digit: 2},
	{key: "first_p99_ms", head: "first p99", digit: 2, ratio: true},
	{key: "p50_ms", head: "p50 ms", digit: 2},
	{key: "p99_ms", head: "p99 ms", digit: 2, ratio: true},
	{key: "max_ms", head: "max ms", digit: 1},
	{key: "provider_late_ms", head: "late ms", digit: 2},
	{key: "mb_before", head: "MB before", digit: 1},
	{key: "mb_peak", head: "MB peak", digit: 1},
}

// desk is a chat under way.
type desk struct {
	chat
	*omnichat
	pace *pacer
	next int // number of the next stream
}

// measure puts the load on fresh processes.
func (c chat) measure(ctx context.Context, l *lab, name string) (values map[string]float64, bad faults, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b, err := l.build(ctx, name)
	if err != nil {
		return nil, bad, err
	}
	b.users = c.users
	d := &desk{chat: c, pace: newPacer(max(c.rate, 1), c.tokens, c.atOnce)}
	d.omnichat, err = startOmniChat(ctx, b, func(s *source) { d.answer(ctx, s) })
	if err != nil {
		return nil, bad, err
	}
	defer func() {
		if err != nil {
			d.replicas.logs(l.progress)
		}
		d.close()
	}()
	before, err := d.replicas.settled(ctx, c.settle)
	if err == nil {
		err = d.replicas.forgetPeak()
	}
	if err != nil {
		return nil, bad, err
	}
	values, bad, err = d.round(ctx)
	if err != nil {
		return nil, bad, err
	}
	peak, err := d.replicas.memory("VmHWM")
	if err != nil {
		return nil, bad, err
	}
	values["mb_before"], values["mb_peak"] = before/1024, peak/1024
	if c.waves > 0 {
		err = d.hangUps(ctx, values)
	}
	return values, bad, err
}

// answer does with a question what the load says.
func (d *desk) answer(ctx context.Context, s *source) {
	if d.rate == 0 {
		s.flood(ctx, 0, d.tokens)
		return
	}
	// The first token is sent at once: what waits at the pacer is due within an interval.
	if err := s.send(1); err != nil || d.tokens == 1 {
		s.finish(err)
		return
	}
	d.pace.add(s, time.Now().Add(d.pace.interval))
}

// crowd starts the readers of n questions.
func (d *desk) crowd(n int) (*crowd, error) {
	c, err := newCrowd(n, d.sample)
	if err != nil {
		return nil, err
	}
	for i := range c.viewers {
		s := newStream(d.next, 1, 0)
		d.next++
		s.account = d.accounts[i%len(d.accounts)]
		d.provider.expect(s)
		v := &c.viewers[i]
		v.stream, v.sse, v.atHead, v.over = s, true, true, make(chan struct{})
	}
	c.measuring.Store(true)
	return c, nil
}

// ask is a dialer: the request that asks is the one that reads the answer.
func (d *desk) ask(ctx context.Context, v *viewer) (net.Conn, *http.Request, error) {
	body, err := json.Marshal(draft(v.stream))
	if err != nil {
		return nil, nil, err
	}
	v.stream.asked = sinceStart()
	return send(ctx, v.stream.account, http.MethodPost, d.at(v.stream.index).base+"/chat/stream", "", string(body))
}

// round asks all questions, reads all answers and measures.
func (d *desk) round(ctx context.Context) (map[string]float64, faults, error) {
	var bad faults
	c, err := d.crowd(d.answers)
	if err != nil {
		return nil, bad, err
	}
	defer c.hangUp()
	defer c.dismiss()
	pacing, stop := context.WithCancel(ctx)
	defer stop()
	for w := range d.pace.late {
		c.wg.Go(func() { d.pace.run(pacing, w) })
	}
	cpu, err := d.replicas.cpu()
	if err != nil {
		return nil, bad, err
	}
	err = parallel(d.atOnce, d.answers, func(i int) error {
		if i < d.atOnce {
			if err := sleep(ctx, d.spread*time.Duration(i)/time.Duration(d.atOnce)); err != nil {
				return err
			}
		}
		if err := c.open(ctx, i, d.ask); err != nil {
			return err
		}
		select {
		case <-c.viewers[i].over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err != nil {
		return nil, bad, err
	}
	used, err := d.replicas.cpu()
	if err != nil {
		return nil, bad, err
	}
	stop()
	c.dismiss()
	values, streams := map[string]float64{}, make([]*stream, d.answers)
	var first histogram
	var tokens, from, to int64
	for i := range c.viewers {
		v := &c.viewers[i]
		s := v.stream
		streams[i], s.session = s, v.session
		v.settle(&bad, true)
		tokens += v.next
		first.add(v.first - s.asked - (s.firstSent.Load() - s.arrived.Load()))
		if from == 0 || v.first < from {
			from = v.first
		}
		to = max(to, v.last)
	}
	bad.add(d.verify(ctx, streams, 20))
	delays := c.delays()
	d.pace.late[0].merge(&d.pace.late[1])
	values["tokens_per_s"] = float64(tokens) / (float64(max(1, to-from)) / 1e6)
	values["cpu_s_per_1000_tokens"] = (used - cpu).Seconds() * 1000 / float64(max(1, tokens))
	values["cpu_ms_per_answer"] = (used - cpu).Seconds() * 1000 / float64(d.answers)
	values["first_p50_ms"], values["first_p99_ms"] = first.quantile(0.5), first.quantile(0.99)
	values["p50_ms"], values["p99_ms"], values["max_ms"] = delays.quantile(0.5), delays.quantile(0.99), delays.quantile(1)
	if d.rate > 0 {
		values["provider_late_ms"] = d.pace.late[0].quantile(0.99)
	}
	if d.after != nil {
		err = d.after(ctx, d, streams[len(streams)-1], values)
	}
	return values, bad, err
}
