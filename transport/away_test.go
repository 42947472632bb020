package transport_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/repo"
	"github.com/omnichat/omnichat/transport"
)

// trouble is accounts whose database can be away.
type trouble struct {
	*repo.Repo
	silent atomic.Bool // it says nothing until the caller gives up
	refuse atomic.Bool // it says so
	deaf   func()      // if set, it is called and waited for, whatever the context says
	late   func()      // if set, it is called when the database has said whether a login holds
}

func (a *trouble) check(ctx context.Context) error {
	if a.deaf != nil {
		a.deaf()
	}
	if a.refuse.Load() {
		return &hub.Error{Code: hub.CodeUnavailable, Msg: "the database is not available; try again", RetryAfter: 2 * time.Second}
	}
	if a.silent.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (a *trouble) User(ctx context.Context, id hub.UserID) (hub.User, error) {
	if err := a.check(ctx); err != nil {
		return hub.User{}, err
	}
	return a.Repo.User(ctx, id)
}

func (a *trouble) GrantActive(ctx context.Context, family string) (bool, error) {
	if err := a.check(ctx); err != nil {
		return false, err
	}
	ok, err := a.Repo.GrantActive(ctx, family)
	if a.late != nil {
		a.late()
	}
	return ok, err
}

func (a *trouble) ActiveGrants(ctx context.Context, families []string) ([]string, error) {
	if err := a.check(ctx); err != nil {
		return nil, err
	}
	return a.Repo.ActiveGrants(ctx, families)
}

// troubled is a second server on the site's hub and database.
func (s *site) troubled(accounts *trouble, opt transport.Options) *site {
	s.t.Helper()
	opt.Secret, accounts.Repo = secret, s.db
	other := *s
	other.server = transport.New(s.hub, accounts, opt)
	srv := httptest.NewServer(other.server.Handler())
	other.url = srv.URL
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		other.server.Shutdown(ctx)
		srv.Close()
	})
	return &other
}

// another is the token of a login that no server has seen: who asks with it,
// makes the server ask the database.
func (s *site) another() string {
	s.t.Helper()
	return s.token(map[string][]string{"username": {"ann"}, "password": {"correct horse"}}, 200)["access_token"].(string)
}

func TestSilentDatabaseIsSaidSo(t *testing.T) {
	s := open(t, transportDefaults).users()
	_, _, answer := s.ask(s.ann, map[string]any{"content": "one"})
	accounts := &trouble{}
	other := s.troubled(accounts, transport.Options{CallTimeout: 100 * time.Millisecond})
	accounts.silent.Store(true)
	for _, call := range []struct{ method, path string }{{"GET", "/users/me"}, {"GET", "/sessions"}, {"GET", "/chat/stream/" + answer}, {"POST", "/chat/stream"}, {"GET", "/ws"}} {
		res := other.send(call.method, call.path, s.ann, "application/json", nil)
		if p := other.read(res, 503); p["code"] != "unavailable" || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %v, Retry-After %q", call.method, call.path, p, res.Header.Get("Retry-After"))
		}
	}
}

func TestStreamLastsLongerThanItsCalls(t *testing.T) {
	t.Parallel()
	s := open(t, transportDefaults).users() // hashing passwords may take long
	other := s.troubled(&trouble{}, transport.Options{CallTimeout: 2 * time.Second, Heartbeat: time.Second})
	res, events := other.stream("POST", "/chat/stream", s.ann, `{"content":"wait"}`)
	defer res.Body.Close()
	for range 4 {
		other.line(events, ": ")
	}
}

func TestDatabaseThatIsAwayLogsNobodyOut(t *testing.T) {
	s := open(t, transportDefaults).users()
	for name, opt := range map[string]transport.Options{"refusing": {}, "silent": {CallTimeout: time.Second}} {
		t.Run(name, func(t *testing.T) {
			accounts := &trouble{}
			other := s.troubled(accounts, opt)
			old, first, renewed := s.another(), s.another(), s.another()
			conn := other.connect(old)
			if name == "silent" {
				accounts.silent.Store(true)
			} else {
				accounts.refuse.Store(true)
			}
			fresh := other.dial()
			if err := fresh.Write(t.Context(), websocket.MessageText, []byte(`{"type":"auth","token":"`+first+`"}`)); err != nil {
				t.Fatal(err)
			}
			if code := other.closedWith(fresh); code != websocket.StatusServiceRestart {
				t.Errorf("a first auth was closed with %d", code)
			}
			if e := other.tell(conn, `{"type":"auth","ref":5,"token":"`+renewed+`"}`); e["type"] != "error" || e["code"] != "unavailable" || e["ref"] != 5.0 {
				t.Errorf("a renewal got %v", e)
			}
			accounts.silent.Store(false)
			accounts.refuse.Store(false)
			if e := other.tell(conn, `{"type":"auth","token":"`+renewed+`"}`); e["type"] != "ready" {
				t.Errorf("the renewal got %v later", e)
			}
			if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"auth","token":"x"}`)); err != nil {
				t.Fatal(err)
			}
			if code := other.closedWith(conn); code != 4401 {
				t.Errorf("a wrong token was closed with %d", code)
			}
		})
	}
}

// TestSocketIsReadWhileACommandHangs has the renewal of a login wait for the
// database, and uses the connection meanwhile.
func TestSocketIsReadWhileACommandHangs(t *testing.T) {
	s := open(t, transportDefaults).users()
	accounts := &trouble{}
	other := s.troubled(accounts, transport.Options{CallTimeout: time.Minute})
	conn, renewed := other.connect(s.ann), s.another()
	heard, release := make(chan struct{}, 1), make(chan struct{})
	accounts.late = func() { heard <- struct{}{}; <-release }
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"auth","ref":1,"token":"`+renewed+`"}`)); err != nil {
		t.Fatal(err)
	}
	<-heard
	for command, want := range map[string]string{`{"type":"ping"}`: "pong", `{"type":"subscribe","ref":2,"session_id":"` + hub.NewID() + `"}`: "error"} {
		if e := other.tell(conn, command); e["type"] != want {
			t.Errorf("meanwhile %s got %v", command, e)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ponged := make(chan error, 1)
	go func() {
		ponged <- conn.Ping(ctx) // which the read below lets through
		close(release)
	}()
	if _, data, err := conn.Read(ctx); err != nil || !bytes.Contains(data, []byte(`"ready"`)) {
		t.Errorf("the renewal got %s, %v", data, err)
	}
	if err := <-ponged; err != nil {
		t.Errorf("meanwhile a ping got %v", err)
	}
}

func TestShutdownGivesUpWhenItsTimeIsOver(t *testing.T) {
	s := open(t, transportDefaults).users()
	heard, release := make(chan struct{}), make(chan struct{})
	accounts := &trouble{deaf: func() { heard <- struct{}{}; <-release }}
	other := s.troubled(accounts, transportDefaults)
	conn := other.dial() // its handler will hang in the database
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"auth","token":"`+s.ann+`"}`)); err != nil {
		t.Fatal(err)
	}
	<-heard
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); other.server.Shutdown(ctx) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("Shutdown waits although its context has ended")
	}
	close(release)
	<-done
}
