package transport

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// chunk is the bytes of a write that go out at a time: a slow client may take
// long for a large write as long as it takes something. What a viewer writes
// token by token is smaller.
const chunk = 32 << 10

// sendBuffer is what the system holds for a client: what lies in a larger one
// hides how slow a peer is.
const sendBuffer = 128 << 10

// An outlet is the write side of a connection that was taken from net/http. A
// write never waits: what the system has no room for is left to a goroutine
// that lives as long as it takes the peer to read it.
type outlet struct {
	conn     net.Conn
	fd       int             // of a bare socket, which is open until err is set; else -1
	patience time.Duration   // for a peer that takes nothing
	resume   func()          // called when all is sent that there was no room for
	closed   func()          // called once, from a goroutine of its own, after the end; may be nil
	workers  *sync.WaitGroup // of whoever owns the connection, who is one of them until closed

	mu       sync.Mutex
	rest     []byte // what there was no room for; it ends where a frame does
	draining bool   // a goroutine sends it
	owed     int    // bytes of control frames in it
	last     bool   // nothing follows: the end is when all is sent
	muted    bool   // a close frame was sent: no other may follow
	err      error  // set at the end
	sent     int64  // bytes given to the system
}

// init makes the outlet of a connection.
func (o *outlet) init(conn net.Conn, patience time.Duration, workers *sync.WaitGroup) {
	o.conn, o.patience, o.workers, o.resume, o.fd = conn, patience, workers, func() {}, -1
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetWriteBuffer(sendBuffer) // without it a slow peer is noticed late
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { o.fd = int(fd) }) // else a goroutine writes
	}
}

// write sends p, or what the system takes of it at once. It returns false if
// there was no room for all.
func (o *outlet) write(p []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.muted && o.send(p)
}

// writeBoth sends two parts that nothing may come between.
func (o *outlet) writeBoth(head, body []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.muted {
		return false
	}
	_ = o.send(head) // without room for it, there is none for what follows
	return o.send(body)
}

// send is write for who holds o.mu.
func (o *outlet) send(p []byte) bool {
	switch {
	case o.err != nil || o.last:
		return false
	case o.draining:
		o.rest = append(o.rest, p...)
		return false
	}
	n := 0
	if o.fd >= 0 {
		// Not through conn, whose locks and waits are not needed: only end, which
		// holds o.mu, closes it.
		var err error
		if n, err = writeNow(o.fd, p); err != nil {
			o.end(err)
			return false
		}
	}
	o.sent += int64(n)
	if n == len(p) {
		return true
	}
	o.rest, o.draining = append([]byte(nil), p[n:]...), true
	o.workers.Go(o.drain)
	return false
}

// drain sends the rest at the peer's pace.
func (o *outlet) drain() {
	for {
		o.mu.Lock()
		rest := o.rest
		o.rest = nil
		if len(rest) == 0 || o.err != nil {
			o.draining, o.owed = false, 0
			over, resume := o.err != nil || o.last, o.resume
			if o.last {
				o.discard()
				o.end(io.EOF)
			}
			o.mu.Unlock()
			if !over {
				resume()
			}
			return
		}
		o.mu.Unlock()
		for part := range slices.Chunk(rest, chunk) {
			err := o.conn.SetWriteDeadline(time.Now().Add(o.patience))
			if err == nil {
				_, err = o.conn.Write(part)
			}
			o.mu.Lock()
			if err != nil {
				o.end(err)
			} else {
				o.sent += int64(len(part))
			}
			o.mu.Unlock()
			if err != nil {
				break
			}
		}
	}
}

// end closes the connection, once. The caller holds o.mu.
func (o *outlet) end(err error) {
	if o.err != nil {
		return
	}
	o.err = err
	_ = o.conn.Close() // nothing can be done about it
	if o.closed != nil {
		o.workers.Go(o.closed)
	}
}

// finish closes the connection when all is sent.
func (o *outlet) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = true
	if !o.draining {
		o.discard()
		o.end(io.EOF)
	}
}

// cut ends the connection now.
func (o *outlet) cut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end(net.ErrClosed)
}

// onRoom sets what is called when there is room again.
func (o *outlet) onRoom(resume func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.resume = resume
}

// over says that the connection has ended.
func (o *outlet) over() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err != nil
}

// state is the bytes sent, and whether the peer is behind.
func (o *outlet) state() (sent int64, behind bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent, o.draining
}

// discard reads what a peer sent that nobody wants: a connection that is closed
// on it is reset, and what was sent may be lost. It returns false if the peer is
// gone. The caller holds o.mu.
func (o *outlet) discard() bool {
	return o.fd < 0 || o.err != nil || readNow(o.fd)
}

// probe ends the connection if the peer has hung up.
func (o *outlet) probe() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.discard() {
		o.end(io.EOF)
	}
}

// hijacked is a connection whose writes go through an outlet: what the WebSocket
// library writes, control frames, waits its turn there.
type hijacked struct {
	net.Conn
	from io.Reader
	out  *outlet
}

func (h hijacked) Read(p []byte) (int, error) { return h.from.Read(p) }

func (h hijacked) Write(p []byte) (int, error) {
	o := h.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.draining {
		if o.owed += len(p); o.owed > owedMax {
			o.end(errOwed)
		}
	}
	_ = o.send(p) // what there is no room for is sent later
	const opcode, closing = 0x0f, 8
	o.muted = o.muted || p[0]&opcode == closing // the library writes a frame at a time
	if o.err != nil {
		return 0, o.err
	}
	return len(p), nil
}

// owedMax is the bytes of control frames, or of answers to commands, that may wait
// for a peer which makes us send them and reads nothing.
const owedMax = 64 << 10

var errOwed = errors.New("the peer pings and does not read")

func (h hijacked) Close() error {
	h.out.cut()
	return nil
}

// takeover is a response whose connection is taken from net/http. Its buffers
// are small, since data does not pass them.
type takeover struct {
	http.ResponseWriter
	out      *outlet
	patience time.Duration
	workers  *sync.WaitGroup
}

// Hijack is http.Hijacker's.
func (t takeover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.out.init(conn, t.patience, t.workers)
	mine := hijacked{Conn: conn, from: conn, out: t.out}
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Peek(n) // it has them
		mine.from = io.MultiReader(bytes.NewReader(slices.Clone(early)), conn)
	}
	return mine, bufio.NewReadWriter(bufio.NewReaderSize(mine, 256), bufio.NewWriterSize(mine, 256)), nil
}
