package hub

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stuckLeases does not get through to the database for a while, which journals.
type stuckLeases struct {
	Leases
	stuck atomic.Bool
}

func (l *stuckLeases) Renew(ctx context.Context, replica string, r Renewal) (int, error) {
	if l.stuck.Load() {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return l.Leases.Renew(ctx, replica, r)
}

// TestASuspendedOwnerShowsNothingPastTheEnd has an answer's owner be suspended
// while it shows without the bus, and its answer be taken over meanwhile. When it
// goes on, by its monotonic clock a moment later, its lease has run out, and the
// journal takes nothing of it.
func TestASuspendedOwnerShowsNothingPastTheEnd(t *testing.T) {
	for name, knows := range map[string]bool{"by its wall clock": true, "by the journal": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1)
				s.bus.send = (*localClient).push
				sharing := s.replicas[0].hub.shares()
				leases := &stuckLeases{Leases: sharing.leases}
				sharing.leases = leases
				for _, r := range s.replicas {
					r.hub.catalogue.vendors = Fixed{"sim": Vendor{Provider: drip{}}}
					if err := r.hub.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(7 * time.Second)
				owner := s.replicas[0]
				id := owner.askAt(t, 0)
				ctx, cancel := context.WithCancel(t.Context())
				v, wait := owner.watchFrom(ctx, t, id)
				time.Sleep(2 * time.Second)
				set := func(f func()) { s.mu.Lock(); f(); s.mu.Unlock() }
				set(func() { owner.until[toBus] = time.Now().Add(time.Hour) })
				time.Sleep(2500 * time.Millisecond) // it shows first
				// Suspended: of all that the others do it sees nothing, and its clock hardly
				// moves.
				set(func() { owner.until[toStore] = time.Now().Add(2 * time.Second) })
				leases.stuck.Store(!knows)
				s.store.mu.Lock()
				s.store.leases[owner.name] = time.Time{}
				s.store.mu.Unlock()
				time.Sleep(1900 * time.Millisecond)
				if m := s.stored(id); m.Status != StatusInterrupted {
					t.Fatalf("nobody has settled it: %s", m.Status)
				}
				if knows {
					l := &owner.hub.shares().lease
					l.mu.Lock()
					l.slept = func() time.Duration { return time.Minute }
					l.mu.Unlock()
					if owner.hub.shares().holds() {
						t.Error("it believes its lease")
					}
				}
				time.Sleep(5 * time.Second)
				leases.stuck.Store(false)
				time.Sleep(20 * time.Second)
				m := s.stored(id)
				for _, w := range v.shown {
					if w.bytes > len(m.Content) {
						t.Errorf("%d bytes are shown, %d are stored", w.bytes, len(m.Content))
						break
					}
				}
				if v.torn || !v.end || v.text != m.Content || !strings.HasPrefix(m.Content, simWord(0)) {
					t.Errorf("taken back %v, ended %v, with %d bytes of %d", v.torn, v.end, len(v.text), len(m.Content))
				}
				cancel()
				wait()
				for _, r := range s.replicas {
					r.hub.Close()
				}
			})
		})
	}
}
