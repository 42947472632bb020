package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/providertest/fake"
	"github.com/omnichat/omnichat/repo/pgtest"
	"github.com/omnichat/omnichat/repo/redistest"
)

// cluster is several replicas with their Redis and PostgreSQL.
type cluster struct {
	t        *testing.T
	redis    *redistest.Server
	postgres string // its URL
	replicas []*server
}

func startCluster(t *testing.T, provider *fake.Server, n int, env map[string]string) *cluster {
	t.Helper()
	c := &cluster{t: t, redis: redistest.Start(t), postgres: pgtest.Start(t)}
	shared := map[string]string{"DATABASE_URL": c.postgres, "REDIS_URL": c.redis.URL()}
	maps.Copy(shared, env)
	for range n {
		c.replicas = append(c.replicas, startServer(t, provider, shared))
	}
	return c
}

// at is the same user on another replica.
func (c *client) at(s *server) *client { return &client{s: s, token: c.token} }

// begin asks at a replica and returns the open stream, its session and a viewer
// that has seen the start.
func (c *client) begin(ctx context.Context, session, model string) (*http.Response, *viewer, error) {
	res, err := c.sse(ctx, http.MethodPost, "/chat/stream", map[string]any{"session_id": session, "content": "go", "model": "openai/" + model})
	if err != nil {
		return nil, nil, err
	}
	v := newViewer()
	err = v.follow(res.Body, func() bool { return v.seq >= 0 })
	return res, v, err
}

// patient follows a stream to its end over whatever breaks, from replica to
// replica, and returns what it holds. A restless viewer moves on by itself.
func (c *cluster) patient(ctx context.Context, user *client, from int, id string, restless bool) (*viewer, error) {
	v := newViewer()
	v.id = id
	return v, c.follow(ctx, user, from, v, restless)
}

// follow is patient from where a viewer stands.
func (c *cluster) follow(ctx context.Context, user *client, from int, v *viewer, restless bool) error {
	var last error
	for n := from; ctx.Err() == nil; n++ {
		at := user.at(c.replicas[n%len(c.replicas)])
		path := "/chat/stream/" + v.id
		if v.seq >= 0 {
			path += fmt.Sprintf("?after=%d", v.seq)
		}
		limit, cancel := context.WithTimeout(ctx, 20*time.Second)
		res, err := at.sse(limit, http.MethodGet, path, nil)
		if err == nil {
			upTo := v.seq + 1 + rand.Int64N(200)
			err = v.follow(res.Body, func() bool { return restless && v.end == nil && v.seq >= upTo })
			res.Body.Close()
			if err != nil && strings.Contains(err.Error(), "follows") {
				cancel()
				return err
			}
		}
		cancel()
		if v.end != nil {
			return nil
		}
		last = err
		pauseFor(ctx, 20*time.Millisecond)
	}
	return fmt.Errorf("no end at seq %d: %w, %w", v.seq, ctx.Err(), last)
}

