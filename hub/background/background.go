// Package background runs what outlives a request, so that a panic in one thing ends no
// other one, and what failed is tried again.
package background

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// A Group is goroutines with one context. Its methods may be called concurrently; its
// fields are set before the first of them starts.
type Group struct {
	Logger *slog.Logger
	Jitter func(time.Duration) time.Duration // of a wait before another try

	ctx     context.Context
	cancel  context.CancelCauseFunc
	running sync.WaitGroup
}

// NewGroup returns a group whose context ends with [Group.End].
func NewGroup(logger *slog.Logger) *Group {
	g := &Group{Logger: logger, Jitter: jitter}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	return g
}

// Context is that of all goroutines of the group.
func (g *Group) Context() context.Context { return g.ctx }

// Ended says whether that context has ended.
func (g *Group) Ended() bool { return g.ctx.Err() != nil }

// Go starts a goroutine.
func (g *Group) Go(f func()) { g.running.Go(f) }

// End ends the context, for a cause.
func (g *Group) End(cause error) { g.cancel(cause) }

// Wait waits until all goroutines have ended.
func (g *Group) Wait() { g.running.Wait() }

// Guard is [Guarded] for what has no error.
func (g *Group) Guard(what string, f func()) {
	_ = Guarded(g.Logger, what, func() error { f(); return nil }) // it is logged
}

// Guarded runs f, which works for one thing: a stream, a feed, a viewer, a
// message from the bus. A panic in it is logged, and ends no more than that: it
// comes back as an error.
func Guarded(log *slog.Logger, what string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = Panicked(log, what, r)
		}
	}()
	return f()
}

// Panicked logs what was recovered.
func Panicked(log *slog.Logger, what string, r any) error {
	log.Error(what+" panicked", "panic", r, "stack", string(debug.Stack()))
	return fmt.Errorf("%s: panic: %v", what, r)
}

// Every calls f again and again, until ctx ends.
func Every(ctx context.Context, d time.Duration, f func(now time.Time)) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			f(now)
		}
	}
}

// Retry calls try until that says that it is done, or ctx ends, and says which of
// the two. The wait between two calls is first at most, and doubles up to most.
func (g *Group) Retry(ctx context.Context, first, most time.Duration, try func() (done bool)) bool {
	for wait := first; !try(); wait = min(2*wait, most) {
		t := time.NewTimer(g.Jitter(wait))
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
		}
	}
	return true
}

// jitter is a wait of about d, so that replicas do not try again in step.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }
