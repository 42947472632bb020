// Package outlet writes to the connections of viewers without waiting for them.
//
// A connection is taken from net/http ([Takeover]). What the system has room for is
// written at once, on the goroutine of whoever has something to say; the rest is kept
// and sent at the client's pace, by a goroutine that lives for as long as that takes.
// So many thousand viewers that keep up cost no goroutine and no buffer.
package outlet

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

// Chunk is how many bytes of a large write are sent at a time. Each has a deadline of its
// own, so that a slow client may take long for all of them as long as it reads something.
const Chunk = 32 << 10

// sendBuffer is the size of the system's buffer for a client. A larger one would hide for
// longer how slow the client is.
const sendBuffer = 128 << 10

// An Outlet is the write side of a connection. Its methods may be called concurrently, and
// none of them waits for the client. A [Takeover] fills it.
type Outlet struct {
	conn     net.Conn
	fd       int             // of a bare socket, which is open until err is set; else -1
	patience time.Duration   // with a client that reads nothing
	workers  *sync.WaitGroup // counts the goroutines that the outlet starts

	mu       sync.Mutex
	resume   func() // called when all is sent that there was no room for
	closed   func() // called once, on a goroutine of its own, after the end; may be nil
	rest     []byte // what there was no room for; it ends where a frame does
	draining bool   // a goroutine sends the rest
	owed     int    // bytes of control frames in the rest
	last     bool   // nothing follows: the connection ends when all is sent
	muted    bool   // a close frame was sent: no other frame may follow
	err      error  // why the connection has ended; nil if it has not
	sent     int64  // bytes given to the system
}

// init makes the outlet of a connection.
func (o *Outlet) init(conn net.Conn, patience time.Duration, workers *sync.WaitGroup) {
	o.conn, o.patience, o.workers, o.fd = conn, patience, workers, -1
	if o.resume == nil {
		o.resume = func() {}
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetWriteBuffer(sendBuffer) // without it a slow peer is noticed late
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { o.fd = int(fd) }) // else a goroutine writes
	}
}

// Write sends p, or what the system takes of it at once. It returns false if
// there was no room for all.
func (o *Outlet) Write(p []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.muted && o.send(p)
}

// WriteBoth sends two parts that nothing may come between.
func (o *Outlet) WriteBoth(head, body []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.muted {
		return false
	}
	_ = o.send(head) // without room for it, there is none for what follows
	return o.send(body)
}

// send is Write for a caller that holds o.mu.
func (o *Outlet) send(p []byte) bool {
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
func (o *Outlet) drain() {
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
		for part := range slices.Chunk(rest, Chunk) {
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
func (o *Outlet) end(err error) {
	if o.err != nil {
		return
	}
	o.err = err
	_ = o.conn.Close() // nothing can be done about it
	if o.closed != nil {
		o.workers.Go(o.closed)
	}
}

// Finish closes the connection when all is sent.
func (o *Outlet) Finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = true
	if !o.draining {
		o.discard()
		o.end(io.EOF)
	}
}

// Cut ends the connection now.
func (o *Outlet) Cut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end(net.ErrClosed)
}

// OnRoom sets what is called when there is room again.
func (o *Outlet) OnRoom(resume func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.resume = resume
}

// Err returns why the connection has ended, nil if it has not.
func (o *Outlet) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// OnEnd sets what is called once after the connection has ended, on a goroutine of its
// own. It is set before anything is written.
func (o *Outlet) OnEnd(closed func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = closed
}

// State returns the bytes sent, and whether the peer is behind.
func (o *Outlet) State() (sent int64, behind bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent, o.draining
}

// discard reads what a peer sent that nobody wants: a connection that is closed
// on it is reset, and what was sent may be lost. It returns false if the peer is
// gone. The caller holds o.mu.
func (o *Outlet) discard() bool {
	return o.fd < 0 || o.err != nil || readNow(o.fd)
}

// Probe ends the connection if the peer has hung up.
func (o *Outlet) Probe() {
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
	out  *Outlet
}

func (h hijacked) Read(p []byte) (int, error) { return h.from.Read(p) }

func (h hijacked) Write(p []byte) (int, error) {
	o := h.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.draining {
		if o.owed += len(p); o.owed > OwedMax {
			o.end(ErrOwed)
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

// OwedMax is how many bytes of control frames may wait for a client that makes us send
// them and reads nothing.
const OwedMax = 64 << 10

// ErrOwed is why a connection ends that has more of them wait.
var ErrOwed = errors.New("the peer pings and does not read")

func (h hijacked) Close() error {
	h.out.Cut()
	return nil
}

// A Takeover is a response whose connection is taken from net/http. Its buffers are small,
// since what viewers are sent does not pass through them. It is for one goroutine, once.
type Takeover struct {
	http.ResponseWriter
	Out      *Outlet         // becomes the write side of the connection
	Patience time.Duration   // with a client that reads nothing
	Workers  *sync.WaitGroup // counts the goroutines that the outlet starts
}

var _ http.Hijacker = Takeover{}

// Hijack is http.Hijacker's.
func (t Takeover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.Out.init(conn, t.Patience, t.Workers)
	mine := hijacked{Conn: conn, from: conn, out: t.Out}
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Peek(n) // it has them
		mine.from = io.MultiReader(bytes.NewReader(slices.Clone(early)), conn)
	}
	return mine, bufio.NewReadWriter(bufio.NewReaderSize(mine, 256), bufio.NewWriterSize(mine, 256)), nil
}
