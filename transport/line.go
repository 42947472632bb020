package transport

import (
	"context"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// Of the calls that read much.
const (
	heavyAll   = 3  // at a time, of all users: fewer than SQLite has readers
	heavyWaits = 32 // of one user
	turnWait   = 20 * time.Second
	turnRetry  = 2 * time.Second
)

// line lets one call of a user in at a time, and so many of all users: a user's
// other calls wait for each other, and nobody else for them.
type line struct {
	places chan struct{}
	waits  int // of one user, at most

	mu    sync.Mutex
	users map[hub.UserID]*turnstile
}

// turnstile is one user's.
type turnstile struct {
	open chan struct{} // holds one while nobody is in
	here int           // who is in or waits
}

func newLine(places, waits int) *line {
	return &line{places: make(chan struct{}, places), waits: waits, users: map[hub.UserID]*turnstile{}}
}

// turn waits in a line, for which a request has time of its own. What it returns
// ends the turn.
func takeTurn(c echo.Context, l *line, user hub.UserID) (leave func(), err error) {
	ctx, cancel := context.WithTimeoutCause(unbound(c), turnWait, busyWithYou())
	defer cancel()
	leave, err = l.enter(ctx, user)
	renewCalls(c)
	return leave, err
}

func busyWithYou() error {
	return &hub.Error{Code: hub.CodeRateLimited, Msg: "too many of your requests wait for each other; wait for them", RetryAfter: turnRetry}
}

// enter waits for the user's turn. It refuses where too many wait already.
func (l *line) enter(ctx context.Context, user hub.UserID) (leave func(), err error) {
	l.mu.Lock()
	t := l.users[user]
	if t == nil {
		t = &turnstile{open: make(chan struct{}, 1)}
		t.open <- struct{}{}
		l.users[user] = t
	}
	if t.here > l.waits {
		l.mu.Unlock()
		return nil, busyWithYou()
	}
	t.here++
	l.mu.Unlock()
	select {
	case <-t.open:
	case <-ctx.Done():
		l.forget(user, t)
		return nil, context.Cause(ctx)
	}
	select {
	case l.places <- struct{}{}:
	case <-ctx.Done():
		t.open <- struct{}{}
		l.forget(user, t)
		return nil, context.Cause(ctx)
	}
	return func() {
		<-l.places
		t.open <- struct{}{}
		l.forget(user, t)
	}, nil
}

// forget is called by each that was here.
func (l *line) forget(user hub.UserID, t *turnstile) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.here--; t.here == 0 {
		delete(l.users, user)
	}
}
