package hub

import (
	"context"
	"slices"
	"sync"
)

// revoked is who is told which grants have ended. It is safe for concurrent use.
type revoked struct {
	mu        sync.Mutex
	listeners []*func(grants []string)
}

// listen has f called, until stop is.
func (rv *revoked) listen(f func(grants []string)) (stop func()) {
	rv.mu.Lock()
	defer rv.mu.Unlock()
	l := &f
	rv.listeners = append(slices.Clip(rv.listeners), l)
	return func() {
		rv.mu.Lock()
		defer rv.mu.Unlock()
		rv.listeners = slices.DeleteFunc(slices.Clone(rv.listeners), func(o *func([]string)) bool { return o == l })
	}
}

// tell tells them.
func (rv *revoked) tell(grants []string) {
	rv.mu.Lock()
	listeners := rv.listeners
	rv.mu.Unlock()
	for _, f := range listeners {
		(*f)(grants)
	}
}

// OnRevoked has f called with the ids of the grants that any replica revokes,
// and with none after a break of the bus, when any may have been. f returns soon.
// It is not called any more once the function returned is.
func (h *Hub) OnRevoked(f func(grants []string)) (stop func()) { return h.revoked.listen(f) }

// Revoke says that grants have ended, which is stored: what is open by them is to
// end on all replicas. Those that the bus does not reach find it in the database.
func (h *Hub) Revoke(ctx context.Context, grants ...string) {
	h.revoked.tell(grants)
	h.peers.revoke(ctx, grants)
}