// pauseFor keeps a client that is refused from asking again at once.
func pauseFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func TestReplicasShareAnAnswer(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(500), Every: 5 * time.Millisecond, Usage: true}})
	defer provider.Close()
	c := startCluster(t, provider, 3, nil)
	ann := c.replicas[0].user("ann")
	session, ctx := ann.session(), soon(t)
	want := strings.Join(fake.Numbered(500), "")
	var wg sync.WaitGroup
	live := make([]*viewer, 3)
	for i, s := range c.replicas {
		w, err := ann.at(s).socket(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer w.conn.CloseNow()
		if err := w.send(ctx, map[string]any{"type": "subscribe", "ref": 1, "session_id": session}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.until(ctx, "ack"); err != nil {
			t.Fatal(err)
		}
		live[i] = newViewer()
		wg.Go(func() {
			question, most := false, 0
			for live[i].end == nil || most < 3 {
				e, err := w.next(ctx)
				if err == nil {
					err = live[i].apply(e)
				}
				if err != nil {
					t.Errorf("viewer at replica %d (at %d, %d viewers): %v", i, live[i].seq, most, err)
					return
				}
				question = question || e.Type == "message"
				most = max(most, e.Viewers)
			}
			if !question {
				t.Errorf("the viewer at replica %d did not see the question", i)
			}
		})
	}
	res, asker, err := ann.begin(ctx, session, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := asker.follow(res.Body, func() bool { return asker.seq >= 50 }); err != nil {
		t.Fatal(err)
	}
	late := make([]*viewer, 3)
	for i := range late {
		wg.Go(func() {
			var err error
			if late[i], err = c.patient(ctx, ann, i, asker.id, i == 2); err != nil {
				t.Errorf("late viewer %d: %v", i, err)
			}
		})
	}
	if err := asker.follow(res.Body, nil); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for i, v := range append(append(live, late...), asker) {
		if v.text() != want || v.end == nil || v.end.Reason != "stop" {
			t.Errorf("viewer %d holds %d bytes of %d, end %v", i, len(v.text()), len(want), v.end)
		}
	}
	for i, s := range c.replicas {
		if m := ann.at(s).message(session, asker.id); m.Content != want || m.Status != hub.StatusComplete {
			t.Errorf("replica %d: history has %d bytes, %s", i, len(m.Content), m.Status)
		}
	}
}

func TestStopFromAnotherReplicaReachesTheProvider(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(100_000), Every: 5 * time.Millisecond}})
	defer provider.Close()
	c := startCluster(t, provider, 2, nil)
	ann := c.replicas[0].user("ann")
	session, ctx := ann.session(), soon(t)
	var took []time.Duration
	for range 20 {
		res, v, err := ann.begin(ctx, session, "m")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ann.at(c.replicas[1]).call(http.MethodDelete, "/chat/stream/"+v.id, nil, nil)
		<-provider.Left()
		took = append(took, time.Since(began))
		if err := v.follow(res.Body, nil); err != nil || v.end.Reason != "stopped" {
			t.Errorf("finish %+v, %v", v.end, err)
		}
		res.Body.Close()
	}
	slices.Sort(took)
	if took[len(took)-1] > 2*time.Second {
		t.Errorf("a stop took %s", took[len(took)-1])
	}
	t.Logf("a stop reached the provider in %s (p50), %s (max of %d)", took[len(took)/2], took[len(took)-1], len(took))
}

// check holds what a viewer ended with against the history.
func (c *cluster) check(user *client, at int, session string, shown string, v *viewer, whole string) {
	c.t.Helper()
	m := user.at(c.replicas[at]).message(session, v.id)
	if !strings.HasPrefix(m.Content, shown) || v.text() != m.Content || !strings.HasPrefix(whole, m.Content) || v.end == nil || string(*m.FinishReason) != v.end.Reason {
		c.t.Errorf("shown %d bytes, the viewer ended with %d (%v), stored %d, %s", len(shown), len(v.text()), v.end, len(m.Content), m.Status)
	}
}

func TestKilledOwnerIsReplaced(t *testing.T) {
	rounds := 3
	if *chaosFor > 0 {
		rounds = 50
	}
	tokens := fake.Numbered(20_000)
	whole := strings.Join(tokens, "")
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Every: time.Millisecond}})
	defer provider.Close()
	c := startCluster(t, provider, 3, nil)
	ann := c.replicas[0].user("ann")
	session := ann.session()
	var took []time.Duration
	for n := range rounds {
		owner := c.replicas[n%3]
		ctx := soon(t)
		res, v, err := ann.at(owner).begin(ctx, session, "m")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var other *viewer
		wg.Go(func() {
			var err error
			if other, err = c.patient(ctx, ann, n+1, v.id, false); err != nil {
				t.Errorf("round %d: %v", n, err)
			}
		})
		at := rand.Int64N(500)
		var killed time.Time
		_ = v.follow(res.Body, func() bool {
			if v.seq >= at && killed.IsZero() {
				killed = time.Now()
				owner.kill()
			}
			return false
		})
		res.Body.Close()
		wg.Wait()
		took = append(took, time.Since(killed))
		c.check(ann, (n+1)%3, session, v.text(), other, whole)
		if other.end != nil && other.end.Reason != "interrupted" {
			t.Errorf("round %d: %s", n, other.end.Reason)
		}
		owner.start()
	}
	slices.Sort(took)
	if took[len(took)-1] > 10*time.Second {
		t.Errorf("an answer was settled after %s", took[len(took)-1])
	}
	t.Logf("%d kills: settled after %s (p50), %s (max)", rounds, took[len(took)/2], took[len(took)-1])
}

