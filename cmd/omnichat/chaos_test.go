package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/providertest/fake"
	"github.com/omnichat/omnichat/repo/pgtest"
)

var (
	chaosFor  = flag.Duration("chaos", 0, "how long the fault suite runs; a few rounds of each kind if 0")
	chaosSeed = flag.Uint64("chaos.seed", 0, "the fault suite's seed; a new one if 0")
)

// link is a connection of one replica to Redis or PostgreSQL that can be cut.
type link struct {
	*toxiproxy.Proxy
	to string
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	s := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	l := &link{Proxy: toxiproxy.NewProxy(s, "link", "127.0.0.1:0", to), to: to}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	return l
}

func (l *link) toxic(t *testing.T, json string) {
	t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		if _, err := l.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(json, stream, stream))); err != nil {
			t.Fatal(err)
		}
	}
}

// chaos is a cluster whose links pass proxies.
type chaos struct {
	*cluster
	provider *fake.Server
	whole    string // every answer
	user     *client
	dice     *rand.Rand
	redis    []*link
	pg       []*link
	slow     float64 // how much slower this machine is than it should be; 1 or more

	mu    sync.Mutex // guards what the faults of a round did
	hurts []hurt
}

// hurt is what a fault did that may excuse something.
type hurt struct {
	kind     int
	replica  int // the one it was done to; -1: all
	from, to time.Time
}

// Kinds of hurts.
const (
	mayDie  = iota // the replica's answers may be settled by another
	logAway        // the log did not answer
	logLost        // it lost what it had
	dbAway         // nothing could be stored
)

const (
	leaseTTL  = 6 * time.Second
	shortStop = 2500 * time.Millisecond // of what keeps a lease from being renewed: nobody notices
	drains    = 1                       // the replica that drains for so short that answers are settled
)

// during notes a hurt and does what causes it.
func (c *chaos) during(kind, replica int, f func()) {
	h := hurt{kind: kind, replica: replica, from: time.Now()}
	f()
	h.to = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hurts = append(c.hurts, h)
}

// unstored notes that a replica did not reach the database meanwhile, and could
// not renew its lease.
func (c *chaos) unstored(replica int, d time.Duration, f func()) {
	c.during(dbAway, replica, func() {
		if d > shortStop {
			c.during(mayDie, replica, f)
			return
		}
		f()
	})
}

func startChaos(t *testing.T) *chaos {
	t.Helper()
	tokens := fake.Numbered(2000)
	provider := fake.New(map[string]fake.Script{
		"m": {Tokens: tokens, Every: 2 * time.Millisecond}, "short": {Tokens: tokens[:300], Every: 2 * time.Millisecond},
	})
	t.Cleanup(provider.Close)
	c := &chaos{dice: seeded(t), cluster: startCluster(t, provider, 0, nil), provider: provider, whole: strings.Join(tokens, "")}
	dsn, err := url.Parse(c.postgres)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		r, p := newLink(t, c.cluster.redis.Addr), newLink(t, dsn.Host)
		c.redis, c.pg = append(c.redis, r), append(c.pg, p)
		through := *dsn
		through.Host = p.Listen
		drain := "60s"
		if i == drains {
			drain = "2s"
		}
		c.replicas = append(c.replicas, startServer(t, provider, map[string]string{
			"DATABASE_URL": through.String(), "REDIS_URL": "redis://" + r.Listen, "OMNICHAT_DRAIN": drain,
		}))
	}
	c.user = c.replicas[0].user("ann")
	began := time.Now()
	c.user.ask(map[string]any{"content": "go", "model": "openai/short"})
	c.slow = max(1, time.Since(began).Seconds()/0.7)
	t.Logf("this machine takes %.1f times as long as it should", c.slow)
	return c
}

// scaled is a time that this machine gets for what should take d.
func (c *chaos) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) * c.slow) }

// fault breaks something and mends it.
type fault struct {
	name  string
	apply func(c *chaos, replica int, d time.Duration) // d is up to 2.5 s
}

