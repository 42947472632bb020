package transport_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/omnichat/omnichat/transport"
)

// behind is the site over TLS and HTTP/2, where there is no connection to take
// from net/http.
func (s *site) behind() *site {
	s.t.Helper()
	srv := httptest.NewUnstartedServer(s.server.Handler())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	s.t.Cleanup(srv.Close)
	other := *s
	other.url, other.client = srv.URL, srv.Client()
	return &other
}

// gone waits until nobody follows anything.
func (s *site) gone() {
	s.t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	late := time.After(20 * time.Second)
	for s.hub.Stats().Viewers > 0 {
		select {
		case <-look.C:
		case <-late:
			s.t.Fatalf("%d subscriptions are left", s.hub.Stats().Viewers)
		}
	}
}

// TestAnswerIsTheSameBehindNetHTTP asks, attaches and hangs up on a bare
// connection and over HTTP/2.
func TestAnswerIsTheSameBehindNetHTTP(t *testing.T) {
	bare := open(t, transport.Options{Heartbeat: 40 * time.Millisecond}).users()
	for name, s := range map[string]*site{"bare": bare, "HTTP/2": bare.behind()} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			text, _, answer := s.ask(s.ann, map[string]any{"content": "one two"})
			if !strings.Contains(text, "one") || !strings.Contains(text, "two") || !strings.Contains(text, `"reason":"stop"`) {
				t.Errorf("asked: %s", text)
			}
			res, events := s.stream("GET", "/chat/stream/"+answer, s.ann, "")
			again, err := io.ReadAll(events)
			if err != nil || !strings.Contains(string(again), `"text":"one two"`) || !strings.Contains(string(again), `"reason":"stop"`) {
				t.Errorf("attached over %s: %s, %v", res.Proto, again, err)
			}
			res, events = s.stream("POST", "/chat/stream", s.ann, `{"content":"wait"}`)
			for range 3 {
				s.line(events, ": ") // heartbeats, while the provider thinks
			}
			if s.hub.Stats().Viewers == 0 {
				t.Error("nobody follows the answer that is read")
			}
			res.Body.Close()
			s.gone()
		})
	}
}

// TestShutdownEndsWhatIsLeft is a server that goes away while answers are read.
func TestShutdownEndsWhatIsLeft(t *testing.T) {
	bare := open(t, transport.Options{}).users()
	behind := bare.behind()
	for _, s := range []*site{bare, behind} {
		_, events := s.stream("POST", "/chat/stream", s.ann, `{"content":"wait"}`)
		s.line(events, "data: ")
		ended := make(chan string, 1)
		go func() { rest, _ := io.ReadAll(events); ended <- string(rest) }()
		defer func() {
			if rest := <-ended; strings.Contains(rest, "finish") {
				t.Errorf("an answer that goes on ended with %s", rest)
			}
		}()
	}
	bare.server.Shutdown(t.Context())
	req, err := http.NewRequestWithContext(t.Context(), "POST", bare.url+"/chat/stream", strings.NewReader(`{"content":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bare.ann)
	req.Header.Set("Content-Type", "application/json")
	res, err := bare.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	bare.read(res, 503)
}