func TestStalledOwnerWritesNothingWhenItWakes(t *testing.T) {
	for name, emptied := range map[string]bool{"Redis keeps the log": false, "Redis was emptied": true} {
		t.Run(name, func(t *testing.T) {
			tokens := fake.Numbered(20_000)
			provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Every: time.Millisecond}})
			defer provider.Close()
			c := startCluster(t, provider, 2, nil)
			ann := c.replicas[0].user("ann")
			session, ctx := ann.session(), soon(t)
			res, v, err := ann.begin(ctx, session, "m")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if err := v.follow(res.Body, func() bool { return v.seq > 300 }); err != nil {
				t.Fatal(err)
			}
			if err := c.replicas[0].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			shown := v.text()
			if emptied {
				c.redis.Restart()
			}
			other, err := c.patient(ctx, ann.at(c.replicas[1]), 1, v.id, false)
			if err != nil {
				t.Error(err)
			}
			if err := c.replicas[0].cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if !emptied {
				c.check(ann, 1, session, shown, other, strings.Join(tokens, ""))
			}
			// Its own viewer, which knows of nothing, ends with the settled text.
			if err := v.follow(res.Body, nil); err != nil {
				t.Error(err)
			}
			if v.text() != other.text() || v.end == nil || v.end.Reason != "interrupted" {
				t.Errorf("the woken owner's viewer ended with %d bytes, %v; settled were %d", len(v.text()), v.end, len(other.text()))
			}
		})
	}
}

func TestRedisAway(t *testing.T) {
	rounds := 2
	if *chaosFor > 0 {
		rounds = 20
	}
	tokens := fake.Numbered(3000)
	whole := strings.Join(tokens, "")
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Every: time.Millisecond}, "short": {Tokens: tokens[:10]}})
	defer provider.Close()
	c := startCluster(t, provider, 2, nil)
	ann := c.replicas[0].user("ann")
	session := ann.session()
	for n := range rounds {
		ctx := soon(t)
		res, v, err := ann.begin(ctx, session, "m")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var other *viewer
		wg.Go(func() {
			var err error
			if other, err = c.patient(ctx, ann, n, v.id, n%2 == 0); err != nil {
				t.Errorf("round %d: %v", n, err)
			}
		})
		at := 100 + rand.Int64N(500)
		if err := v.follow(res.Body, func() bool { return v.seq >= at }); err != nil {
			t.Fatal(err)
		}
		c.redis.Kill()
		if n == 0 {
			if got := ann.ask(map[string]any{"content": "x", "model": "openai/short"}); got.end == nil || got.end.Reason != "stop" {
				t.Errorf("a question while Redis was away: %v", got.end)
			}
			var ready struct{ Status, Detail string }
			ann.call(http.MethodGet, "/readyz", nil, &ready)
			if ready.Status != "degraded" || !strings.Contains(ready.Detail, "Redis") {
				t.Errorf("/readyz said %+v", ready)
			}
		}
		if err := v.follow(res.Body, func() bool { return v.seq >= at+700 }); err != nil {
			t.Fatal(err)
		}
		c.redis.Restart()
		if err := v.follow(res.Body, nil); err != nil {
			t.Error(err)
		}
		res.Body.Close()
		wg.Wait()
		if v.text() != whole || v.twice != 0 {
			t.Errorf("round %d: the asker holds %d bytes of %d, %d twice", n, len(v.text()), len(whole), v.twice)
		}
		c.check(ann, 1, session, v.text(), other, whole)
	}
}

