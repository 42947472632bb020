package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/transport"
)

// stream opens an event stream that does not end by itself.
func (s *site) stream(method, path, token, body string) (*http.Response, *bufio.Reader) {
	s.t.Helper()
	res := s.send(method, path, token, "application/json", strings.NewReader(body))
	s.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 {
		b, _ := io.ReadAll(res.Body)
		s.t.Fatalf("%s %s: %s %s", method, path, res.Status, b)
	}
	return res, bufio.NewReader(res.Body)
}

// line reads until a line that begins with prefix.
func (s *site) line(r *bufio.Reader, prefix string) string {
	s.t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("no %q: %v", prefix, err)
		}
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
}

// connect opens a WebSocket that has been greeted.
func (s *site) connect(token string) *websocket.Conn {
	s.t.Helper()
	conn := s.dial()
	if e := s.tell(conn, `{"type":"auth","token":"`+token+`"}`); e["type"] != "ready" {
		s.t.Fatalf("greeted with %v", e)
	}
	return conn
}

// closedWith reads to the end of a WebSocket.
func (s *site) closedWith(conn *websocket.Conn) websocket.StatusCode {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func TestUserHasALimitOfRunningAnswers(t *testing.T) {
	s := open(t, transportDefaults, hub.Options{MaxRunning: 2}).users()
	ask := func(id string) string { return `{"content":"wait","message_id":"` + id + `"}` }
	first := hub.NewID()
	_, running := s.stream("POST", "/chat/stream", s.ann, ask(first))
	start := s.line(running, "data: ")
	s.stream("POST", "/chat/stream", s.ann, ask(hub.NewID()))
	res := s.send("POST", "/chat/stream", s.ann, "application/json", strings.NewReader(ask(hub.NewID())))
	if p := s.read(res, 429); p["code"] != string(hub.CodeTooManyRunning) || res.Header.Get("Retry-After") == "" {
		t.Errorf("the third got %v, Retry-After %q", p, res.Header.Get("Retry-After"))
	}
	_, again := s.stream("POST", "/chat/stream", s.ann, ask(first))
	if got := s.line(again, "data: "); got != start {
		t.Errorf("the first asked again got %s, want %s", got, start)
	}
	s.ask(s.bob, map[string]any{"content": "hello"})
	_, answer, _ := strings.Cut(start, `"message_id":"`)
	s.do("DELETE", "/chat/stream/"+answer[:36], s.ann, nil, 202)
	if _, err := io.Copy(io.Discard, running); err != nil {
		t.Fatal(err)
	}
	for { // the place is free an instant after the finish
		res := s.send("POST", "/chat/stream", s.ann, "application/json", strings.NewReader(`{"content":"x"}`))
		_, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == 200 {
			return
		}
	}
}

func TestTokenThatRunsOutEndsWhatIsOpen(t *testing.T) {
	t.Parallel()
	s := open(t, transport.Options{AccessTTL: time.Second}).users()
	token := s.another() // signed now, and not before bob's password was hashed
	_, events := s.stream("POST", "/chat/stream", token, `{"content":"wait"}`)
	conn, renewed := s.connect(token), s.connect(token)
	if code := s.closedWith(conn); code != 4401 { // some 7 s later: clocks may differ by 5
		t.Errorf("the WebSocket was closed with %d", code)
	}
	rest, err := io.ReadAll(events)
	if err != nil || bytes.Contains(rest, []byte("finish")) {
		t.Errorf("the event stream ended with %v: %s", err, rest)
	}
	if code := s.closedWith(renewed); code != 4401 {
		t.Errorf("the other WebSocket was closed with %d", code)
	}
}

func TestRenewedAuthKeepsAWebSocket(t *testing.T) {
	t.Parallel()
	s := open(t, transport.Options{AccessTTL: 2 * time.Second}).users()
	login := s.token(url.Values{"username": {"ann"}, "password": {"correct horse"}}, 200)
	old, conn := s.connect(login["access_token"].(string)), s.connect(login["access_token"].(string))
	ended := make(chan websocket.StatusCode, 1)
	go func() { ended <- s.closedWith(old) }()
	for renew := time.NewTicker(time.Second); ; {
		select {
		case code := <-ended:
			if e := s.tell(conn, `{"type":"ping"}`); code != 4401 || e["type"] != "pong" {
				t.Errorf("the old one was closed with %d; the renewed one said %v", code, e)
			}
			renew.Stop()
			return
		case <-renew.C:
			// A refresh costs no hashing, which may take longer than a token lasts.
			login = s.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {login["refresh_token"].(string)}}, 200)
			token := login["access_token"].(string)
			if e := s.tell(conn, `{"type":"auth","token":"`+token+`"}`); e["type"] != "ready" {
				t.Fatalf("a renewed auth got %v", e)
			}
		}
	}
}

