package hub

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// publishLimit is how long it may take to tell the other replicas what is revoked.
const publishLimit = 500 * time.Millisecond

// revokeNote says which grants end: the ids of logins.
type revokeNote struct {
	Grants []string `json:"grants"`
}

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
	if h.opt.Bus == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishLimit)
	defer cancel()
	if _, err := h.opt.Bus.Publish(ctx, Topic{}, note(kindRevoked, revokeNote{Grants: grants})); err != nil {
		h.log.Warn("tell the other replicas what is revoked", "err", err)
	}
}

func (h *Hub) tellRevoked(grants []string) {
	h.mu.Lock()
	listeners := h.revoked
	h.mu.Unlock()
	for _, f := range listeners {
		(*f)(grants)
	}
}

// receiveRevoked takes what another replica has revoked, or this one.
func (h *Hub) receiveRevoked(payload []byte) {
	var n revokeNote
	if json.Unmarshal(payload, &n) == nil && len(n.Grants) > 0 {
		h.tellRevoked(n.Grants)
	}
}