func TestPostgresAway(t *testing.T) {
	rounds := 2
	if *chaosFor > 0 {
		rounds = 20
	}
	tokens := fake.Numbered(1500)
	whole := strings.Join(tokens, "")
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Every: time.Millisecond}})
	defer provider.Close()
	c := startCluster(t, provider, 2, nil)
	ann := c.replicas[0].user("ann")
	session := ann.session()
	for n := range rounds {
		ctx := soon(t)
		res, v, err := ann.begin(ctx, session, "m")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var other *viewer
		wg.Go(func() {
			var err error
			if other, err = c.patient(ctx, ann, 1, v.id, false); err != nil {
				t.Errorf("round %d: %v", n, err)
			}
		})
		if err := v.follow(res.Body, func() bool { return v.seq >= 300 }); err != nil {
			t.Fatal(err)
		}
		pgtest.Away(t)
		if n == 0 {
			refused, err := http.DefaultClient.Do(ann.request(ctx, http.MethodPost, "/chat/stream", map[string]any{"content": "x", "model": "openai/m"}))
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(refused.Body)
			refused.Body.Close()
			if refused.StatusCode != http.StatusServiceUnavailable || refused.Header.Get("Retry-After") == "" {
				t.Errorf("a question while PostgreSQL was away: %s, Retry-After %q: %s", refused.Status, refused.Header.Get("Retry-After"), b)
			}
		}
		if err := v.follow(res.Body, func() bool { return v.seq >= int64(len(tokens)) }); err != nil {
			t.Fatal(err)
		}
		if v.text() != whole {
			t.Errorf("round %d: without the database the asker saw %d bytes of %d", n, len(v.text()), len(whole))
		}
		pgtest.Back(t)
		if err := v.follow(res.Body, nil); err != nil {
			t.Error(err)
		}
		res.Body.Close()
		wg.Wait()
		if v.end == nil || v.end.Reason != "stop" || v.twice != 0 {
			t.Errorf("round %d: finish %+v, %d twice", n, v.end, v.twice)
		}
		c.check(ann, 1, session, v.text(), other, whole)
	}
}

func TestRollingRestartInterruptsNothing(t *testing.T) {
	tokens := fake.Numbered(1000)
	whole := strings.Join(tokens, "")
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Every: time.Millisecond}})
	defer provider.Close()
	c := startCluster(t, provider, 3, map[string]string{"OMNICHAT_DRAIN": "20s"})
	ann := c.replicas[0].user("ann")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	done := make(chan struct{})
	var wg sync.WaitGroup
	answers := make([]int, 4)
	for u := range answers {
		session := ann.session()
		wg.Go(func() {
			for n := u; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				res, v, err := ann.at(c.replicas[n%3]).begin(ctx, session, "m")
				if err != nil { // that one goes away: the next
					if ctx.Err() != nil {
						t.Error(err)
						return
					}
					pauseFor(ctx, 20*time.Millisecond)
					continue
				}
				err = v.follow(res.Body, nil)
				res.Body.Close()
				if err != nil || v.text() != whole || v.end == nil || v.end.Reason != "stop" {
					t.Errorf("user %d: %d bytes of %d, finish %+v, %v", u, len(v.text()), len(whole), v.end, err)
				}
				answers[u]++
			}
		})
	}
	w, err := ann.at(c.replicas[0]).socket(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.replicas {
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if s == c.replicas[0] {
			for {
				if _, err := w.next(ctx); err != nil {
					if !strings.Contains(err.Error(), "StatusServiceRestart") {
						t.Errorf("the WebSocket ended with %v", err)
					}
					break
				}
			}
		}
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("the replica ended with %v", err)
		}
		s.start()
	}
	close(done)
	wg.Wait()
	t.Logf("answers while three replicas were replaced: %v", answers)
}
