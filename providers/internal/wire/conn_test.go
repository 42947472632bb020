package wire

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub/pace"
)

// pipe is a connection of a client to a peer.
func pipe(t *testing.T) (*conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := dialing(&net.Dialer{})(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close(); peer.Close() })
	if err := dialed.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return dialed.(*conn), peer.(*net.TCPConn)
}

// TestHushedConnectionMissesNothing reads what came before and what comes while
// the reader waits already, a little each time.
func TestHushedConnectionMissesNothing(t *testing.T) {
	c, peer := pipe(t)
	buf := make([]byte, 100)
	for range 50 {
		for _, early := range []bool{true, false} {
			c.hush(func() {})
			sent := make(chan error, 1)
			send := func() {
				_, err := peer.Write([]byte("token"))
				sent <- err
			}
			if early {
				send()
			} else {
				go send()
			}
			n, err := io.ReadFull(c, buf[:5])
			if err != nil || string(buf[:n]) != "token" {
				t.Fatalf("read %q, %v", buf[:n], err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestHushedConnectionEnds(t *testing.T) {
	for name, end := range map[string]struct {
		close func(*net.TCPConn) error
		want  error
	}{
		"closed": {(*net.TCPConn).Close, io.EOF},
		"reset": {func(p *net.TCPConn) error {
			if err := p.SetLinger(0); err != nil {
				return err
			}
			return p.Close()
		}, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			for _, early := range []bool{true, false} {
				c, peer := pipe(t)
				c.hush(func() {})
				closed := make(chan error, 1)
				if early {
					closed <- end.close(peer)
				} else {
					go func() { closed <- end.close(peer) }()
				}
				if n, err := c.Read(make([]byte, 10)); n != 0 || !errors.Is(err, end.want) {
					t.Errorf("early %t: read %d bytes, %v", early, n, err)
				}
				if err := <-closed; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestHushedConnectionUnderTLS reads records one by one.
func TestHushedConnectionUnderTLS(t *testing.T) {
	next := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range next {
			_, _ = io.WriteString(w, "data: token\n\n")
			_ = http.NewResponseController(w).Flush()
		}
	}))
	defer server.Close()
	defer close(next)
	dialed, err := dialing(&net.Dialer{})(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	secure := tls.Client(dialed, config)
	defer secure.Close()
	if _, err := io.WriteString(secure, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	next <- struct{}{}
	in := bufio.NewReader(secure)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	events := NewReader(res.Body)
	for n := range 50 {
		if n > 0 {
			dialed.(*conn).hush(func() {})
			next <- struct{}{}
		}
		if e, err := events.Next(); err != nil || string(e.Data) != "token" {
			t.Fatalf("event %d: %q, %v", n, e.Data, err)
		}
	}
}

// endedBody has one line, without its end, and counts who asks for more.
type endedBody struct{ asked int }

func (b *endedBody) Read(p []byte) (int, error) {
	if b.asked++; b.asked == 1 {
		return copy(p, "data: end"), nil
	}
	return 0, io.EOF
}

// TestNothingIsReadAfterTheEnd holds that a connection is left alone from the end
// of its answer on: it may be another's by then.
func TestNothingIsReadAfterTheEnd(t *testing.T) {
	body := &endedBody{}
	r := NewReader(&lively{body: body, turn: pace.Of(t.Context()), silence: time.NewTimer(time.Hour), idle: time.Hour})
	if e, err := r.Next(); err != nil || string(e.Data) != "end" {
		t.Errorf("read %q, %v", e.Data, err)
	}
	for range 3 {
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
	}
	if body.asked != 2 {
		t.Errorf("the body was asked %d times", body.asked)
	}
}
