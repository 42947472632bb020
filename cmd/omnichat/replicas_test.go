package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/jackc/pgx/v5"

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

// seeded returns a source of all that a test draws, whose seed it tells.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to replay: -chaos.seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// fork returns a source of its own, for another goroutine.
func fork(dice *rand.Rand) *rand.Rand { return rand.New(rand.NewPCG(dice.Uint64(), 1)) }

// patient follows a stream to its end over whatever breaks, from replica to
// replica, and returns what it holds. With dice it moves on by itself.
func (c *cluster) patient(ctx context.Context, user *client, from int, id string, dice *rand.Rand) (*viewer, error) {
	v := newViewer()
	v.id = id
	return v, c.follow(ctx, user, from, v, dice)
}

// beside is patient in the background; wait returns what that viewer holds.
func (c *cluster) beside(ctx context.Context, user *client, from int, id string, dice *rand.Rand) (wait func() *viewer) {
	done := make(chan *viewer, 1)
	go func() {
		v, err := c.patient(ctx, user, from, id, dice)
		if err != nil {
			c.t.Errorf("the viewer of %s from replica %d: %v", id, from, err)
		}
		done <- v
	}()
	return func() *viewer { return <-done }
}

// follow is patient from where a viewer stands.
func (c *cluster) follow(ctx context.Context, user *client, from int, v *viewer, dice *rand.Rand) error {
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
			upTo := int64(math.MaxInt64)
			if dice != nil {
				upTo = v.seq + 1 + dice.Int64N(200)
			}
			err = v.follow(res.Body, func() bool { return v.end == nil && v.seq >= upTo })
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
	dice := seeded(t)
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
	var late []func() *viewer
	for i := range c.replicas {
		late = append(late, c.beside(ctx, ann, i, asker.id, []*rand.Rand{2: dice}[i]))
	}
	if err := asker.follow(res.Body, nil); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	viewers := append([]*viewer{asker}, live...)
	for _, wait := range late {
		viewers = append(viewers, wait())
	}
	for i, v := range viewers {
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

func TestReplicasAttachTheSameQuestionToOneAnswer(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(60), Every: 10 * time.Millisecond}})
	defer provider.Close()
	c := startCluster(t, provider, 3, nil)
	ann, ctx := c.replicas[0].user("ann"), soon(t)
	session, want := ann.session(), strings.Join(fake.Numbered(60), "")
	for round := range 3 { // each follows the one before
		body := map[string]any{"session_id": session, "message_id": hub.NewID(), "content": fmt.Sprint("go ", round), "model": "openai/m"}
		viewers := make([]*viewer, 9)
		var asking sync.WaitGroup
		for i := range viewers {
			at := ann.at(c.replicas[i%3])
			viewers[i] = newViewer()
			asking.Go(func() {
				if err := at.attach(ctx, i >= 6, session, body, viewers[i]); err != nil {
					t.Errorf("round %d, %d: %v", round, i, err)
				}
			})
		}
		asking.Wait()
		for i, v := range viewers {
			if v.id != viewers[0].id || v.text() != want {
				t.Errorf("round %d: viewer %d of %s has %d bytes of %d; the first follows %s", round, i, v.id, len(v.text()), len(want), viewers[0].id)
			}
		}
	}
	var history hub.MessageChanges
	ann.call(http.MethodGet, "/sessions/"+session+"/messages", nil, &history)
	if len(history.Items) != 6 {
		t.Errorf("%d messages", len(history.Items))
	}
}

