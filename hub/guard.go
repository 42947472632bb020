package hub

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

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

// guard is guarded for what has no error.
func (h *Hub) guard(what string, f func()) {
	_ = guarded(h.log, what, func() error { f(); return nil }) // it is logged
}
