package hub

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// lease is this replica's, by its own clocks: the monotonic one, which nobody can
// set, and, since that stands still while the machine is suspended, the wall clock
// where it is ahead of it.
type lease struct {
	mu      sync.Mutex
	slept   func() time.Duration // how far the wall clock has got ahead since the start
	renewed time.Time            // just before the last renewal that succeeded
	by      time.Duration        // what slept was then
	since   time.Time            // of the first renewal of an unbroken row
	broken  bool                 // the last one failed
	lapsed  bool                 // it may have run out in between, and what was lost is not dropped yet
}

// sleptSince returns how far the wall clock has got ahead of the monotonic one.
func sleptSince(began time.Time) func() time.Duration {
	return func() time.Duration {
		now := time.Now()
		return now.Round(0).Sub(began.Round(0)) - now.Sub(began) // without a monotonic reading, and with it
	}
}

// age is how long ago the last renewal was, if it was at most that long. The
// caller holds l.mu.
func (l *lease) age() time.Duration {
	return time.Since(l.renewed) + max(0, l.slept()-l.by)
}

// leaseHolds says whether nobody can have taken the answers over yet, with 2 s
// to spare: then showing what the bus has not accepted is safe.
func (h *Hub) leaseHolds() bool {
	h.lease.mu.Lock()
	defer h.lease.mu.Unlock()
	return !h.lease.lapsed && h.lease.age() < h.opt.LeaseTTL-h.opt.LeaseTTL/3
}

var (
	errLogLate   = &Error{Code: CodeUnavailable, Msg: "answers are shown before the log has them: it does not answer in time"}
	errLeaseLost = &Error{Code: CodeUnavailable, Msg: "the database has not renewed this replica's lease"}
)

// Degraded says what is away although questions are answered, nil if nothing is.
func (h *Hub) Degraded() error {
	if h.opt.Bus != nil {
		if err := h.opt.Bus.Up(); err != nil {
			return err
		}
		if !h.leaseHolds() {
			return errLeaseLost
		}
	}
	if h.commits.late.Load() {
		return errLogLate
	}
	return nil
}

// renewLease renews once.
func (h *Hub) renewLease(ctx context.Context) error {
	h.lease.mu.Lock()
	began, slept := time.Now(), h.lease.slept()
	h.lease.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, h.opt.LeaseTTL/3)
	defer cancel()
	err := h.opt.Leases.Renew(ctx, h.opt.Replica, h.opt.LeaseTTL, h.underWay())
	h.lease.mu.Lock()
	defer h.lease.mu.Unlock()
	if err != nil { // the others, who also live, may have failed as well
		h.lease.broken = true
		return fmt.Errorf("renew the lease: %w", err)
	}
	if h.lease.broken || h.lease.age() > h.opt.LeaseTTL {
		h.lease.since = began
	}
	h.lease.lapsed = h.lease.lapsed || h.lease.age() >= h.opt.LeaseTTL
	h.lease.renewed, h.lease.by, h.lease.broken = began, slept, false
	return nil
}

// keepLease renews the lease, drops what is no longer owned, and obeys stored
// stops.
func (h *Hub) keepLease(ctx context.Context) {
	t := time.NewTicker(h.opt.LeaseTTL / 6)
	defer t.Stop()
	for failed := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := guarded(h.log, "keeping the lease", func() error {
			if err := h.renewLease(ctx); err != nil {
				return err
			}
			return h.dropLost(ctx)
		})
		if err != nil && ctx.Err() == nil {
			h.log.Warn("keep the lease", "err", err)
		} else if failed {
			h.log.Info("the lease is held again")
		}
		failed = err != nil
	}
}

// reap settles the answers of those who have died.
func (h *Hub) reap(ctx context.Context) {
	t := time.NewTicker(h.opt.LeaseTTL / 6)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := guarded(h.log, "settling", func() error {
			if err := h.disownDoubtful(ctx); err != nil || !h.mayReap() {
				return err
			}
			grace := time.Duration(0)
			if h.opt.Bus.Up() != nil {
				grace = h.opt.LeaseTTL / 3 // those who reach the bus go first
			}
			return h.settleOrphans(ctx, grace)
		})
		if err != nil && ctx.Err() == nil {
			h.log.Warn("settle the answers of dead owners", "err", err)
		}
	}
}

// mayReap says whether the lease is held, and has been for so long that everyone
// who lives has renewed theirs since the database was away.
func (h *Hub) mayReap() bool {
	h.lease.mu.Lock()
	defer h.lease.mu.Unlock()
	return !h.lease.broken && h.lease.age() < h.opt.LeaseTTL/2 && h.lease.renewed.Sub(h.lease.since) >= h.opt.LeaseTTL
}

// releaseLease lets the others settle at once what is left.
func (h *Hub) releaseLease() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := h.opt.Leases.Release(ctx, h.opt.Replica); err != nil {
		h.log.Warn("release the lease", "err", err)
	}
}

// running returns the streams that have not ended, with their logs.
func (h *Hub) runningStreams() []*stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*stream
	for _, st := range h.streams {
		if st.log != nil && st.endedAt.IsZero() {
			out = append(out, st)
		}
	}
	return out
}

// dropLost ends what somebody else owns now, was deleted, or is to stop. Then the
// lease is whole again.
func (h *Hub) dropLost(ctx context.Context) error {
	running := h.runningStreams() // before the query: what is asked later is not missed in it
	if len(running) > 0 {
		if err := h.dropLostOf(ctx, running); err != nil {
			return err
		}
	}
	h.lease.mu.Lock()
	defer h.lease.mu.Unlock()
	h.lease.lapsed = false
	return nil
}

func (h *Hub) dropLostOf(ctx context.Context, running []*stream) error {
	ctx, cancel := context.WithTimeout(ctx, h.opt.LeaseTTL/3)
	defer cancel()
	owned, err := h.opt.Leases.Owned(ctx, h.opt.Replica)
	if err != nil {
		return fmt.Errorf("read what is owned: %w", err)
	}
	byID := make(map[MessageID]Ownership, len(owned))
	for _, o := range owned {
		byID[o.ID] = o
	}
	for _, st := range running {
		switch o, ok := byID[st.id]; {
		case !ok && st.ending.Load():
		case !ok || o.Epoch != st.epoch:
			st.fence()
		case o.Stop:
			st.cancel(errStopped)
		}
	}
	return nil
}