// attach asks and follows the answer to its end, by a POST or by a WebSocket's send.
func (c *client) attach(ctx context.Context, socket bool, session string, body map[string]any, v *viewer) error {
	if !socket {
		res, err := c.sse(ctx, http.MethodPost, "/chat/stream", body)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		return v.follow(res.Body, nil)
	}
	w, err := c.socket(ctx)
	if err != nil {
		return err
	}
	defer w.conn.CloseNow()
	send := maps.Clone(body)
	send["type"], send["ref"] = "send", 1
	if err := w.send(ctx, send); err != nil {
		return err
	}
	ack, err := w.until(ctx, "ack")
	if err != nil {
		return err
	}
	v.id, v.blank = ack.AnswerID, true
	return w.watch(ctx, session, v, nil)
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
		if err == nil {
			err = v.follow(res.Body, func() bool { return v.seq > 0 }) // or it may be stopped before the provider is asked
		}
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ann.at(c.replicas[1]).call(http.MethodDelete, "/chat/stream/"+v.id, nil, nil)
		select {
		case <-provider.Left():
		case <-ctx.Done():
			t.Fatal("the provider still writes")
		}
		took = append(took, time.Since(began))
		if err := v.follow(res.Body, nil); err != nil || v.end.Reason != "stopped" {
			t.Errorf("finish %+v, %v", v.end, err)
		}
		res.Body.Close()
	}
	slices.Sort(took)
	if took[len(took)/2] > 2*time.Second { // half of them: a machine may be busy for a while
		t.Errorf("a stop took %s", took[len(took)/2])
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

// query reads a row of the database, past the replicas.
func (c *cluster) query(ctx context.Context, sql string, args []any, into ...any) error {
	conn, err := pgx.Connect(ctx, c.postgres)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return conn.QueryRow(ctx, sql, args...).Scan(into...)
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
	c := startCluster(t, provider, 4, nil)
	safe := c.replicas[3] // never killed
	ann := safe.user("ann")
	session, dice := ann.session(), seeded(t)
	alone := c.watchPresence(ann, safe, c.replicas[0])
	var took, late []time.Duration
	for n := range rounds {
		owner := c.replicas[n%3]
		ctx := soon(t)
		res, v, err := ann.at(owner).begin(ctx, session, "m")
		if err != nil {
			t.Fatal(err)
		}
		wait := c.beside(ctx, ann, n+1, v.id, nil)
		at := dice.Int64N(500)
		var killed, expires, finished time.Time
		_ = v.follow(res.Body, func() bool {
			if v.seq >= at && killed.IsZero() {
				killed = time.Now()
				owner.kill()
			}
			return false
		})
		res.Body.Close()
		lease := "SELECT r.expires_at FROM messages m JOIN replicas r ON r.id = m.owner WHERE m.id = $1"
		if err := c.query(ctx, lease, []any{v.id}, &expires); err != nil {
			t.Error(err)
		}
		other := wait()
		if err := c.query(ctx, "SELECT finished_at FROM messages WHERE id = $1", []any{v.id}, &finished); err != nil {
			t.Error(err)
		}
		took, late = append(took, finished.Sub(killed)), append(late, finished.Sub(expires))
		c.check(ann, 3, session, v.text(), other, whole)
		if other.end != nil && other.end.Reason != "interrupted" {
			t.Errorf("round %d: %s", n, other.end.Reason)
		}
		owner.start()
	}
	slices.Sort(took)
	slices.Sort(late)
	// A lease lasts 6 s of the 10 that an answer may be left; the rest is a fast
	// machine's, and this one may be slow.
	if late[len(late)-1] > 10*time.Second {
		t.Errorf("an answer was settled %s after its owner's lease had run out", late[len(late)-1])
	}
	t.Logf("%d kills: settled after %s (p50), %s (max); after the lease's end %s, %s",
		rounds, took[len(took)/2], took[len(took)-1], late[len(late)/2], late[len(late)-1])
	select {
	case <-alone:
	case <-soon(t).Done():
		t.Error("the viewers at a replica that was killed are counted for ever")
	}
}

// watchPresence has a viewer at each of two replicas in a session, and says
// when the first has seen the second come and go.
func (c *cluster) watchPresence(user *client, stays, dies *server) <-chan struct{} {
	c.t.Helper()
	session, ctx := user.session(), soon(c.t)
	var ends []*socket
	for _, s := range []*server{stays, dies} {
		w, err := user.at(s).socket(ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { _ = w.conn.CloseNow() })
		if err := w.send(ctx, map[string]any{"type": "subscribe", "ref": 1, "session_id": session}); err != nil {
			c.t.Fatal(err)
		}
		ends = append(ends, w)
	}
	for viewers := 0; viewers != 2; {
		e, err := ends[0].until(ctx, "presence")
		if err != nil {
			c.t.Fatal(err)
		}
		viewers = e.Viewers
	}
	alone := make(chan struct{})
	go func() {
		for {
			e, err := ends[0].until(ctx, "presence")
			if err != nil {
				return
			}
			if e.Viewers == 1 {
				close(alone)
				return
			}
		}
	}()
	return alone
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
			other, err := c.patient(ctx, ann.at(c.replicas[1]), 1, v.id, nil)
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
	session, dice := ann.session(), seeded(t)
	for n := range rounds {
		ctx := soon(t)
		res, v, err := ann.begin(ctx, session, "m")
		if err != nil {
			t.Fatal(err)
		}
		restless := fork(dice)
		if n%2 != 0 {
			restless = nil
		}
		wait := c.beside(ctx, ann, n, v.id, restless)
		at := 100 + dice.Int64N(500)
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
			if ready.Status != "degraded" || !strings.Contains(ready.Detail, "Redis") || strings.Contains(ready.Detail, "127.0.0.1") {
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
		other := wait()
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
		wait := c.beside(ctx, ann, 1, v.id, nil)
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
		other := wait()
		if v.end == nil || v.end.Reason != "stop" || v.twice != 0 {
			t.Errorf("round %d: finish %+v, %d twice", n, v.end, v.twice)
		}
		c.check(ann, 1, session, v.text(), other, whole)
	}
}

// tab is a page's WebSocket: it follows all answers of a session, and when its
// replica sends it elsewhere it goes on there from where it stands.
type tab struct {
	mu      sync.Mutex
	viewers map[string]*viewer
	sent    int // elsewhere
}

// open says whether it has not seen the end of an answer it has begun.
func (b *tab) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range b.viewers {
		if v.end == nil {
			return true
		}
	}
	return false
}

func (b *tab) take(e event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e.Type {
	case "start", "snapshot", "delta", "finish":
	default:
		return nil
	}
	v := b.viewers[e.MessageID]
	if v == nil {
		v = newViewer()
		b.viewers[e.MessageID] = v
	}
	return v.apply(e)
}

// run follows until ctx ends.
func (b *tab) run(ctx context.Context, c *cluster, user *client, from int, session string) error {
	for n := from; ctx.Err() == nil; n++ {
		w, err := user.at(c.replicas[n%len(c.replicas)]).socket(ctx)
		if err != nil { // that one is being replaced
			pauseFor(ctx, 20*time.Millisecond)
			continue
		}
		positions := map[string]int64{}
		b.mu.Lock()
		for id, v := range b.viewers {
			if v.end == nil {
				positions[id] = v.seq
			}
		}
		b.mu.Unlock()
		err = w.send(ctx, map[string]any{"type": "subscribe", "ref": 1, "session_id": session, "positions": positions})
		for err == nil {
			var e event
			if e, err = w.next(ctx); err == nil {
				if wrong := b.take(e); wrong != nil {
					_ = w.conn.CloseNow()
					return wrong
				}
			}
		}
		_ = w.conn.CloseNow()
		if websocket.CloseStatus(err) == websocket.StatusServiceRestart {
			b.mu.Lock()
			b.sent++
			b.mu.Unlock()
		} else if ctx.Err() == nil {
			return fmt.Errorf("the WebSocket ended with %w", err)
		}
	}
	return nil
}

func TestRollingRestartInterruptsNothing(t *testing.T) {
	tokens := fake.Numbered(1000)
	whole := strings.Join(tokens, "")
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Every: time.Millisecond}})
	defer provider.Close()
	c := startCluster(t, provider, 3, map[string]string{"OMNICHAT_DRAIN": "60s"})
	ann := c.replicas[0].user("ann")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	done := make(chan struct{})
	var wg, tabsDone sync.WaitGroup
	answers := make([]int, 4)
	tabs := make([]*tab, len(answers))
	watching, leave := context.WithCancel(ctx)
	defer func() { leave(); tabsDone.Wait() }()
	for u := range answers {
		session := ann.session()
		tabs[u] = &tab{viewers: map[string]*viewer{}}
		tabsDone.Go(func() {
			if err := tabs[u].run(watching, c, ann, u, session); err != nil {
				t.Errorf("tab %d: %v", u, err)
			}
		})
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
	for _, s := range c.replicas {
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("the replica ended with %v", err)
		}
		s.start()
	}
	close(done)
	wg.Wait()
	sent, seen := 0, 0
	for u, b := range tabs {
		for b.open() && ctx.Err() == nil {
			pauseFor(ctx, 20*time.Millisecond)
		}
		b.mu.Lock()
		for id, v := range b.viewers {
			if v.text() != whole || v.torn || v.end == nil || v.end.Reason != "stop" {
				t.Errorf("tab %d, answer %s: %d bytes of %d, torn %t, finish %+v", u, id, len(v.text()), len(whole), v.torn, v.end)
			}
		}
		sent, seen = sent+b.sent, seen+len(b.viewers)
		b.mu.Unlock()
	}
	if sent < 3 {
		t.Errorf("tabs were sent elsewhere %d times only", sent)
	}
	t.Logf("answers while three replicas were replaced: %v; tabs saw %d and were sent elsewhere %d times", answers, seen, sent)
}
