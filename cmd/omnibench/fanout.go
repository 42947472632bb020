package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// fanOut is a load: streams with viewers each.
type fanOut struct {
	streams, viewers int // viewers of each stream
	ws, sse          bool
	closed           bool
	rate             float64 // tokens a second of each stream, unless closed
	window           int64   // tokens of each stream under way, if closed
	warm, length     time.Duration
	settle           time.Duration
	sample           int64
	away             int // replicas that a viewer may be on, other than the owner; 0: it is at the owner's
}

func (f fanOut) String() string {
	how := fmt.Sprintf("%g tokens/s each", f.rate)
	if f.closed {
		how = fmt.Sprintf("closed loop, %d tokens under way", f.window)
	}
	over := "WebSocket"
	switch {
	case f.ws && f.sse:
		over = "WebSocket and SSE"
	case f.sse:
		over = "SSE"
	}
	return fmt.Sprintf("fan-out of %d × %d viewers over %s, %s, for %s", f.streams, f.viewers, over, how, f.length)
}

// grace is how long viewers may take for what is left when the provider has
// sent all.
const grace = 20 * time.Second

// measure puts the load on a target.
func (f fanOut) measure(ctx context.Context, t target) (values map[string]float64, bad faults, err error) {
	var c *crowd
	defer func() {
		if c != nil {
			c.dismiss()
			defer c.hangUp() // after the server: the side that closes first keeps the port for a minute
		}
		if err != nil {
			t.processes().logs(os.Stderr)
		}
		t.close()
	}()
	streams := make([]*stream, f.streams)
	for i := range streams {
		window := f.window
		if !f.closed {
			window = 0
		}
		streams[i] = newStream(i, f.viewers, window)
	}
	sources, err := t.begin(ctx, streams)
	if err != nil {
		return nil, bad, err
	}
	if c, err = newCrowd(f.streams*f.viewers, f.sample); err != nil {
		return nil, bad, err
	}
	for i := range c.viewers {
		v := &c.viewers[i]
		v.stream = streams[i%f.streams]
		v.sse = f.sse && (!f.ws || i/f.streams%2 == 1)
		if f.away > 0 {
			v.replica = 1 + i/f.streams%f.away
		}
	}
	before, err := t.processes().settled(ctx, f.settle)
	if err == nil {
		err = c.connect(ctx, t.dial)
	}
	if err != nil {
		c.dismiss()
		for i := range c.viewers {
			bad.note(c.viewers[i].fault)
		}
		return nil, bad, err
	}
	after, err := t.processes().settled(ctx, f.settle)
	if err != nil {
		return nil, bad, err
	}
	values, err = f.stream(ctx, t, c, sources)
	if err != nil {
		return nil, bad, err
	}
	c.dismiss()
	for i := range c.viewers {
		c.viewers[i].settle(&bad, t.finishes())
	}
	for _, s := range sources {
		select {
		case <-s.done:
			bad.note(s.err)
		default:
			bad.note(errors.New("the server did not take all that the provider had"))
		}
	}
	bad.add(t.verify(ctx, streams, 20))
	delays := c.delays()
	values["p50_ms"], values["p99_ms"], values["max_ms"] = delays.quantile(0.5), delays.quantile(0.99), delays.quantile(1)
	values["kb_per_viewer"] = (after - before) / float64(len(c.viewers))
	return values, bad, nil
}

// stream runs the sources, measures from the end of the warm-up on, and returns
// when all viewers have all, or have had time for it.
func (f fanOut) stream(ctx context.Context, t target, c *crowd, sources []*source) (map[string]float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sending, stop := context.WithCancel(ctx)
	defer stop()
	var pace *pacer
	start := time.Now().Add(50 * time.Millisecond)
	if f.closed {
		for _, s := range sources {
			go s.flood(sending, f.window, tokensMax) // ends with sending, and is waited for by its done
		}
	} else {
		tokens := max(1, int64(f.rate*(f.warm+f.length).Seconds()))
		pace = newPacer(f.rate, tokens, len(sources))
		for i, s := range sources {
			pace.add(s, start.Add(pace.interval*time.Duration(i)/time.Duration(len(sources))))
		}
		for w := range pace.late {
			c.wg.Go(func() { pace.run(ctx, w) })
		}
	}
	if err := sleep(ctx, time.Until(start)+f.warm); err != nil {
		return nil, err
	}
	cpu, err := t.processes().cpu()
	if err != nil {
		return nil, err
	}
	counts, err := t.counts(ctx)
	if err != nil {
		return nil, err
	}
	from, messages, reads, sent, at := c.delivered.Load(), c.messages.Load(), c.reads.Load(), sentBy(sources), time.Now()
	c.measuring.Store(true)
	if err := sleep(ctx, f.length); err != nil {
		return nil, err
	}
	c.measuring.Store(false)
	used, err := t.processes().cpu()
	if err != nil {
		return nil, err
	}
	used -= cpu
	grown, err := t.counts(ctx)
	if err != nil {
		return nil, err
	}
	sent = sentBy(sources) - sent
	n, took := float64(c.delivered.Load()-from), time.Since(at)
	messages, reads = c.messages.Load()-messages, c.reads.Load()-reads
	stop()
	f.drain(ctx, t, c, sources)
	values := map[string]float64{
		"deliveries_per_s": n / took.Seconds(), "messages_per_read": float64(messages) / float64(max(1, reads)),
		"cpu_s": used.Seconds(), "cpu_us_per_delivery": used.Seconds() * 1e6 / max(1, n),
	}
	for key, v := range grown {
		values[key+"_per_token"] = (v - counts[key]) / float64(max(1, sent))
	}
	if used > 0 {
		values["deliveries_per_cpu_s"] = n / used.Seconds()
	}
	if pace != nil {
		cancel()
		c.dismiss()
		pace.late[0].merge(&pace.late[1])
		values["provider_late_ms"] = pace.late[0].quantile(0.99)
	}
	return values, nil
}

// sentBy is the tokens that sources have sent.
func sentBy(sources []*source) (n int64) {
	for _, s := range sources {
		n += s.stream.sent.Load()
	}
	return n
}

// drain waits until the sources have ended and all viewers have what was sent.
func (f fanOut) drain(ctx context.Context, t target, c *crowd, sources []*source) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for _, s := range sources {
		select {
		case <-s.done:
		case <-ctx.Done():
			return
		}
	}
	// Who does not get all is found missing it.
	_ = c.await(ctx, "get all", func() bool {
		if t.finishes() && c.ended.Load() < int64(len(c.viewers)) {
			return false
		}
		for i := range c.viewers {
			if v := &c.viewers[i]; v.seen.Load() < v.stream.sent.Load() {
				return false
			}
		}
		return true
	})
}
