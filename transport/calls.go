package transport

import (
	"context"
	"time"

	"github.com/labstack/echo/v4"
)

// calls bounds what a request calls, so that a database that says nothing
// becomes an answer that says so.
type calls struct {
	whole  context.Context // the request's own, for what is meant to last
	limit  time.Duration
	cancel context.CancelFunc
}

const callsKey = "calls"

// boundCalls gives the request a context that ends after the limit. The
// function that it returns is called when the request is done.
func boundCalls(c echo.Context, limit time.Duration) (done func()) {
	b := &calls{whole: c.Request().Context(), limit: limit, cancel: func() {}}
	c.Set(callsKey, b)
	b.renew(c)
	return func() { b.cancel() }
}

func (b *calls) renew(c echo.Context) {
	b.cancel()
	ctx, cancel := context.WithTimeout(b.whole, b.limit)
	b.cancel = cancel
	c.SetRequest(c.Request().WithContext(ctx))
}

// renewCalls lets the limit begin now: what a client took to send its request
// does not count.
func renewCalls(c echo.Context) {
	if b, ok := c.Get(callsKey).(*calls); ok {
		b.renew(c)
	}
}

// unbound is the context of a request without the limit.
func unbound(c echo.Context) context.Context {
	if b, ok := c.Get(callsKey).(*calls); ok {
		return b.whole
	}
	return c.Request().Context()
}
