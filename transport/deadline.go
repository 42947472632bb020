package transport

import (
	"context"
	"time"

	"github.com/labstack/echo/v4"
)

// deadline is the time that a request may spend on what it calls, so that a database that
// does not answer becomes an answer that says so. One goroutine uses it: the request's.
type deadline struct {
	whole  context.Context // the request's own, for what is meant to last
	limit  time.Duration
	cancel context.CancelFunc
}

const deadlineKey = "deadline"

// withDeadline gives the request a context that ends after the limit. The caller calls
// done when the request is over.
func withDeadline(c echo.Context, limit time.Duration) (done func()) {
	b := &deadline{whole: c.Request().Context(), limit: limit, cancel: func() {}}
	c.Set(deadlineKey, b)
	b.renew(c)
	return func() { b.cancel() }
}

func (b *deadline) renew(c echo.Context) {
	b.cancel()
	ctx, cancel := context.WithTimeout(b.whole, b.limit)
	b.cancel = cancel
	c.SetRequest(c.Request().WithContext(ctx))
}

// renewDeadline has the limit begin now: the time in which the client sent its request does
// not count.
func renewDeadline(c echo.Context) {
	if b, ok := c.Get(deadlineKey).(*deadline); ok {
		b.renew(c)
	}
}

// withoutDeadline returns the context of a request without the limit.
func withoutDeadline(c echo.Context) context.Context {
	if b, ok := c.Get(deadlineKey).(*deadline); ok {
		return b.whole
	}
	return c.Request().Context()
}
