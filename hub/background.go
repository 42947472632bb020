package hub

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// background is what outlives a request: a context that ends when the hub closes,
// and the goroutines that run until then. It is safe for concurrent use.
type background struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	loops  sync.WaitGroup // of all those goroutines
	logger *slog.Logger
	jitter func(time.Duration) time.Duration // of waits before another try
}

func newBackground(logger *slog.Logger) *background {
	b := &background{logger: logger, jitter: jitter}
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	return b
}

// guard is guarded for what has no error.
func (b *background) guard(what string, f func()) {
	_ = guarded(b.logger, what, func() error { f(); return nil }) // it is logged
}

// guarded runs f, which works for one thing: a stream, a feed, a viewer, a
// message from the bus. A panic in it is logged, and ends no more than that: it
// comes back as an error.
func guarded(log *slog.Logger, what string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked(log, what, r)
		}
	}()
	return f()
}

// panicked logs what was recovered.
func panicked(log *slog.Logger, what string, r any) error {
	log.Error(what+" panicked", "panic", r, "stack", string(debug.Stack()))
	return fmt.Errorf("%s: panic: %v", what, r)
}

// every calls f again and again, until ctx ends.
func every(ctx context.Context, d time.Duration, f func(now time.Time)) {
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

// retry calls try until that says that it is done, or ctx ends, and says which of
// the two. The wait between two calls is first at most, and doubles up to most.
func (b *background) retry(ctx context.Context, first, most time.Duration, try func() (done bool)) bool {
	for wait := first; !try(); wait = min(2*wait, most) {
		t := time.NewTimer(b.jitter(wait))
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
