package transport

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// large is a snapshot of 4 MB.
var large = []byte(`{"type":"snapshot","text":"` + strings.Repeat("0123456789abcdef", 4<<20/16) + `"}` + "\n")

// slowPeer starts a server on the link whose one handler is f.
func slowPeer(l *link, f http.HandlerFunc) (stop func()) {
	srv := &http.Server{Handler: f, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	return func() { _ = srv.Close(); <-done }
}

// TestSlowWebSocketGetsALargeWrite is a client that reads 100 KB/s and is sent
// 4 MB, with and without a network that holds 2 MB: it takes 42 s.
func TestSlowWebSocketGetsALargeWrite(t *testing.T) {
	for name, holds := range map[string]int{"directly": 0, "through a network that holds much": 2 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLink()
				l.speed, l.holds = 100<<10, holds
				ended := make(chan error, 1)
				stop := slowPeer(l, func(rw http.ResponseWriter, r *http.Request) {
					conn, err := websocket.Accept(rw, r, nil)
					if err != nil {
						ended <- err
						return
					}
					w := &socket{server: &Server{opt: Options{Heartbeat: 7 * time.Second}}, conn: conn}
					w.stuck = time.AfterFunc(time.Hour, func() { _ = conn.CloseNow() })
					ctx, cancel := context.WithCancel(context.Background())
					pinged := make(chan struct{})
					go func() { defer close(pinged); w.ping(ctx) }()
					written := make(chan error, 1)
					go func() {
						err := w.Write(ctx, large)
						if err == nil {
							err = w.Write(ctx, []byte("and then\n"))
						}
						written <- err
					}()
					_, _, err = conn.Read(ctx) // answers pings, until the client has all
					if err != nil {
						err = fmt.Errorf("the connection was cut: %w, %w", err, <-written)
					}
					cancel()
					<-pinged
					_ = conn.CloseNow()
					ended <- err
				})
				defer stop()
				client, _, err := websocket.Dial(t.Context(), "http://link/", &websocket.DialOptions{HTTPClient: &http.Client{
					Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil }},
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer client.CloseNow()
				client.SetReadLimit(-1)
				began := time.Now()
				for _, want := range [][]byte{bytes.TrimSuffix(large, []byte("\n")), []byte("and then")} {
					if _, got, err := client.Read(t.Context()); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("after %s: %d bytes of %d, %v", time.Since(began), len(got), len(want), err)
					}
				}
				if err := client.Write(t.Context(), websocket.MessageText, []byte("thanks")); err != nil {
					t.Fatal(err)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took < 40*time.Second {
					t.Errorf("the slow client took %s only", took)
				}
			})
		})
	}
}

// TestStuckWebSocketIsCut is a client that stops reading in the middle.
func TestStuckWebSocketIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink()
		ended := make(chan error, 1)
		stop := slowPeer(l, func(rw http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(rw, r, nil)
			if err != nil {
				ended <- err
				return
			}
			w := &socket{conn: conn}
			w.stuck = time.AfterFunc(time.Hour, func() { _ = conn.CloseNow() })
			ended <- w.Write(r.Context(), large)
		})
		defer stop()
		conn := l.dial()
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
		began := time.Now()
		if _, err := io.ReadFull(conn, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil || time.Since(began) != stuckAfter {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

func TestSlowEventStreamGetsALargeWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink()
		l.speed = 100 << 10
		written := make(chan error, 1)
		stop := slowPeer(l, func(w http.ResponseWriter, r *http.Request) {
			written <- sseSink{w: w, rc: http.NewResponseController(w)}.Write(r.Context(), large)
		})
		defer stop()
		conn := l.dial()
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(res.Body) // the link's end is no clean one
		if err := <-written; err != nil || !bytes.Equal(got, large) {
			t.Errorf("%d bytes of %d, %v", len(got), len(large), err)
		}
	})
}

// TestSlowBodyIsCut is a client that sends a byte a second.
func TestSlowBodyIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink()
		s := New(nil, nil, Options{Logger: slog.New(slog.DiscardHandler)})
		stop := slowPeer(l, s.Handler().ServeHTTP)
		defer stop()
		conn := l.dial()
		var writer sync.WaitGroup
		defer writer.Wait()
		defer conn.Close()
		began := time.Now()
		fmt.Fprint(conn, "POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		writer.Go(func() {
			for {
				time.Sleep(time.Second)
				if _, err := conn.Write([]byte(" ")); err != nil {
					return
				}
			}
		})
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if took := time.Since(began); err != nil || res.StatusCode != 408 || !res.Close || took != bodyTimeout || !bytes.Contains(b, []byte(`"request_timeout"`)) {
			t.Errorf("after %s: %s, closed %v, %s, %v", took, res.Status, res.Close, b, err)
		}
	})
}