func TestSilenceIsFilledWithHeartbeats(t *testing.T) {
	t.Parallel()
	s := open(t, transport.Options{Heartbeat: 20 * time.Millisecond}).users()
	_, events := s.stream("POST", "/chat/stream", s.ann, `{"content":"wait"}`)
	for range 3 {
		s.line(events, ": ")
	}
	dial := func(answers bool) (*websocket.Conn, chan struct{}) {
		pinged := make(chan struct{}, 1000)
		conn, _, err := websocket.Dial(t.Context(), s.url+"/ws", &websocket.DialOptions{
			HTTPClient: s.client, HTTPHeader: http.Header{"Authorization": {"Bearer " + s.ann}},
			OnPingReceived: func(context.Context, []byte) bool {
				select {
				case pinged <- struct{}{}:
				default:
				}
				return answers
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		return conn, pinged
	}
	alive, pinged := dial(true)
	dead, _ := dial(false)
	end := make(chan websocket.StatusCode, 1)
	go func() { end <- s.closedWith(alive) }()
	for range 3 {
		<-pinged
	}
	if code := s.closedWith(dead); code != -1 { // after the 10 s that a pong may take
		t.Errorf("a peer that answers no ping was closed with %d, want its connection cut", code)
	}
	select {
	case code := <-end:
		t.Errorf("a peer that answers pings was closed too, with %d", code)
	default:
	}
	_ = alive.CloseNow()
	<-end
}

func TestUserHasALimitOfWebSockets(t *testing.T) {
	s := open(t, transport.Options{MaxSockets: 2}).users()
	first := s.connect(s.ann)
	s.connect(s.ann)
	third := s.dial()
	if err := third.Write(t.Context(), websocket.MessageText, []byte(`{"type":"auth","token":"`+s.ann+`"}`)); err != nil {
		t.Fatal(err)
	}
	if code := s.closedWith(third); code != 4429 {
		t.Errorf("the third was closed with %d", code)
	}
	s.connect(s.bob)
	for range 1000 {
		if err := first.Write(t.Context(), websocket.MessageText, []byte(`{"type":"ping"}`)); err != nil {
			break // it has been closed
		}
	}
	if code := s.closedWith(first); code != 4429 {
		t.Errorf("a flood of commands was closed with %d", code)
	}
}

func TestShutdownSendsClientsElsewhere(t *testing.T) {
	s := open(t, transportDefaults).users()
	_, events := s.stream("POST", "/chat/stream", s.ann, `{"content":"wait"}`)
	s.line(events, "data: ")
	conn := s.connect(s.ann)
	code := make(chan websocket.StatusCode)
	go func() { code <- s.closedWith(conn) }()
	s.server.Shutdown(t.Context())
	if c := <-code; c != websocket.StatusServiceRestart {
		t.Errorf("the WebSocket was closed with %d", c)
	}
	rest, err := io.ReadAll(events)
	if err != nil || bytes.Contains(rest, []byte("finish")) {
		t.Errorf("the event stream ended with %v: %s", err, rest)
	}
	_, res, err := websocket.Dial(t.Context(), s.url+"/ws", &websocket.DialOptions{HTTPClient: s.client})
	if err == nil || res.StatusCode != 503 {
		t.Errorf("a new WebSocket: %v", err)
	}
}

func TestOnlyTrustedProxiesAreBelieved(t *testing.T) {
	for name, tt := range map[string]struct {
		proxies []string
		secure  bool
	}{
		"trusted":    {proxies: []string{"127.0.0.0/8"}, secure: true},
		"not listed": {proxies: []string{"10.0.0.0/8"}},
		"none":       {},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, transport.Unforgiving(transport.Options{TrustedProxies: tt.proxies})).users()
			logIn := func(name, from string) *http.Response {
				form := url.Values{"username": {name}, "password": {"correct horse"}, "cookie": {"true"}}
				req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/token", strings.NewReader(form.Encode()))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.Header.Set("X-Forwarded-Proto", "https")
				req.Header.Set("X-Forwarded-For", from)
				res, err := s.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				return res
			}
			res := logIn("ann", "192.0.2.1")
			if got := res.Header.Get("Strict-Transport-Security") != ""; got != tt.secure || res.Cookies()[0].Secure != tt.secure {
				t.Errorf("taken for TLS: %v, want %v", got, tt.secure)
			}
			for i := 0; logIn("nobody"+string(rune('a'+i%26))+string(rune('a'+i/26)), "192.0.2.1").StatusCode != 429; i++ {
				if i > 100 {
					t.Fatal("an address may guess for ever")
				}
			}
			if got := logIn("bob", "192.0.2.2").StatusCode == 200; got != tt.secure {
				t.Errorf("another address behind the proxy may log in: %v, want %v", got, tt.secure)
			}
		})
	}
}

func TestPresenceIsCounted(t *testing.T) {
	s := open(t, transportDefaults).users()
	_, session, _ := s.ask(s.ann, map[string]any{"content": "hello"})
	first, second := s.connect(s.ann), s.connect(s.ann)
	subscribe := `{"type":"subscribe","ref":1,"session_id":"` + session + `"}`
	s.tell(first, subscribe)
	s.tell(second, subscribe)
	until := func(want string) {
		for {
			_, data, err := first.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(data), `"type":"presence"`) && strings.Contains(string(data), want) {
				return
			}
		}
	}
	until(`"viewers":2`)
	if err := second.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	until(`"viewers":1`)
}