// ends are faults of a replica's process, which owns a running answer.
var ends = []fault{
	{"kill -9 of a replica", func(c *chaos, i int, _ time.Duration) {
		c.during(mayDie, i, c.replicas[i].kill)
		c.restart(i)
	}},
	{"a replica stalls past its lease", func(c *chaos, i int, d time.Duration) {
		c.during(mayDie, i, func() { c.stop(i, leaseTTL+d) })
	}},
	{"a replica stalls for a moment", func(c *chaos, i int, d time.Duration) { c.stop(i, d) }},
	{"SIGTERM of a replica", func(c *chaos, i int, _ time.Duration) { c.replace(i) }},
}

// parts are faults of what the replicas share, and of the ways there.
var parts = []fault{
	{"Redis dies and comes back empty", func(c *chaos, _ int, d time.Duration) { c.redisDies(d) }},
	{"Redis stalls", func(c *chaos, _ int, d time.Duration) {
		c.during(logAway, -1, func() {
			c.cluster.redis.Signal(syscall.SIGSTOP)
			pauseFor(c.t.Context(), d)
			c.cluster.redis.Signal(syscall.SIGCONT)
		})
	}},
	{"PostgreSQL crashes", func(c *chaos, _ int, d time.Duration) { c.postgresDies(d) }},
	{"PostgreSQL is silent", func(c *chaos, _ int, d time.Duration) {
		c.during(dbAway, -1, func() {
			goOn := pgtest.Silence(c.t)
			pauseFor(c.t.Context(), 2*d)
			goOn()
		})
	}},
	{"Redis and PostgreSQL are away together", func(c *chaos, _ int, d time.Duration) {
		var both sync.WaitGroup
		both.Go(func() { c.redisDies(d) })
		both.Go(func() { c.postgresDies(d) })
		both.Wait()
	}},
	{"a replica is cut off from Redis", func(c *chaos, i int, d time.Duration) {
		c.during(logAway, i, func() { c.cut(c.redis[i], d) })
	}},
	{"a replica is cut off from PostgreSQL", func(c *chaos, i int, d time.Duration) {
		c.unstored(i, d, func() { c.cut(c.pg[i], d) })
	}},
	{"a replica is cut off from PostgreSQL past its lease", func(c *chaos, i int, d time.Duration) {
		c.unstored(i, leaseTTL+d, func() { c.cut(c.pg[i], leaseTTL+d) })
	}},
	{"a replica's link to Redis is silent", func(c *chaos, i int, d time.Duration) {
		c.during(logAway, i, func() { c.poison(c.redis[i], d, hole) })
	}},
	{"a replica's link to PostgreSQL is silent", func(c *chaos, i int, d time.Duration) {
		c.unstored(i, d, func() { c.poison(c.pg[i], d, hole) })
	}},
	{"a replica's link to Redis is slow", func(c *chaos, i int, d time.Duration) {
		c.during(logAway, i, func() {
			c.poison(c.redis[i], d, `{"name":"slow-%s","type":"latency","stream":"%s","attributes":{"latency":150,"jitter":100}}`)
		})
	}},
	{"a replica's link to PostgreSQL is slow", func(c *chaos, i int, d time.Duration) {
		c.unstored(i, d, func() {
			c.poison(c.pg[i], d, `{"name":"slow-%s","type":"latency","stream":"%s","attributes":{"latency":100,"jitter":50}}`)
		})
	}},
}

var rolling = fault{"rolling SIGTERM", func(c *chaos, i int, _ time.Duration) {
	for n := range c.replicas {
		c.replace((i + n) % len(c.replicas))
	}
}}

const hole = `{"name":"hole-%s","type":"timeout","stream":"%s","attributes":{"timeout":0}}`

func (c *chaos) redisDies(d time.Duration) {
	c.during(logLost, -1, func() {
		c.cluster.redis.Kill()
		pauseFor(c.t.Context(), d)
		c.cluster.redis.Restart()
	})
}

