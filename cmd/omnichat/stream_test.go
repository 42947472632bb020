package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/providertest/fake"
	"github.com/omnichat/omnichat/repo/pgtest"
)

// same fails unless the viewer has exactly the text, each event once.
func same(t *testing.T, who string, v *viewer, want string) {
	t.Helper()
	if v.text() != want || v.twice != 0 || v.end == nil {
		t.Errorf("%s: %d bytes of %d, %d events twice, finish %v", who, len(v.text()), len(want), v.twice, v.end)
	}
}

func TestEveryViewerEndsWithTheSameText(t *testing.T) {
	for _, database := range []string{"sqlite", "postgres"} {
		t.Run(database, func(t *testing.T) {
			gate, more := make(chan struct{}), make(chan int, 1)
			provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(500), Every: time.Millisecond, Gate: gate, Usage: true}})
			defer provider.Close()
			env := map[string]string{}
			if database == "postgres" {
				env["DATABASE_URL"] = pgtest.Start(t)
			}
			c := startServer(t, provider, env).user("ann")
			session, ctx := c.session(), soon(t)
			want := strings.Join(fake.Numbered(500), "")
			go func() {
				defer close(gate)
				for n := range more {
					for range n {
						select {
						case gate <- struct{}{}:
						case <-ctx.Done():
							return
						}
					}
				}
			}()
			more <- 60 // with what each connection of the restless viewer adds, some are left for the end
			asker, early, late, restless := newViewer(), newViewer(), newViewer(), newViewer()
			dice := seeded(t)

			var wg sync.WaitGroup
			run := func(who string, f func() error) {
				wg.Go(func() {
					if err := f(); err != nil {
						t.Errorf("%s: %v", who, err)
					}
				})
			}
			w, err := c.socket(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer w.conn.CloseNow()
			subscribed := make(chan struct{})
			run("early", func() error {
				if err := w.send(ctx, map[string]any{"type": "subscribe", "ref": 1, "session_id": session}); err != nil {
					return err
				}
				if _, err := w.until(ctx, "ack"); err != nil {
					return err
				}
				close(subscribed)
				for early.end == nil {
					e, err := w.next(ctx)
					if err != nil {
						return err
					}
					if err := early.apply(e); err != nil {
						return err
					}
				}
				return nil
			})
			<-subscribed
			started := make(chan string)
			connections := 0 // of the restless viewer, after its first
			run("asker", func() error {
				res, err := c.sse(ctx, http.MethodPost, "/chat/stream", map[string]any{"session_id": session, "content": "go", "model": "openai/m"})
				if err != nil {
					return err
				}
				defer res.Body.Close()
				told := false
				return asker.follow(res.Body, func() bool {
					if !told && asker.seq >= 50 {
						told = true
						started <- asker.id
					}
					return false
				})
			})
			id := <-started
			run("late", func() error {
				w, err := c.socket(ctx)
				if err != nil {
					return err
				}
				defer w.conn.CloseNow()
				return w.watch(ctx, session, late, nil)
			})
			run("restless", func() error {
				restless.id = id
				for n := 0; restless.end == nil; n++ {
					connections = n
					switch {
					case n < 20:
						more <- 21
					case n == 20:
						close(more)
					}
					upTo := restless.seq + 1 + dice.Int64N(20)
					stop := func() bool { return n < 20 && restless.seq >= upTo }
					if n%2 == 0 {
						w, err := c.socket(ctx)
						if err != nil {
							return err
						}
						err = w.watch(ctx, session, restless, stop)
						w.conn.CloseNow()
						if err != nil {
							return err
						}
						continue
					}
					res, err := c.sse(ctx, http.MethodGet, fmt.Sprintf("/chat/stream/%s?after=%d", id, restless.seq), nil)
					if err != nil {
						return err
					}
					err = restless.follow(res.Body, stop)
					res.Body.Close()
					if err != nil {
						return err
					}
				}
				return nil
			})
			wg.Wait()
			same(t, "asker", asker, want)
			same(t, "early viewer", early, want)
			same(t, "late viewer", late, want)
			same(t, "restless viewer", restless, want)
			if connections < 20 {
				t.Errorf("the restless viewer connected %d times only", connections)
			}
			m := c.message(session, id)
			if m.Content != want || m.Status != hub.StatusComplete || m.Seq != 501 || m.Usage == nil || m.Usage.OutputTokens != 500 {
				t.Errorf("stored: %d bytes, %s, seq %d, usage %+v", len(m.Content), m.Status, m.Seq, m.Usage)
			}
			res, err := http.DefaultClient.Do(c.request(ctx, http.MethodGet, "/chat/stream/"+id+"?after=501", nil))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusNoContent {
				t.Errorf("resume at the end: %s", res.Status)
			}
		})
	}
}

