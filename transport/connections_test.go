package transport_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/omnichat/omnichat/transport"
)

func (s *site) logOut(refresh string) {
	s.t.Helper()
	form := url.Values{"token": {refresh}}
	s.read(s.send("POST", "/token/revoke", "", "application/x-www-form-urlencoded", strings.NewReader(form.Encode())), 200)
}

// TestRevokedLoginEndsWhatIsOpen ends a login in every way there is, and looks at
// what another of the same user has open.
func TestRevokedLoginEndsWhatIsOpen(t *testing.T) {
	rotate := func(s *site, refresh string, status int) string {
		next, _ := s.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}, status)["refresh_token"].(string)
		return next
	}
	ways := map[string]struct {
		recheck time.Duration
		end     func(s *site, refresh string)
	}{
		"logged out": {time.Hour, (*site).logOut},
		"logged out at another server of the hub": {time.Hour, func(s *site, refresh string) {
			s.troubled(&trouble{}, transportDefaults).logOut(refresh)
		}},
		"an old refresh token is used": {time.Hour, func(s *site, refresh string) {
			rotate(s, rotate(s, refresh, 200), 200)
			rotate(s, refresh, 401)
		}},
		"revoked in the database": {20 * time.Millisecond, func(s *site, refresh string) {
			if _, err := s.db.RevokeGrant(s.t.Context(), sha256.Sum256([]byte(refresh))); err != nil {
				s.t.Fatal(err)
			}
		}},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := open(t, transport.Options{Recheck: way.recheck}).users()
			login := s.token(url.Values{"username": {"ann"}, "password": {"correct horse"}}, 200)
			token := login["access_token"].(string)
			_, bare := s.stream("POST", "/chat/stream", token, `{"content":"wait"}`)
			_, handled := s.behind().stream("POST", "/chat/stream", token, `{"content":"wait"}`)
			_, others := s.stream("POST", "/chat/stream", s.ann, `{"content":"wait"}`)
			conn, other := s.connect(token), s.connect(s.ann)
			began := time.Now()
			way.end(s, login["refresh_token"].(string))
			if way.recheck == time.Hour { // it is known here, and at once
				s.do("GET", "/users/me", token, nil, 401)
				_ = conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"send","content":"late"}`)) // it may be closed
			}
			if code := s.closedWith(conn); code != 4401 {
				t.Errorf("the WebSocket was closed with %d", code)
			}
			for kind, events := range map[string]io.Reader{"bare": bare, "HTTP/2": handled} {
				rest, err := io.ReadAll(events)
				if err != nil || bytes.Contains(rest, []byte("finish")) {
					t.Errorf("the event stream (%s) ended with %v: %s", kind, err, rest)
				}
			}
			if took := time.Since(began); took > 10*time.Second { // well below a second, where nothing else runs
				t.Errorf("it took %s", took)
			}
			s.do("GET", "/users/me", token, nil, 401)
			if e := s.tell(other, `{"type":"ping"}`); e["type"] != "pong" {
				t.Errorf("the other login's WebSocket said %v", e)
			}
			s.line(others, "data: ")
			for _, session := range s.list("/sessions", s.ann) {
				if session["title"] == "late" {
					t.Error("a question was taken from who had logged out")
				}
			}
		})
	}
}

// TestRevokedLoginStaysSo has the database say that a login holds after it was
// revoked here: it was asked before.
func TestRevokedLoginStaysSo(t *testing.T) {
	s := open(t, transportDefaults).users()
	login := s.token(url.Values{"username": {"ann"}, "password": {"correct horse"}}, 200)
	heard, release := make(chan struct{}, 1), make(chan struct{})
	accounts := &trouble{}
	other := s.troubled(accounts, transportDefaults)
	accounts.late = func() { heard <- struct{}{}; <-release }
	asked := make(chan int, 1)
	go func() {
		res := other.send("GET", "/users/me", login["access_token"].(string), "", nil)
		res.Body.Close()
		asked <- res.StatusCode
	}()
	<-heard
	s.logOut(login["refresh_token"].(string))
	close(release)
	if status := <-asked; status != 401 {
		t.Errorf("a request that began before got %d", status)
	}
	other.do("GET", "/users/me", login["access_token"].(string), nil, 401)
}
