package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/transport/outlet"
)

// connected is a sink, and the client at its other end.
type connected struct {
	sink   hub.Sink
	room   chan struct{} // gets something when the sink has room again
	client io.Reader     // the batches that have come, one after the other
}

// deliver gives the sink a batch, waits until it has room for another, and reads what
// comes of it.
func (c connected) deliver(t *testing.T, batch []byte) {
	t.Helper()
	ready := make(chan struct{})
	go func() {
		defer close(ready)
		given := slices.Clone(batch)
		room := c.sink.Write(given)
		clear(given) // it is the caller's again
		if !room {
			<-c.room
		}
	}()
	got := make([]byte, len(batch))
	if _, err := io.ReadFull(c.client, got); err != nil || !bytes.Equal(got, batch) {
		t.Fatalf("of a batch of %d bytes other ones came, or %v", len(batch), err)
	}
	<-ready
}

// viewing is a viewer that hands out its sink.
type viewing struct {
	to   chan<- connected
	room chan struct{}
}

func (v viewing) Start(sink hub.Sink) { v.to <- connected{sink: sink, room: v.room} }
func (v viewing) Resume()             { v.room <- struct{}{} }

// messages reads a WebSocket's messages as lines.
type messages struct {
	conn *websocket.Conn
	left []byte
}

func (m *messages) Read(p []byte) (int, error) {
	if len(m.left) == 0 {
		_, data, err := m.conn.Read(context.Background())
		if err != nil {
			return 0, io.EOF
		}
		m.left = slices.Concat(data, []byte("\n"))
	}
	n := copy(p, m.left)
	m.left = m.left[n:]
	return n, nil
}

// sinks opens a connection for each kind of sink that a client can have.
var sinks = map[string]func(t *testing.T, s *Server) connected{
	"WebSocket": func(t *testing.T, s *Server) connected {
		opened := make(chan connected, 1)
		url := listenTo(t, func(rw http.ResponseWriter, r *http.Request) {
			w, room, err := accept(s, rw, r)
			if err != nil {
				t.Error(err)
				return
			}
			opened <- connected{sink: w, room: room}
			_ = read(w)
			s.conns.clients.remove(w)
			s.conns.clients.exit()
		})
		conn, _, err := websocket.Dial(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetReadLimit(-1)
		t.Cleanup(func() { _ = conn.CloseNow() })
		c := <-opened
		c.client = &messages{conn: conn}
		return c
	},
	"event stream": func(t *testing.T, _ *Server) connected {
		opened := make(chan connected, 1)
		var workers sync.WaitGroup
		t.Cleanup(workers.Wait)
		url := listenTo(t, func(rw http.ResponseWriter, _ *http.Request) {
			e, room := &eventStream{}, make(chan struct{}, 1)
			if _, _, err := (outlet.Takeover{ResponseWriter: rw, Out: &e.out, Patience: time.Minute, Workers: &workers}).Hijack(); err != nil {
				t.Error(err)
			}
			e.out.OnRoom(func() { room <- struct{}{} })
			if !e.out.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")) {
				<-room
			}
			opened <- connected{sink: e, room: room}
		})
		body := get(t, url)
		c := <-opened
		c.client = body
		return c
	},
	"event stream behind net/http": func(t *testing.T, s *Server) connected {
		opened := make(chan connected, 1)
		url := listenTo(t, func(rw http.ResponseWriter, r *http.Request) {
			w := flushed{rw, http.NewResponseController(rw)}
			_ = w.rc.Flush()
			_ = s.chats.pump(r.Context(), identity{expires: time.Now().Add(time.Hour)}, viewing{opened, make(chan struct{}, 1)}, w)
		})
		body := get(t, url)
		c := <-opened
		c.client = body
		return c
	},
}

// listenTo starts a server with one handler, whose system buffers are small.
func listenTo(t *testing.T, f http.HandlerFunc) (url string) {
	srv := httptest.NewUnstartedServer(f)
	srv.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if tcp, ok := c.(*net.TCPConn); ok && state == http.StateNew {
			_ = tcp.SetWriteBuffer(16 << 10)
		}
	}
	srv.Start()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

func get(t *testing.T, url string) io.Reader {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res.Body
}

// TestSinks holds what hub.Sink promises for every kind of sink.
func TestSinks(t *testing.T) {
	for name, open := range sinks {
		t.Run(name, func(t *testing.T) {
			s := quiet(time.Hour)
			t.Cleanup(func() { s.Shutdown(context.Background()) })
			t.Run("batches come whole and in order", func(t *testing.T) {
				c := open(t, s)
				for i := range 300 {
					c.deliver(t, fmt.Appendf(nil, "%d %s\n", i, bytes.Repeat([]byte("x"), i*i%70_000)))
				}
				c.sink.End()
			})
			t.Run("a client that does not read holds up nobody", func(t *testing.T) {
				c := open(t, s)
				batch := append(bytes.Repeat([]byte("y"), 64<<10-1), '\n')
				write := func() (room bool) {
					given := slices.Clone(batch)
					defer clear(given) // it is the caller's again
					return c.sink.Write(given)
				}
				n := 1
				for ; write(); n++ { // which would hang if it waited
					if n > 10_000 {
						t.Fatal("there is room for everything")
					}
				}
				got := make([]byte, n*len(batch))
				if _, err := io.ReadFull(c.client, got); err != nil || !bytes.Equal(got, bytes.Repeat(batch, n)) {
					t.Fatalf("of %d batches not all came whole: %v", n, err)
				}
				<-c.room // that there is room again is told once all is sent
				c.deliver(t, batch)
				c.sink.End()
			})
			t.Run("nothing follows the end", func(t *testing.T) {
				c := open(t, s)
				c.deliver(t, []byte("last\n"))
				c.sink.End()
				if rest, err := io.ReadAll(c.client); err != nil || len(rest) > 0 {
					t.Errorf("after the end: %q, %v", rest, err)
				}
			})
		})
	}
}
