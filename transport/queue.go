package transport

import (
	"context"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// Bounds of the calls that read much.
const (
	heavyAll   = 3  // at a time, of all users: fewer than SQLite has readers
	heavyWaits = 32 // of one user
	queueWait  = 20 * time.Second
	queueRetry = 2 * time.Second
)

// A queue lets one call of each user run at a time, and so many of all users together. The
// calls of one user wait for each other, and nobody else waits for them. Its methods may
// be called concurrently.
type queue struct {
	places chan struct{}
	waits  int // calls of one user that may wait

	mu    sync.Mutex
	users map[hub.UserID]*userQueue
}

// userQueue is the calls of one user.
type userQueue struct {
	open chan struct{} // holds one item while no call runs
	here int           // calls that run or wait
}

func newQueue(places, waits int) *queue {
	return &queue{places: make(chan struct{}, places), waits: waits, users: map[hub.UserID]*userQueue{}}
}

// waitInQueue waits until a request may run. That time does not count towards the request's
// deadline. The caller calls leave when the request has run.
func waitInQueue(c echo.Context, l *queue, user hub.UserID) (leave func(), err error) {
	ctx, cancel := context.WithTimeoutCause(withoutDeadline(c), queueWait, busyWithYou())
	defer cancel()
	leave, err = l.enter(ctx, user)
	renewDeadline(c)
	return leave, err
}

func busyWithYou() error {
	return &hub.Error{Code: hub.CodeRateLimited, Msg: "too many of your requests wait for each other; wait for them", RetryAfter: queueRetry}
}

// enter waits until a call of the user may run. It refuses if too many wait already.
func (l *queue) enter(ctx context.Context, user hub.UserID) (leave func(), err error) {
	l.mu.Lock()
	t := l.users[user]
	if t == nil {
		t = &userQueue{open: make(chan struct{}, 1)}
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

// forget takes a call off the count that has run or has given up.
func (l *queue) forget(user hub.UserID, t *userQueue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.here--; t.here == 0 {
		delete(l.users, user)
	}
}