func TestAnswerGoesOnWhenTheAskerHangsUp(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(100), Every: 2 * time.Millisecond}})
	defer provider.Close()
	c := startServer(t, provider, nil).user("ann")
	session := c.session()
	ctx, hangUp := context.WithCancel(soon(t))
	res, err := c.sse(ctx, http.MethodPost, "/chat/stream", map[string]any{"session_id": session, "content": "go", "model": "openai/m"})
	if err != nil {
		t.Fatal(err)
	}
	v := newViewer()
	if err := v.follow(res.Body, func() bool { return v.seq >= 3 }); err != nil {
		t.Fatal(err)
	}
	hangUp()
	res.Body.Close()
	res, err = c.sse(soon(t), http.MethodGet, fmt.Sprintf("/chat/stream/%s?after=%d", v.id, v.seq), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := v.follow(res.Body, nil); err != nil {
		t.Fatal(err)
	}
	want := strings.Join(fake.Numbered(100), "")
	same(t, "the asker, back again", v, want)
	if m := c.message(session, v.id); m.Content != want {
		t.Errorf("stored %q", m.Content)
	}
}

func TestSamePostFiveTimesIsOneAnswer(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(50), Every: time.Millisecond}})
	defer provider.Close()
	c := startServer(t, provider, nil).user("ann")
	body := map[string]any{"message_id": hub.NewID(), "content": "go", "model": "openai/m"}
	viewers := make([]*viewer, 5)
	var wg sync.WaitGroup
	for i := range viewers {
		wg.Go(func() { viewers[i] = c.ask(body) })
	}
	wg.Wait()
	for i, v := range viewers {
		same(t, fmt.Sprint("post ", i), v, strings.Join(fake.Numbered(50), ""))
		if v.id != viewers[0].id {
			t.Errorf("stream %s, not %s", v.id, viewers[0].id)
		}
	}
	var page hub.SessionPage
	c.call(http.MethodGet, "/sessions", nil, &page)
	var messages hub.MessageChanges
	c.call(http.MethodGet, "/sessions/"+string(page.Items[0].ID)+"/messages", nil, &messages)
	if len(page.Items) != 1 || len(messages.Items) != 2 || provider.Calls("m") != 1 {
		t.Errorf("%d sessions, %d messages, %d calls", len(page.Items), len(messages.Items), provider.Calls("m"))
	}
}

func TestStopFromElsewhereReachesTheProvider(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(100_000), Every: time.Millisecond}})
	defer provider.Close()
	c := startServer(t, provider, nil).user("ann")
	ctx := soon(t)
	w, err := c.socket(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.conn.CloseNow()
	if err := w.send(ctx, map[string]any{"type": "send", "ref": 7, "content": "go", "model": "openai/m"}); err != nil {
		t.Fatal(err)
	}
	ack, err := w.until(ctx, "ack")
	if err != nil || ack.Ref != 7 || ack.AnswerID == "" {
		t.Fatalf("ack %+v, %v", ack, err)
	}
	v := newViewer()
	for v.end == nil {
		e, err := w.next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.apply(e); err != nil {
			t.Fatal(err)
		}
		if v.seq == 20 {
			c.call(http.MethodDelete, "/chat/stream/"+ack.AnswerID, nil, nil)
		}
	}
	select {
	case <-provider.Left():
	case <-ctx.Done():
		t.Error("the provider still writes")
	}
	m := c.message(ack.SessionID, ack.AnswerID)
	if v.end.Reason != "stopped" || m.Status != hub.StatusStopped || m.Content != v.text() || !strings.HasPrefix(strings.Join(fake.Numbered(100_000), ""), v.text()) {
		t.Errorf("finish %q, status %s, shown %d bytes, stored %d", v.end.Reason, m.Status, len(v.text()), len(m.Content))
	}
	c.call(http.MethodDelete, "/chat/stream/"+ack.AnswerID, nil, nil) // ended already: fine
}