func (c *chaos) postgresDies(d time.Duration) {
	c.during(dbAway, -1, func() {
		pgtest.Away(c.t)
		pauseFor(c.t.Context(), d)
		pgtest.Back(c.t)
	})
}

func (c *chaos) stop(i int, d time.Duration) {
	c.signal(i, syscall.SIGSTOP)
	pauseFor(c.t.Context(), d)
	c.signal(i, syscall.SIGCONT)
}

// replace ends a replica as an upgrade does.
func (c *chaos) replace(i int) {
	end := func() {
		c.signal(i, syscall.SIGTERM)
		if err := c.replicas[i].cmd.Wait(); err != nil {
			c.t.Errorf("a replica ended with %v", err)
		}
	}
	if i == drains {
		c.during(mayDie, i, end)
	} else {
		end()
	}
	c.restart(i)
}

// restart starts a replica, again and again as a supervisor does while the
// database is away.
func (c *chaos) restart(i int) {
	for err := c.replicas[i].tryStart(); err != nil; err = c.replicas[i].tryStart() {
		if c.t.Context().Err() != nil {
			c.t.Error(err)
			return
		}
		pauseFor(c.t.Context(), 200*time.Millisecond)
	}
}

func (c *chaos) signal(i int, s os.Signal) {
	if err := c.replicas[i].cmd.Process.Signal(s); err != nil {
		c.t.Errorf("signal: %v", err)
	}
}

func (c *chaos) cut(l *link, d time.Duration) {
	listen := l.Listen
	l.Stop()
	pauseFor(c.t.Context(), d)
	l.Listen = listen
	err := l.Start()
	for try := 0; err != nil && try < 50; try++ { // somebody has the port for a moment
		pauseFor(c.t.Context(), 100*time.Millisecond)
		err = l.Start()
	}
	if err != nil {
		c.t.Errorf("mend a link: %v", err)
	}
}

func (c *chaos) poison(l *link, d time.Duration, json string) {
	l.toxic(c.t, json)
	pauseFor(c.t.Context(), d)
	l.Toxics.ResetToxics(c.t.Context())
}

// asked is a question of a round.
type asked struct {
	session, message, id string
	owner                int // the replica that was asked
	viewers              []*viewer
}

// loss says whether an answer's owner may have died, and how much of the answer
// may be lost then: what was shown after a time. An owner that dies while its
// log is away, or loses its log as it dies, may take with it what was shown
// since the last checkpoint that it must have made.
func (c *chaos) loss(a *asked) (dies bool, from time.Time) {
	from = time.Now().Add(time.Hour)
	for _, died := range c.hurts {
		if died.kind != mayDie || died.replica != a.owner {
			continue
		}
		dies = true
		for _, l := range c.hurts {
			lost := l.kind == logLost
			away := (lost || l.kind == logAway) && (l.replica < 0 || l.replica == a.owner) && l.from.Before(died.to)
			if !lost && !away {
				continue
			}
			kept := c.checkpointed(a.owner, died.from, calmCheckpointEach)
			if late := c.checkpointed(a.owner, died.from, lateCheckpointEach); late.After(l.from) {
				kept = late // it knew that the log was away
			}
			if !lost && kept.Before(l.from) {
				kept = l.from // the log has that
			}
			if kept.Before(from) {
				from = kept
			}
		}
	}
	return dies, from
}

// How often the owner of an answer makes a checkpoint, with its log and without.
const (
	calmCheckpointEach = 2 * time.Second
	lateCheckpointEach = 250 * time.Millisecond
)

// checkpointed is the time of which all that was shown had a checkpoint when the
// owner died: before that the database was there for as long as it takes until
// the next one, and to store it.
func (c *chaos) checkpointed(owner int, died time.Time, each time.Duration) time.Time {
	takes := each + c.scaled(250*time.Millisecond)
	for at := died; ; {
		i := slices.IndexFunc(c.hurts, func(h hurt) bool {
			return h.kind == dbAway && (h.replica < 0 || h.replica == owner) && h.from.Before(at) && h.to.After(at.Add(-takes))
		})
		if i < 0 {
			return at.Add(-takes)
		}
		at = c.hurts[i].from
	}
}

