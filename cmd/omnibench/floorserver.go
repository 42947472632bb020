package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	"github.com/coder/websocket"

	"github.com/omnichat/omnichat/hub"
)

// The floors: what a server costs that does nothing but fan out.
const (
	floorRaw        = "floor-raw"         // a ready frame, one write for each socket
	floorCoderWrite = "floor-coder-write" // coder/websocket's Write, from a goroutine and a queue for each connection
)

const (
	recordSize = 4 + tokenSize // a token on its way to the floor: its stream, and it
	queued     = 128           // messages that a connection's goroutine may be behind
)

// floor is the server of a floor. It is a process of its own: this program,
// started again.
type floor struct {
	mode string

	mu      sync.RWMutex
	streams []floorStream
}

type floorStream struct {
	id     string
	seq    int64
	raw    []*net.TCPConn
	rawSSE []*net.TCPConn
	queues []chan []byte
}

// serveFloor is the hidden sub-command.
func serveFloor(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("floor", flag.ContinueOnError)
	mode := flags.String("mode", floorRaw, "")
	streams := flags.Int("streams", 1, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	f := &floor{mode: *mode, streams: make([]floorStream, *streams)}
	for i := range f.streams {
		f.streams[i].id = hub.NewID()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tokens", f.take)
	mux.HandleFunc("GET /ws/{stream}", f.ws)
	mux.HandleFunc("GET /sse/{stream}", f.sse)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The floor is ready: http://%s\n", l.Addr())
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	return http.Serve(l, mux)
}

// stream is the one that a request names.
func (f *floor) stream(r *http.Request) (*floorStream, bool) {
	n, err := strconv.Atoi(r.PathValue("stream"))
	if err != nil || n < 0 || n >= len(f.streams) {
		return nil, false
	}
	return &f.streams[n], true
}

// ws takes a viewer over WebSocket.
func (f *floor) ws(w http.ResponseWriter, r *http.Request) {
	s, ok := f.stream(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if f.mode == floorCoderWrite {
		f.write(w, r, s)
		return
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, section 4.2.2
	head := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
	f.mu.Lock() // who has the head gets the next token
	defer f.mu.Unlock()
	if conn := hijack(w, head); conn != nil {
		s.raw = append(s.raw, conn)
	}
}

// sse takes a viewer of an event stream.
func (f *floor) sse(w http.ResponseWriter, r *http.Request) {
	s, ok := f.stream(r)
	if !ok || f.mode != floorRaw {
		http.NotFound(w, r)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if conn := hijack(w, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"); conn != nil {
		s.rawSSE = append(s.rawSSE, conn)
	}
}

// hijack takes the bare socket of a request, whose handler may then return.
func hijack(w http.ResponseWriter, head string) *net.TCPConn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	if _, err := io.WriteString(conn, head); err != nil {
		conn.Close()
		return nil
	}
	return conn.(*net.TCPConn)
}

// write is a connection's goroutine.
func (f *floor) write(w http.ResponseWriter, r *http.Request, s *floorStream) {
	queue := make(chan []byte, queued)
	f.mu.Lock()
	s.queues = append(s.queues, queue)
	f.mu.Unlock()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx := conn.CloseRead(context.Background())
	for {
		select {
		case message := <-queue:
			if conn.Write(context.Background(), websocket.MessageText, message) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// take reads tokens from the connection that brings all of them.
func (f *floor) take(w http.ResponseWriter, r *http.Request) {
	conn := hijack(w, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }() // this program ends with it
	in := bufio.NewReaderSize(conn, 64<<10)
	var record [recordSize]byte
	for {
		if _, err := io.ReadFull(in, record[:]); err != nil {
			return
		}
		f.deliver(&f.streams[binary.BigEndian.Uint32(record[:])], record[4:])
	}
}

// deliver brings a token to the stream's viewers. Whom it cannot be written to
// is seen to be missing it at the other end.
func (f *floor) deliver(s *floorStream, token []byte) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	event := append(make([]byte, 0, 2*len(deltaHead)+idSize+tokenSize+40), deltaHead...)
	event = append(append(event, s.id...), `","seq":`...)
	event = append(strconv.AppendInt(event, s.seq, 10), textHead...)
	event = append(append(event, token...), deltaTail...)
	if len(s.raw) > 0 {
		ready := serverFrame(event)
		for _, c := range s.raw {
			_, _ = c.Write(ready)
		}
	}
	if len(s.rawSSE) > 0 {
		ready := fmt.Appendf(nil, "id: %d\ndata: %s\n\n", s.seq, event)
		for _, c := range s.rawSSE {
			_, _ = c.Write(ready)
		}
	}
	for _, q := range s.queues {
		q <- event
	}
	s.seq++
}