func TestProviderFailuresEndTheStreamAndKeepTheText(t *testing.T) {
	ten := fake.Numbered(10)
	scripts := map[string]fake.Script{
		"401":       {Status: 401},
		"429":       {Status: 429, RetryAfter: time.Hour},
		"500":       {Status: 500},
		"broken":    {Tokens: ten, BreakAfter: 4},
		"malformed": {Tokens: ten, BreakAfter: 4, Inject: "data: {nonsense\n\n"},
		"silent":    {Tokens: ten, StallAfter: 4, Every: time.Millisecond},
	}
	codes := map[string]hub.Code{
		"401": hub.CodeProviderAuth, "429": hub.CodeProviderRateLimit, "500": hub.CodeProviderError,
		"broken": hub.CodeProviderTruncated, "malformed": hub.CodeProviderError, "silent": hub.CodeProviderTimeout,
	}
	provider := fake.New(scripts)
	t.Cleanup(provider.Close) // after the parallel parts
	patient := startServer(t, provider, nil).user("ann")
	hasty := startServer(t, provider, map[string]string{"OMNICHAT_IDLE_TIMEOUT": "3s"}).user("ann")
	for name := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := patient
			if name == "silent" {
				c = hasty
			}
			session := c.session()
			v := c.ask(map[string]any{"session_id": session, "content": "go", "model": "openai/" + name})
			want := ""
			if scripts[name].Status == 0 {
				want = strings.Join(ten[:4], "")
			}
			if v.end == nil || v.end.Reason != "error" || v.end.Error == nil || v.end.Error.Code != codes[name] || v.end.Error.Detail == "" || v.text() != want {
				t.Fatalf("text %q, finish %+v", v.text(), v.end)
			}
			m := c.message(session, v.id)
			if m.Status != hub.StatusError || m.Content != want || m.Error == nil || m.Error.Code != codes[name] {
				t.Errorf("stored %+v", m)
			}
		})
	}
}

// TestDatabaseThatSaysNothingIsSaidSo locks a table, so that PostgreSQL takes
// questions and answers none.
func TestDatabaseThatSaysNothingIsSaidSo(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {}})
	defer provider.Close()
	database := pgtest.Start(t)
	c := startServer(t, provider, map[string]string{"DATABASE_URL": database}).user("ann")
	ctx := soon(t)
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(ctx, "BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, call := range []struct{ method, path string }{{http.MethodGet, "/sessions"}, {http.MethodPost, "/sessions"}} {
		wg.Go(func() {
			began := time.Now()
			res, err := http.DefaultClient.Do(c.request(ctx, call.method, call.path, map[string]string{}))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			t.Logf("%s %s: %s after %s", call.method, call.path, res.Status, time.Since(began))
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
				t.Errorf("%s %s: %s, Retry-After %q", call.method, call.path, res.Status, res.Header.Get("Retry-After"))
			}
		})
	}
	wg.Wait()
}

func TestKilledServerLosesNothingThatWasShown(t *testing.T) {
	rounds := 50
	if testing.Short() {
		rounds = 5
	}
	tokens := fake.Numbered(200_000) // the kill comes in mid-answer, however late
	whole := strings.Join(tokens, "")
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Every: 200 * time.Microsecond}})
	defer provider.Close()
	s := startServer(t, provider, nil)
	c := s.user("ann")
	dice := seeded(t)
	var slowest time.Duration
	for n := range rounds {
		session := c.session()
		v := newViewer()
		res, err := c.sse(soon(t), http.MethodPost, "/chat/stream", map[string]any{"session_id": session, "content": "go", "model": "openai/m"})
		if err != nil {
			t.Fatal(err)
		}
		at := dice.Int64N(300)
		_ = v.follow(res.Body, func() bool {
			if v.seq >= at {
				s.kill() // what is on its way is still read
			}
			return false
		})
		res.Body.Close()
		began := time.Now()
		s.start()
		m := c.message(session, v.id)
		slowest = max(slowest, time.Since(began))
		if m.Status != hub.StatusInterrupted || !strings.HasPrefix(m.Content, v.text()) || !strings.HasPrefix(whole, m.Content) {
			t.Errorf("round %d, killed at %d: %s, shown %d bytes, stored %d", n, at, m.Status, len(v.text()), len(m.Content))
		}
		again := newViewer()
		again.id, again.seq, again.buf = v.id, v.seq, []byte(v.text())
		res, err = c.sse(soon(t), http.MethodGet, fmt.Sprintf("/chat/stream/%s?after=%d", v.id, v.seq), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = again.follow(res.Body, nil)
		res.Body.Close()
		if err != nil || again.text() != m.Content || again.end == nil || again.end.Reason != "interrupted" {
			t.Errorf("round %d: resumed to %d bytes of %d, finish %v, %v", n, len(again.text()), len(m.Content), again.end, err)
		}
	}
	if slowest > 10*time.Second { // the contract's limit, with the start in it
		t.Errorf("an answer was settled %s after the start", slowest)
	}
	t.Logf("%d kills; settled %s after the start at most", rounds, slowest)
}
