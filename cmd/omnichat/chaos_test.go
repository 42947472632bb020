package main

import (
	"context"
	"flag"
	"fmt"
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
	rand  *rand.Rand
	redis []*link
	pg    []*link
}

func startChaos(t *testing.T, provider *fake.Server) *chaos {
	t.Helper()
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to replay: -chaos.seed %d", seed)
	c := &chaos{cluster: startCluster(t, provider, 0, nil), rand: rand.New(rand.NewPCG(seed, 0))}
	dsn, err := url.Parse(c.postgres)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r, p := newLink(t, c.cluster.redis.Addr), newLink(t, dsn.Host)
		c.redis, c.pg = append(c.redis, r), append(c.pg, p)
		through := *dsn
		through.Host = p.Listen
		c.replicas = append(c.replicas, startServer(t, provider, map[string]string{
			"DATABASE_URL": through.String(), "REDIS_URL": "redis://" + r.Listen, "OMNICHAT_DRAIN": "2s",
			"OMNICHAT_IDLE_TIMEOUT": "60s", "OMNICHAT_FIRST_BYTE_TIMEOUT": "60s",
		}))
	}
	return c
}

// fault breaks something and returns what mends it.
type fault struct {
	name  string
	apply func(c *chaos, replica int, for_ time.Duration)
}

var faults = []fault{
	{"kill -9 of a replica", func(c *chaos, i int, _ time.Duration) {
		c.replicas[i].kill()
		c.restart(i)
	}},
	{"a replica stalls", func(c *chaos, i int, d time.Duration) {
		c.signal(i, syscall.SIGSTOP)
		pauseFor(c.t.Context(), 3*d)
		c.signal(i, syscall.SIGCONT)
	}},
	{"SIGTERM of a replica", func(c *chaos, i int, _ time.Duration) {
		c.signal(i, syscall.SIGTERM)
		if err := c.replicas[i].cmd.Wait(); err != nil {
			c.t.Errorf("a replica ended with %v", err)
		}
		c.restart(i)
	}},
	{"Redis dies and comes back empty", func(c *chaos, _ int, d time.Duration) {
		c.cluster.redis.Kill()
		pauseFor(c.t.Context(), d)
		c.cluster.redis.Restart()
	}},
	{"Redis stalls", func(c *chaos, _ int, d time.Duration) {
		c.cluster.redis.Signal(syscall.SIGSTOP)
		pauseFor(c.t.Context(), d)
		c.cluster.redis.Signal(syscall.SIGCONT)
	}},
	{"PostgreSQL crashes", func(c *chaos, _ int, d time.Duration) {
		pgtest.Away(c.t)
		pauseFor(c.t.Context(), d)
		pgtest.Back(c.t)
	}},
	{"a replica is cut off from Redis", func(c *chaos, i int, d time.Duration) { c.cut(c.redis[i], d) }},
	{"a replica is cut off from PostgreSQL", func(c *chaos, i int, d time.Duration) { c.cut(c.pg[i], 3*d) }},
	{"a replica's link to Redis is silent", func(c *chaos, i int, d time.Duration) {
		c.poison(c.redis[i], d, `{"name":"hole-%s","type":"timeout","stream":"%s","attributes":{"timeout":0}}`)
	}},
	{"a replica's link to Redis is slow", func(c *chaos, i int, d time.Duration) {
		c.poison(c.redis[i], d, `{"name":"slow-%s","type":"latency","stream":"%s","attributes":{"latency":150,"jitter":100}}`)
	}},
	{"a replica's link to PostgreSQL is slow", func(c *chaos, i int, d time.Duration) {
		c.poison(c.pg[i], d, `{"name":"slow-%s","type":"latency","stream":"%s","attributes":{"latency":100,"jitter":50}}`)
	}},
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
	if err := l.Start(); err != nil {
		c.t.Errorf("mend a link: %v", err)
	}
}

func (c *chaos) poison(l *link, d time.Duration, json string) {
	l.toxic(c.t, json)
	pauseFor(c.t.Context(), d)
	l.Toxics.ResetToxics(c.t.Context())
}

