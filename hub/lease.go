package hub

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub/background"
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

// holds says whether nobody can have taken the answers over yet, with 2 s
// to spare: then showing what the bus has not accepted is safe.
func (sh *sharing) holds() bool {
	sh.lease.mu.Lock()
	defer sh.lease.mu.Unlock()
	return !sh.lease.lapsed && sh.lease.age() < sh.ttl-sh.ttl/3
}

// renew renews the lease once.
func (sh *sharing) renew(ctx context.Context) error {
	sh.lease.mu.Lock()
	began, slept := time.Now(), sh.lease.slept()
	sh.lease.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, sh.ttl/3)
	defer cancel()
	err := sh.leases.Renew(ctx, sh.replica, sh.ttl, sh.limits.underWay())
	sh.lease.mu.Lock()
	defer sh.lease.mu.Unlock()
	if err != nil { // the others, who also live, may have failed as well
		sh.lease.broken = true
		return fmt.Errorf("renew the lease: %w", err)
	}
	if sh.lease.broken || sh.lease.age() > sh.ttl {
		sh.lease.since = began
	}
	sh.lease.lapsed = sh.lease.lapsed || sh.lease.age() >= sh.ttl
	sh.lease.renewed, sh.lease.by, sh.lease.broken = began, slept, false
	return nil
}

// keepLease renews the lease, drops what is no longer owned, and obeys stored
// stops.
func (sh *sharing) keepLease(ctx context.Context) {
	failed := false
	background.Every(ctx, sh.ttl/6, func(time.Time) {
		err := background.Guarded(sh.bg.Logger, "keeping the lease", func() error {
			if err := sh.renew(ctx); err != nil {
				return err
			}
			return sh.dropLost(ctx)
		})
		if err != nil && ctx.Err() == nil {
			sh.bg.Logger.Warn("keep the lease", "err", err)
		} else if failed {
			sh.bg.Logger.Info("the lease is held again")
		}
		failed = err != nil
	})
}

// reap settles the answers of those who have died.
func (sh *sharing) reap(ctx context.Context) {
	background.Every(ctx, sh.ttl/6, func(time.Time) {
		err := background.Guarded(sh.bg.Logger, "settling", func() error {
			if err := sh.settler.disownDoubtful(ctx); err != nil || !sh.mayReap() {
				return err
			}
			grace := time.Duration(0)
			if sh.bus.Up() != nil {
				grace = sh.ttl / 3 // those who reach the bus go first
			}
			return sh.settler.settleOrphans(ctx, grace)
		})
		if err != nil && ctx.Err() == nil {
			sh.bg.Logger.Warn("settle the answers of dead owners", "err", err)
		}
	})
}

// mayReap says whether the lease is held, and has been for so long that everyone
// who lives has renewed theirs since the database was away.
func (sh *sharing) mayReap() bool {
	sh.lease.mu.Lock()
	defer sh.lease.mu.Unlock()
	return !sh.lease.broken && sh.lease.age() < sh.ttl/2 && sh.lease.renewed.Sub(sh.lease.since) >= sh.ttl
}

// leave is peers'.
func (sh *sharing) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := sh.leases.Release(ctx, sh.replica); err != nil {
		sh.bg.Logger.Warn("release the lease", "err", err)
	}
}

// dropLost ends what somebody else owns now, was deleted, or is to stop. Then the
// lease is whole again.
func (sh *sharing) dropLost(ctx context.Context) error {
	running := sh.streams.unended() // before the query: what is asked later is not missed in it
	if len(running) > 0 {
		if err := sh.dropLostOf(ctx, running); err != nil {
			return err
		}
	}
	sh.lease.mu.Lock()
	defer sh.lease.mu.Unlock()
	sh.lease.lapsed = false
	return nil
}

func (sh *sharing) dropLostOf(ctx context.Context, running []*stream) error {
	ctx, cancel := context.WithTimeout(ctx, sh.ttl/3)
	defer cancel()
	owned, err := sh.leases.Owned(ctx, sh.replica)
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
