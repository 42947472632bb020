package transport

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// serving starts a server with a page of that size on the link. What becomes of
// its connections is told.
func serving(t *testing.T, l *link, size int) (states chan http.ConnState) {
	s := New(nil, nil, Options{
		Logger: slog.New(slog.DiscardHandler), Web: fstest.MapFS{"index.html": {Data: []byte(strings.Repeat("x", size))}},
	})
	states = make(chan http.ConnState, 16)
	srv := &http.Server{
		Handler: s.Handler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ConnState: func(_ net.Conn, state http.ConnState) { states <- state },
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done; s.Shutdown(t.Context()) })
	return states
}

func TestPeerThatReadsNothingIsLetGo(t *testing.T) {
	for name, request := range map[string]string{
		"a large response":   "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"a small one":        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
		"a problem":          "GET /sessions HTTP/1.1\r\nHost: x\r\n\r\n",
		"one without a body": "OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLink()
				states := serving(t, l, 1<<20)
				conn := l.dial()
				defer conn.Close()
				if _, err := io.WriteString(conn, request); err != nil {
					t.Fatal(err)
				}
				late := time.After(time.Hour)
				for state := http.StateNew; state != http.StateClosed; {
					select {
					case state = <-states:
					case <-late:
						t.Fatal("an hour later the connection is open")
					}
				}
			})
		})
	}
}

// TestSlowPeerGetsALargeResponse reads 20 KB/s: 200 s for all of it.
func TestSlowPeerGetsALargeResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink()
		l.speed = 20 << 10
		serving(t, l, 4<<20)
		conn := l.dial()
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); n != 4<<20 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		_ = res.Body.Close()
	})
}

// TestDeadlineIsOfOneResponse keeps a connection for longer than a response may
// take, and has it used again.
func TestDeadlineIsOfOneResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink()
		serving(t, l, 1)
		conn := l.dial()
		defer conn.Close()
		r := bufio.NewReader(conn)
		say := func(text string) {
			t.Helper()
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
		}
		hear := func(want int) {
			t.Helper()
			res, err := http.ReadResponse(r, nil)
			if err != nil || res.StatusCode != want {
				t.Fatalf("%+v, %v; want %d", res, err, want)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
		}
		for range 2 {
			say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			hear(200)
			time.Sleep(2 * replyTimeout)
		}
		say("POST /attachments?name=x HTTP/1.1\r\nHost: x\r\n\r\n")
		hear(401)
		time.Sleep(2 * replyTimeout)
		say("POST /token HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\n")
		hear(100)
		time.Sleep(bodyTimeout - time.Second)
		say("x=y")
		hear(400)
	})
}