// watch follows a stream to its end, over SSE and WebSocket by turns, from
// replica to replica. A restless viewer moves on by itself.
func (c *chaos) watch(ctx context.Context, a *asked, v *viewer, dice *rand.Rand, socket, restless bool) error {
	var last error
	for n := dice.IntN(3); ctx.Err() == nil; n++ {
		at := c.user.at(c.replicas[n%3])
		upTo := int64(math.MaxInt64)
		if restless {
			upTo = v.seq + 1 + dice.Int64N(200)
			socket = dice.IntN(2) == 0
		}
		until := func() bool { return v.end == nil && v.seq >= upTo }
		limit, cancel := context.WithTimeout(ctx, 20*time.Second)
		var err error
		if socket {
			err = c.overSocket(limit, at, a.session, v, until)
		} else {
			path := "/chat/stream/" + a.id
			if v.seq >= 0 {
				path += fmt.Sprintf("?after=%d", v.seq)
			}
			var res *http.Response
			if res, err = at.sse(limit, http.MethodGet, path, nil); err == nil {
				err = v.follow(res.Body, until)
				res.Body.Close()
			}
		}
		cancel()
		if err != nil && strings.Contains(err.Error(), "follows") {
			return err
		}
		if v.end != nil {
			return nil
		}
		last = err
		pauseFor(ctx, 20*time.Millisecond)
	}
	return fmt.Errorf("no end at seq %d: %w, %w", v.seq, ctx.Err(), last)
}

func (c *chaos) overSocket(ctx context.Context, at *client, session string, v *viewer, until func() bool) error {
	w, err := at.socket(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = w.conn.CloseNow() }()
	if !v.blank || v.seq >= 0 {
		return w.watch(ctx, session, v, until)
	}
	blind := time.AfterFunc(c.scaled(3*time.Second), func() { _ = w.conn.CloseNow() }) // if it has ended, nothing comes
	defer blind.Stop()
	err = w.watch(ctx, session, v, func() bool {
		if v.seq >= 0 {
			blind.Stop()
		}
		return until()
	})
	v.blank = false
	return err
}

// ask asks one question, and has it watched from everywhere.
func (c *chaos) ask(ctx context.Context, wg *sync.WaitGroup) *asked {
	a := &asked{session: c.user.session(), message: hub.NewID(), id: hub.NewID(), owner: c.dice.IntN(3)}
	body := map[string]any{"session_id": a.session, "message_id": a.message, "answer_id": a.id, "content": "go", "model": "openai/m"}
	watched := func() *viewer {
		v := newViewer()
		v.id, v.trace = a.id, true
		a.viewers = append(a.viewers, v)
		return v
	}
	asker := watched()
	res, err := c.user.at(c.replicas[a.owner]).sse(ctx, http.MethodPost, "/chat/stream", body)
	if err != nil {
		c.t.Errorf("ask: %v", err)
		return nil
	}
	if err := asker.follow(res.Body, func() bool { return asker.seq >= 0 }); err != nil || asker.id != a.id {
		c.t.Errorf("ask: %v", err)
	}
	dice := fork(c.dice)
	wg.Go(func() {
		defer res.Body.Close()
		stalled := time.AfterFunc(c.scaled(25*time.Second), func() { res.Body.Close() })
		defer stalled.Stop()
		err := asker.follow(res.Body, nil)
		if asker.end == nil && (err == nil || !strings.Contains(err.Error(), "follows")) {
			err = c.watch(ctx, a, asker, dice, false, false)
		}
		if asker.end == nil {
			c.t.Errorf("asker of %s: %v", a.id, err)
		}
	})
	for k := range 5 {
		v, dice := watched(), fork(c.dice)
		join := time.Duration(0)
		if k >= 3 { // in mid-answer, without a position
			v.blank, join = true, time.Duration(dice.Int64N(int64(3*time.Second)))
		}
		wg.Go(func() {
			pauseFor(ctx, join)
			if err := c.watch(ctx, a, v, dice, k%2 == 1, k == 0 || k == 3); err != nil {
				c.t.Errorf("viewer %d of %s: %v", k+1, a.id, err)
			}
		})
	}
	wg.Go(func() { // the same question again, from elsewhere: it is one
		res, err := c.user.at(c.replicas[(a.owner+1)%3]).sse(ctx, http.MethodPost, "/chat/stream", body)
		if err == nil {
			res.Body.Close()
		}
	})
	return a
}

