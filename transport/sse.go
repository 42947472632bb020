package transport

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// writeTimeout is how long a chunk of a write to a client may take.
const writeTimeout = 30 * time.Second

// chunk is the bytes of a write that go out at a time: a slow client may take
// long for a large write as long as it takes something. What a viewer writes
// token by token is smaller.
const chunk = 32 << 10

var errGoingAway = errors.New("the server goes away")

// sseSink is the write side of an event stream.
type sseSink struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

var heartbeat = []byte(": hb\n\n")

// Write is hub.Sink's.
func (s sseSink) Write(_ context.Context, batch []byte) error {
	if len(batch) == 0 {
		batch = heartbeat
	}
	for part := range slices.Chunk(batch, chunk) {
		if err := s.rc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		if _, err := s.w.Write(part); err != nil {
			return err
		}
	}
	return s.rc.Flush()
}

// stream answers with a viewer's events until the stream has ended, the client
// is gone, or its login does not hold any more.
func (s *Server) stream(c echo.Context, who identity, v *hub.Viewer) error {
	defer v.Close()
	h := c.Response().Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	c.Response().WriteHeader(http.StatusOK)

	ctx, cancel := context.WithCancelCause(unbound(c))
	stop := context.AfterFunc(s.ctx, func() { cancel(errGoingAway) })
	defer stop()
	var watcher sync.WaitGroup
	watcher.Go(func() {
		if s.watch(ctx, func() identity { return who }) {
			cancel(&hub.Error{Code: hub.CodeUnauthenticated, Msg: "the access token has run out"})
		}
	})
	// echo's writer locates the flusher by unwrapping, for each write: once is enough.
	sink := sseSink{w: c.Response().Writer, rc: http.NewResponseController(c.Response().Writer)}
	err := sink.rc.Flush() // headers at once: the client knows that it was heard
	if err == nil {
		err = v.Run(ctx, sink, s.opt.Heartbeat)
	}
	cancel(nil)
	watcher.Wait()
	if err != nil {
		s.log.Debug("event stream ended early", "err", err)
	}
	return nil
}
