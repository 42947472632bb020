package hub

import (
	"context"
	"slices"
)

// OnRevoked has f called with the ids of the grants that any replica revokes,
// and with none after a break of the bus, when any may have been. f returns soon.
// It is not called any more once the function returned is.
func (h *Hub) OnRevoked(f func(grants []string)) (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &f
	h.revoked = append(slices.Clip(h.revoked), l)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.revoked = slices.DeleteFunc(slices.Clone(h.revoked), func(o *func([]string)) bool { return o == l })
	}
}

// Revoke says that grants have ended, which is stored: what is open by them is to
// end on all replicas. Those that the bus does not reach find it in the database.
func (h *Hub) Revoke(ctx context.Context, grants ...string) {
	h.tellRevoked(grants)
	h.peers.revoke(ctx, grants)
}

func (h *Hub) tellRevoked(grants []string) {
	h.mu.Lock()
	listeners := h.revoked
	h.mu.Unlock()
	for _, f := range listeners {
		(*f)(grants)
	}
}