// round asks at all replicas, breaks things in mid-answer, and checks what all
// viewers ended with once all is mended.
func (c *chaos) round(breaks ...fault) {
	ctx, cancel := context.WithTimeout(c.t.Context(), c.scaled(90*time.Second))
	defer cancel()
	c.hurts = nil
	calls := c.provider.Calls("m")
	var wg sync.WaitGroup
	var answers []*asked
	for range 4 {
		if a := c.ask(ctx, &wg); a != nil {
			answers = append(answers, a)
		}
	}
	if len(answers) == 0 {
		return
	}
	var breaking sync.WaitGroup
	for n, f := range breaks {
		// The first of two is the one that is there when the other comes, mostly.
		before, replica := time.Duration(c.dice.IntN(700+1500*n))*time.Millisecond, answers[c.dice.IntN(len(answers))].owner
		if len(breaks) == 1 {
			before *= 3
		}
		d := 200*time.Millisecond + time.Duration(c.dice.IntN(2300))*time.Millisecond
		c.t.Logf("after %s: %s (%d), for %s", before, f.name, replica, d)
		breaking.Go(func() {
			pauseFor(ctx, before)
			f.apply(c, replica, d)
		})
	}
	breaking.Wait()
	mended := time.Now()
	wg.Wait()
	if slowest := time.Since(mended); slowest > c.scaled(25*time.Second) {
		c.t.Errorf("the last viewer ended %s after all was mended", slowest)
	}
	if n := c.provider.Calls("m") - calls; n != len(answers) {
		c.t.Errorf("the provider was called %d times for %d questions", n, len(answers))
	}
	for _, a := range answers {
		if m, ok := c.stored(ctx, a); ok {
			c.judge(a, m, mended, len(breaks) == 1)
		}
	}
}

// stored reads the answer that a question ended with. The pools of the replicas
// find out one by one that the database is back.
func (c *chaos) stored(ctx context.Context, a *asked) (hub.Message, bool) {
	var out hub.MessageChanges
	for ctx.Err() == nil {
		res, err := http.DefaultClient.Do(c.user.at(c.replicas[0]).request(ctx, http.MethodGet, "/sessions/"+a.session+"/messages", nil))
		if err == nil {
			found := res.StatusCode == http.StatusOK
			if err = decodeBody(res, &out); err == nil && found {
				break
			}
		}
		pauseFor(ctx, 50*time.Millisecond)
	}
	if len(out.Items) != 2 || string(out.Items[0].ID) != a.message || string(out.Items[1].ID) != a.id {
		c.t.Errorf("%s: the question was stored as %d messages", a.id, len(out.Items))
		return hub.Message{}, false
	}
	return out.Items[1], true
}

