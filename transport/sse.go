package transport

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/transport/outlet"
)

// writeTimeout is how long a chunk of a write to a client may take.
const writeTimeout = 30 * time.Second

var heartbeat = []byte(": hb\n\n")

// stream answers with a viewer's events until the stream has ended, the client
// is gone, or its login does not hold any more.
func (ch *chats) stream(c echo.Context, who identity, v *hub.Viewer) error {
	r := c.Request()
	if r.ProtoMajor != 1 || r.ProtoMinor < 1 || r.TLS != nil {
		return ch.streamBehind(c, who, v)
	}
	if !ch.conns.clients.enterStream() {
		v.Close()
		return &hub.Error{Code: hub.CodeUnavailable, Msg: "this server is going away; connect again", RetryAfter: time.Second}
	}
	e := &eventStream{viewer: v, who: who, every: ch.heartbeat, heard: time.Now()}
	_, _, err := outlet.Takeover{ResponseWriter: c.Response().Writer, Out: &e.out, Patience: writeTimeout, Workers: &ch.conns.clients.wg}.Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		ch.conns.clients.exit()
		return ch.streamBehind(c, who, v)
	}
	if err != nil {
		ch.conns.clients.exit()
		v.Close()
		return err
	}
	c.Response().Committed = true
	// The handler returns, which frees what net/http needs for a request.
	e.out.OnRoom(v.Resume)
	e.out.OnEnd(func() {
		v.Close()
		ch.conns.clients.drop(e)
		ch.conns.clients.exit()
	})
	h := eventHeaders(c)
	h.Set("Connection", "close") // the end of the answer is that of the connection
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&head) // a buffer takes all
	head.WriteString("\r\n")
	e.out.Write(head.Bytes()) // at once: the client knows that it was heard
	if !ch.conns.keep(e) {
		e.out.Finish()
		return nil
	}
	if e.out.Err() != nil { // perhaps before it was kept
		ch.conns.clients.drop(e)
		return nil
	}
	v.Start(e)
	return nil
}

// eventHeaders sets the headers of an event stream.
func eventHeaders(c echo.Context) http.Header {
	h := c.Response().Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	return h
}

// eventStream is an answer on a connection that was taken from net/http, whose
// end is that of the connection.
type eventStream struct {
	viewer *hub.Viewer
	who    identity
	out    outlet.Outlet
	checks checks
	every  time.Duration // heartbeats

	// The rest is for the goroutine that tends clients.
	sent  int64
	heard time.Time // when sent was seen to have grown
}

var (
	_ hub.Sink = (*eventStream)(nil)
	_ client   = (*eventStream)(nil)
)

// Write is hub.Sink's.
func (e *eventStream) Write(batch []byte) bool { return e.out.Write(batch) }

// End is hub.Sink's.
func (e *eventStream) End() { e.out.Finish() }

func (e *eventStream) identity() identity { return e.who }

func (e *eventStream) check() *checks { return &e.checks }

func (e *eventStream) tend(now time.Time) {
	sent, behind := e.out.State()
	if sent != e.sent || behind {
		e.sent, e.heard = sent, now
		return
	}
	e.out.Probe()
	if now.Sub(e.heard) >= e.every {
		e.out.Write(heartbeat)
	}
}

func (e *eventStream) expire() { e.out.Finish() }

// streamBehind answers through net/http, where there is no bare connection to
// take: the handler waits for what the hub has.
func (ch *chats) streamBehind(c echo.Context, who identity, v *hub.Viewer) error {
	defer v.Close()
	c.Response().Writer = withoutWaiting(c.Response().Writer)
	eventHeaders(c)
	c.Response().WriteHeader(http.StatusOK)
	ctx, cancel := context.WithCancel(withoutDeadline(c))
	defer cancel()
	defer context.AfterFunc(ch.ctx, cancel)()
	// echo's writer locates the flusher by unwrapping, for each write: once is enough.
	w := flushed{c.Response().Writer, http.NewResponseController(c.Response().Writer)}
	err := w.rc.Flush() // headers at once: the client knows that it was heard
	if err == nil {
		err = ch.pump(ctx, who, v, w)
	}
	if err != nil {
		ch.logger.Debug("event stream ended early", "err", err)
	}
	return nil
}

// handoff is the sink of a handler that waits for each batch.
type handoff struct {
	next chan []byte // holds one; the hub waits for Resume before the next
}

var _ hub.Sink = handoff{}

func (h handoff) Write(batch []byte) bool {
	h.next <- slices.Clone(batch)
	return false
}

func (h handoff) End() { close(h.next) }

var errGoingAway = errors.New("the server is going away")

// handled is an event stream whose handler waits for what the hub has.
type handled struct {
	who    identity
	checks checks
	cancel context.CancelCauseFunc
}

var _ client = (*handled)(nil)

func (c *handled) identity() identity { return c.who }
func (c *handled) check() *checks     { return &c.checks }
func (c *handled) tend(time.Time)     {} // the handler does
func (c *handled) expire()            { c.cancel(errLoggedOut) }

// viewer is a [hub.Viewer], as a handler needs it.
type viewer interface {
	Start(sink hub.Sink)
	Resume()
}

// pump writes a viewer's batches until the stream or ctx ends, or the login does
// not hold any more.
func (ch *chats) pump(ctx context.Context, who identity, v viewer, w flushed) error {
	sink := handoff{make(chan []byte, 1)}
	v.Start(sink)
	silence := time.NewTicker(ch.heartbeat)
	defer silence.Stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &handled{who: who, cancel: cancel}
	if !ch.conns.keep(c) {
		return errGoingAway
	}
	defer ch.conns.clients.drop(c)
	for {
		var batch []byte
		more := false
		select {
		case batch, more = <-sink.next:
			if !more {
				return nil
			}
		case <-ctx.Done():
			select { // what was ready before
			case batch = <-sink.next:
				return errors.Join(context.Cause(ctx), w.write(batch))
			default:
				return context.Cause(ctx)
			}
		case <-silence.C:
			batch = heartbeat
		}
		if err := w.write(batch); err != nil {
			return err
		}
		silence.Reset(ch.heartbeat)
		if more {
			v.Resume()
		}
	}
}

// flushed is a response that goes out at once.
type flushed struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (w flushed) write(batch []byte) error {
	for part := range slices.Chunk(batch, outlet.Chunk) {
		if err := w.rc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return w.rc.Flush()
}
