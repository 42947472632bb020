package transport

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/omnichat/omnichat/hub"
)

// operation is the calls of those who run the server. It is safe for concurrent use.
type operation struct {
	hub          *hub.Hub
	ready        func(ctx context.Context) error // why no question can be asked; may be nil
	degraded     func() error                    // what is away although questions are answered; may be nil
	metrics      http.Handler                    // may be nil
	metricsToken string
	warnings     *warnings
}

// answerReady is GET /readyz. A proxy asks with for=proxy whether requests are to come
// here at all: they are while the database is away, which is away for everyone,
// as answers under way go on and the page and the refusals come from here.
func (op *operation) answerReady(c echo.Context) error {
	if c.QueryParam("for") == "proxy" {
		if op.hub.Draining() {
			return &hub.Error{Code: hub.CodeUnavailable, Msg: "the server is going away"}
		}
		return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
	}
	if op.ready != nil {
		ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
		defer cancel()
		if err := op.ready(ctx); err != nil {
			p, _ := problemOf(err)
			return &hub.Error{Code: hub.CodeUnavailable, Msg: p.Detail, Err: err}
		}
	}
	if op.degraded != nil {
		if err := op.degraded(); err != nil {
			p, _ := problemOf(err) // anybody may ask: what the error says beside is for the log
			return c.JSON(http.StatusOK, map[string]string{"status": "degraded", "detail": p.Detail})
		}
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}