// judge holds what an answer ended with against the promises.
func (c *chaos) judge(a *asked, m hub.Message, mended time.Time, alone bool) {
	dies, from := c.loss(a)
	whole := m.Content == c.whole
	switch {
	case m.Status == hub.StatusComplete && whole:
	case m.Status == hub.StatusInterrupted && dies && strings.HasPrefix(c.whole, m.Content):
		if after := m.FinishedAt.Sub(mended); after > c.scaled(10*time.Second) {
			c.t.Errorf("%s: settled %s after all was mended", a.id, after)
		}
	default:
		c.t.Errorf("%s at replica %d, which may have died: %t: stored as %s with %d bytes of %d, %+v",
			a.id, a.owner, dies, m.Status, len(m.Content), len(c.whole), m.Error)
	}
	lost := 0
	for i, v := range a.viewers {
		if v.text() != m.Content || v.end == nil || m.FinishReason == nil || v.end.Reason != string(*m.FinishReason) {
			c.t.Errorf("%s: viewer %d ended with %d bytes (%v), stored are %d", a.id, i, len(v.text()), v.end, len(m.Content))
		}
		if v.torn && alone {
			c.t.Errorf("%s: what viewer %d had been shown was taken back", a.id, i)
		}
		for _, s := range v.shown {
			lost = max(lost, s.bytes-len(m.Content))
			if s.bytes > len(m.Content) && s.at.Before(from) {
				c.t.Errorf("%s: of %d bytes that viewer %d showed %s before all was mended %d were stored (%s); nothing shown before %s may be lost",
					a.id, s.bytes, i, mended.Sub(s.at), len(m.Content), m.Status, from.Format(time.StampMilli))
				break
			}
		}
	}
	if lost > 0 {
		c.t.Logf("%s: %d bytes lost of an owner that died without its log; what it showed up to %s before all was mended is kept", a.id, lost, mended.Sub(from))
	}
}

// settle waits until every replica says that all is well, and nothing is under
// way.
func (c *chaos) settle() {
	ctx, cancel := context.WithTimeout(c.t.Context(), c.scaled(60*time.Second))
	defer cancel()
	for {
		err := c.settled(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("the replicas do not recover: %v", err)
		}
		pauseFor(ctx, 50*time.Millisecond)
	}
}

func (c *chaos) settled(ctx context.Context) error {
	for i, s := range c.replicas {
		res, err := http.Get(s.base + "/readyz")
		if err != nil {
			return err
		}
		var status struct{ Status, Detail string }
		if err := decodeBody(res, &status); err != nil || status.Status != "ready" {
			return fmt.Errorf("replica %d: %+v, %w", i, status, err)
		}
		if res, err = http.Get(s.base + "/metrics"); err != nil {
			return err
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			return err
		}
		for _, quiet := range []string{"omnichat_log_late 0", "omnichat_answers_running 0", "omnichat_lease_lost 0"} {
			if !strings.Contains(string(b), "\n"+quiet+"\n") {
				return fmt.Errorf("replica %d: not %s", i, quiet)
			}
		}
	}
	var streaming int
	if err := c.query(ctx, "SELECT count(*) FROM messages WHERE status = 'streaming'", nil, &streaming); err != nil {
		return err
	}
	if streaming > 0 {
		return fmt.Errorf("%d messages are streaming", streaming)
	}
	return nil
}

func TestChaosOneFaultAtATime(t *testing.T) {
	c := startChaos(t)
	all := append(slices.Concat(ends, parts), rolling)
	c.dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	few := 6 // of them, others each time
	began := time.Now()
	for n := 0; n < few && *chaosFor == 0 || time.Since(began) < *chaosFor/2; n++ {
		c.round(all[n%len(all)])
		c.settle()
		if t.Failed() {
			return
		}
	}
}

func TestChaosOverlappingFaults(t *testing.T) {
	c := startChaos(t)
	began := time.Now()
	// Two at a time, but no two that start and stop the same process.
	for n := 0; n < 2 && *chaosFor == 0 || time.Since(began) < *chaosFor/2; n++ {
		part, end := parts[c.dice.IntN(len(parts))], ends[c.dice.IntN(len(ends))]
		if n%3 == 0 {
			part, end = parts[0], ends[0] // the log goes, and then the owner
		}
		c.round(part, end)
		c.settle()
		if t.Failed() {
			return
		}
	}
}
