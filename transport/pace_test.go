package transport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
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
	"github.com/omnichat/omnichat/transport/outlet"
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

// accept makes a request's connection a socket that is tended. room gets
// something when all is sent that there was no room for.
func accept(s *Server, rw http.ResponseWriter, r *http.Request) (w *socket, room chan struct{}, err error) {
	s.conns.clients.enter()
	w = &socket{conns: s.conns, nextPing: time.Now().Add(s.opt.Heartbeat)}
	w.who.expires = time.Now().Add(time.Hour)
	w.conn, err = websocket.Accept(outlet.Takeover{ResponseWriter: rw, Out: &w.out, Patience: stuckAfter, Workers: &s.conns.clients.wg}, r, &websocket.AcceptOptions{OnPongReceived: w.pong})
	if err != nil {
		return nil, nil, err
	}
	room = make(chan struct{}, 1)
	w.out.OnRoom(func() {
		select {
		case room <- struct{}{}:
		default: // nobody has looked since the last time
		}
	})
	s.conns.clients.keep(w)
	return w, room, nil
}

// quiet is a server that nobody has an account on.
func quiet(heartbeat time.Duration) *Server {
	return New(nil, nil, Options{Heartbeat: heartbeat, Recheck: time.Hour, Logger: slog.New(slog.DiscardHandler)})
}

// TestSlowWebSocketGetsALargeWrite is a client that reads 100 KB/s and is sent
// 4 MB, with and without a network that holds 2 MB: it takes 42 s.
func TestSlowWebSocketGetsALargeWrite(t *testing.T) {
	for name, holds := range map[string]int{"directly": 0, "through a network that holds much": 2 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLink()
				l.speed, l.holds = 100<<10, holds
				s := quiet(7 * time.Second)
				defer s.Shutdown(t.Context())
				ended := make(chan error, 1)
				stop := slowPeer(l, func(rw http.ResponseWriter, r *http.Request) {
					w, room, err := accept(s, rw, r)
					if err != nil {
						ended <- err
						return
					}
					var writer sync.WaitGroup
					writer.Go(func() {
						if !w.Write(large) {
							<-room
						}
						if !w.Write([]byte("and then\n")) {
							<-room
						}
					})
					_, _, err = w.conn.Read(context.Background()) // answers pings, until the client has all
					if err != nil {
						err = fmt.Errorf("the connection was cut: %w", err)
					}
					writer.Wait()
					_ = w.conn.CloseNow()
					s.conns.clients.remove(w)
					s.conns.clients.exit()
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

// peer is a client that is no more than a connection. Its socket is run, and how
// that ended is told.
func peer(t *testing.T, s *Server, run func(w *socket) error) (conn net.Conn, ended chan error) {
	l := newLink()
	ended = make(chan error, 1)
	stop := slowPeer(l, func(rw http.ResponseWriter, r *http.Request) {
		w, _, err := accept(s, rw, r)
		if err == nil {
			err = run(w)
			s.conns.clients.remove(w)
			s.conns.clients.exit()
		}
		ended <- err
	})
	conn = l.dial()
	fmt.Fprint(conn, upgrade)
	t.Cleanup(func() {
		conn.Close()
		stop()
		s.Shutdown(context.Background())
	})
	return conn, ended
}

// read reads a socket until it ends.
func read(w *socket) error {
	_, _, err := w.conn.Read(context.Background())
	return err
}

// TestStuckWebSocketIsCut is a client that stops reading in the middle.
func TestStuckWebSocketIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, ended := peer(t, quiet(time.Hour), func(w *socket) error {
			w.Write(large)
			return read(w)
		})
		began := time.Now()
		if _, err := io.ReadFull(conn, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil || time.Since(began) != stuckAfter {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestGoneWebSocketIsCut is a client that answers no ping.
func TestGoneWebSocketIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, ended := peer(t, quiet(20*time.Second), read)
		began := time.Now()
		got, _ := io.ReadAll(conn) // until it is cut
		err := <-ended
		if took := time.Since(began); err == nil || !bytes.HasSuffix(got, []byte{0x89, 1, 1}) || took < 30*time.Second || took > 32*time.Second {
			t.Errorf("after %s: %q, %v", took, got, err)
		}
	})
}

const upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"

// TestPeerThatOnlyPingsIsCut is a client that has us answer pings and reads
// nothing: what waits for it is bounded.
func TestPeerThatOnlyPingsIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, ended := peer(t, quiet(time.Hour), func(w *socket) error {
			_ = read(w)
			return w.out.Err()
		})
		if _, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil); err != nil {
			t.Fatal(err)
		}
		ping := append([]byte{0x89, 0x80 | 125, 0, 0, 0, 0}, make([]byte, 125)...)
		began, sent := time.Now(), 0
		for {
			n, err := conn.Write(ping)
			if sent += n; err != nil {
				break
			}
		}
		if err := <-ended; !errors.Is(err, outlet.ErrOwed) || sent > 2*outlet.OwedMax || time.Since(began) > 0 {
			t.Errorf("after %s and %d bytes of pings: %v", time.Since(began), sent, err)
		}
	})
}

// TestNothingFollowsACloseFrame is a server that closes while tokens come.
func TestNothingFollowsACloseFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closing := make(chan *socket, 1)
		conn, _ := peer(t, quiet(time.Hour), func(w *socket) error {
			w.Write([]byte("before\n"))
			closing <- w
			w.end(closeServiceRestart, "bye")
			return nil
		})
		in := bufio.NewReader(conn)
		if _, err := http.ReadResponse(in, nil); err != nil {
			t.Fatal(err)
		}
		w := <-closing
		got := make([]byte, 2+len("before")+2+2+len("bye"))
		if _, err := io.ReadFull(in, got); err != nil {
			t.Fatal(err)
		}
		if w.Write([]byte("after\n")) {
			t.Error("a token was taken after the close frame")
		}
		rest, _ := io.ReadAll(in)
		if want := "\x81\x06before\x88\x05\x03\xf4bye"; string(got) != want || len(rest) > 0 {
			t.Errorf("%q and then %q, want %q", got, rest, want)
		}
	})
}

// TestSlowEventStreamGetsALargeWrite is the same client of an event stream, on
// a bare connection and behind net/http.
func TestSlowEventStreamGetsALargeWrite(t *testing.T) {
	for _, bare := range []bool{true, false} {
		t.Run(fmt.Sprintf("bare=%v", bare), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLink()
				l.speed = 100 << 10
				var workers sync.WaitGroup
				defer workers.Wait()
				stop := slowPeer(l, func(w http.ResponseWriter, _ *http.Request) {
					if !bare {
						if err := (flushed{w, http.NewResponseController(w)}).write(large); err != nil {
							t.Error(err)
						}
						return
					}
					e := &eventStream{}
					if _, _, err := (outlet.Takeover{ResponseWriter: w, Out: &e.out, Patience: writeTimeout, Workers: &workers}).Hijack(); err != nil {
						t.Error(err)
					}
					e.out.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"))
					e.Write(large)
					e.End()
				})
				defer stop()
				conn := l.dial()
				defer conn.Close()
				fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				began := time.Now()
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := io.ReadAll(res.Body) // the link's end is no clean one
				if took := time.Since(began); !bytes.Equal(got, large) || took < 40*time.Second {
					t.Errorf("%d bytes of %d after %s", len(got), len(large), took)
				}
			})
		})
	}
}

// TestSlowBodyIsCut is a client that sends a byte a second.
func TestSlowBodyIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink()
		s := quiet(time.Hour)
		defer s.Shutdown(t.Context())
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