// round asks at all replicas, breaks things in mid-answer, and checks what all
// viewers ended with once all is mended. Overlapping faults may take back what
// was shown; nothing else.
func (c *chaos) round(user *client, whole string, breaks []fault) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 90*time.Second)
	defer cancel()
	type asked struct {
		session, message, id string
		viewers              []*viewer
	}
	answers := make([]*asked, 4)
	var wg sync.WaitGroup
	for n := range answers {
		a := &asked{session: user.session(), message: hub.NewID(), id: hub.NewID()}
		answers[n] = a
		body := map[string]any{"session_id": a.session, "message_id": a.message, "answer_id": a.id, "content": "go", "model": "openai/m"}
		first := c.rand.IntN(3)
		asker := newViewer()
		res, err := user.at(c.replicas[first]).sse(ctx, http.MethodPost, "/chat/stream", body)
		if err != nil {
			c.t.Errorf("ask: %v", err)
			return
		}
		if err := asker.follow(res.Body, func() bool { return asker.seq >= 0 }); err != nil || asker.id != a.id {
			c.t.Errorf("ask: %v", err)
		}
		wg.Go(func() {
			defer res.Body.Close()
			stalled := time.AfterFunc(25*time.Second, func() { res.Body.Close() })
			defer stalled.Stop()
			if err := asker.follow(res.Body, nil); err != nil && strings.Contains(err.Error(), "follows") {
				c.t.Error(err)
			}
			if asker.end == nil {
				if err := c.follow(ctx, user, first+1, asker, false); err != nil {
					c.t.Errorf("asker of %s: %v", a.id, err)
				}
			}
		})
		a.viewers = append(a.viewers, asker)
		for k := range 3 {
			v := newViewer()
			v.id = a.id
			a.viewers = append(a.viewers, v)
			from, restless := c.rand.IntN(3), k == 0
			wg.Go(func() {
				if err := c.follow(ctx, user, from, v, restless); err != nil {
					c.t.Errorf("viewer of %s: %v", a.id, err)
				}
			})
		}
		wg.Go(func() { // the same question again, from elsewhere: it is one
			res, err := user.at(c.replicas[(first+1)%3]).sse(ctx, http.MethodPost, "/chat/stream", body)
			if err == nil {
				res.Body.Close()
			}
		})
	}
	var breaking sync.WaitGroup
	for _, f := range breaks {
		before, replica := time.Duration(c.rand.IntN(2000))*time.Millisecond, c.rand.IntN(3)
		d := 200*time.Millisecond + time.Duration(c.rand.IntN(2500))*time.Millisecond
		c.t.Logf("after %s: %s (%d), for %s", before, f.name, replica, d)
		breaking.Go(func() {
			pauseFor(ctx, before)
			f.apply(c, replica, d)
		})
	}
	breaking.Wait()
	mended := time.Now()
	wg.Wait()
	slowest := time.Since(mended)
	for _, a := range answers {
		var stored hub.Message
		var items []hub.Message
		for ctx.Err() == nil { // the pools of the replicas find out one by one that the database is back
			var out hub.MessageChanges
			res, err := http.DefaultClient.Do(user.at(c.replicas[0]).request(ctx, http.MethodGet, "/sessions/"+a.session+"/messages", nil))
			if err == nil && res.StatusCode == http.StatusOK {
				err = decodeBody(res, &out)
			}
			if err == nil && len(out.Items) > 0 {
				items = out.Items
				break
			}
			pauseFor(ctx, 50*time.Millisecond)
		}
		if len(items) != 2 {
			c.t.Errorf("the question was stored as %d messages", len(items))
			continue
		}
		stored = items[1]
		if stored.Status == hub.StatusStreaming || !strings.HasPrefix(whole, stored.Content) || stored.Status == hub.StatusComplete && stored.Content != whole {
			c.t.Errorf("%s: stored as %s with %d bytes", a.id, stored.Status, len(stored.Content))
		}
		for i, v := range a.viewers {
			if v.text() != stored.Content || v.end == nil {
				c.t.Errorf("%s: viewer %d ended with %d bytes (%v), stored are %d", a.id, i, len(v.text()), v.end, len(stored.Content))
			}
			if v.torn && len(breaks) == 1 {
				c.t.Errorf("%s: what viewer %d had been shown was taken back", a.id, i)
			}
		}
	}
	if slowest > 25*time.Second {
		c.t.Errorf("the last viewer ended %s after all was mended", slowest)
	}
}

// settle waits until every replica says that all is well.
func (c *chaos) settle() {
	ctx := soon(c.t)
	for _, s := range c.replicas {
		for {
			res, err := http.Get(s.base + "/readyz")
			if err == nil {
				var status struct{ Status string }
				err = decodeBody(res, &status)
				if err == nil && status.Status == "ready" {
					break
				}
			}
			if ctx.Err() != nil {
				c.t.Fatalf("a replica does not recover: %v", err)
			}
			pauseFor(ctx, 50*time.Millisecond)
		}
	}
}

func TestChaosOneFaultAtATime(t *testing.T) {
	tokens := fake.Numbered(2000)
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Every: 2 * time.Millisecond}})
	defer provider.Close()
	c := startChaos(t, provider)
	user := c.replicas[0].user("ann")
	began := time.Now()
	for n := 0; n < len(faults) || time.Since(began) < *chaosFor/2; n++ {
		f := faults[n%len(faults)]
		if n >= len(faults) {
			f = faults[c.rand.IntN(len(faults))]
		}
		if n == len(faults) && *chaosFor == 0 || t.Failed() {
			break
		}
		c.round(user, strings.Join(tokens, ""), []fault{f})
		c.settle()
	}
}

func TestChaosOverlappingFaults(t *testing.T) {
	tokens := fake.Numbered(2000)
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Every: 2 * time.Millisecond}})
	defer provider.Close()
	c := startChaos(t, provider)
	user := c.replicas[0].user("ann")
	began := time.Now()
	// Two at a time, but no two that start and stop the same process.
	for n := 0; n < 3 || time.Since(began) < *chaosFor/2; n++ {
		ends := []fault{faults[0], faults[1], faults[2]}
		parts := slices.Clone(faults[3:])
		c.rand.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		c.round(user, strings.Join(tokens, ""), []fault{ends[c.rand.IntN(3)], parts[0]})
		c.settle()
		if t.Failed() {
			return
		}
	}
}
