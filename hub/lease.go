package hub

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub/background"
)

// lease is what this replica knows of its own lease, by its own clocks. The monotonic clock
// cannot be set, but stands still while the machine is suspended. So the wall clock counts
// as well where it has got ahead of the monotonic one.
type lease struct {
	mu      sync.Mutex           // guards the rest
	slept   func() time.Duration // how far the wall clock has got ahead since the start
	renewed time.Time            // just before the last renewal that succeeded
	by      time.Duration        // what slept returned then
	since   time.Time            // the first renewal since one that failed
	broken  bool                 // the last renewal failed
	oldest  int                  // the oldest format of the replicas that live
	lapsed  bool                 // the lease may have run out, and what others own now is not fenced yet
}

// keeper keeps this replica's lease on its answers, and settles the answers of replicas whose
// lease has run out. All methods may be called concurrently, but for those that the loops of
// keepLease and reap call.
type keeper struct {
	replica string
	ttl     time.Duration // of the lease
	leases  Leases
	bus     Bus
	streams *streams
	limits  *limits
	settler *settler
	bg      *background.Group
	lease   lease
}

// sleptSince returns how far the wall clock has got ahead of the monotonic one.
func sleptSince(began time.Time) func() time.Duration {
	return func() time.Duration {
		now := time.Now()
		return now.Round(0).Sub(began.Round(0)) - now.Sub(began) // without a monotonic reading, and with it
	}
}

// age is how long ago the last renewal was at most: the time by the monotonic clock, and the
// time for which the machine was suspended. The caller holds l.mu.
func (l *lease) age() time.Duration {
	return time.Since(l.renewed) + max(0, l.slept()-l.by)
}

// holds says whether no other replica can have taken over this one's answers yet, with a third
// of the lease to spare. Then what the bus has not accepted may be shown.
func (k *keeper) holds() bool {
	k.lease.mu.Lock()
	defer k.lease.mu.Unlock()
	return !k.lease.lapsed && k.lease.age() < k.ttl-k.ttl/3
}

// renew renews the lease once.
func (k *keeper) renew(ctx context.Context) error {
	k.lease.mu.Lock()
	began, slept := time.Now(), k.lease.slept()
	k.lease.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, k.ttl/3)
	defer cancel()
	oldest, err := k.leases.Renew(ctx, k.replica, Renewal{TTL: k.ttl, Format: formatParts, Used: k.limits.underWay()})
	k.lease.mu.Lock()
	defer k.lease.mu.Unlock()
	if err != nil { // the others, who also live, may have failed as well
		k.lease.broken = true
		return fmt.Errorf("renew the lease: %w", err)
	}
	if k.lease.broken || k.lease.age() > k.ttl {
		k.lease.since = began
	}
	k.lease.lapsed = k.lease.lapsed || k.lease.age() >= k.ttl
	k.lease.oldest = oldest
	k.lease.renewed, k.lease.by, k.lease.broken = began, slept, false
	return nil
}

// format is peers'. It is what the last renewal has found.
func (k *keeper) format() int {
	k.lease.mu.Lock()
	defer k.lease.mu.Unlock()
	return k.lease.oldest
}

// keepLease renews the lease, drops what is no longer owned, and obeys stored
// stops.
func (k *keeper) keepLease(ctx context.Context) {
	failed := false
	background.Every(ctx, k.ttl/6, func(time.Time) {
		err := background.Guarded(k.bg.Logger, "keeping the lease", func() error {
			if err := k.renew(ctx); err != nil {
				return err
			}
			return k.dropLost(ctx)
		})
		if err != nil && ctx.Err() == nil {
			k.bg.Logger.Warn("keep the lease", "err", err)
		} else if failed {
			k.bg.Logger.Info("the lease is held again")
		}
		failed = err != nil
	})
}

// reap settles the answers of replicas that have died, until ctx ends.
func (k *keeper) reap(ctx context.Context) {
	background.Every(ctx, k.ttl/6, func(time.Time) {
		err := background.Guarded(k.bg.Logger, "settling", func() error {
			if err := k.settler.disownDoubtful(ctx); err != nil || !k.mayReap() {
				return err
			}
			grace := time.Duration(0)
			if k.bus.Up() != nil {
				grace = k.ttl / 3 // those who reach the bus go first
			}
			return k.settler.settleOrphans(ctx, grace)
		})
		if err != nil && ctx.Err() == nil {
			k.bg.Logger.Warn("settle the answers of dead owners", "err", err)
		}
	})
}

// mayReap says whether the lease has been held for so long that every replica that lives has
// renewed its own since the database was last away.
func (k *keeper) mayReap() bool {
	k.lease.mu.Lock()
	defer k.lease.mu.Unlock()
	return !k.lease.broken && k.lease.age() < k.ttl/2 && k.lease.renewed.Sub(k.lease.since) >= k.ttl
}

// leave is peers'.
func (k *keeper) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := k.leases.Release(ctx, k.replica); err != nil {
		k.bg.Logger.Warn("release the lease", "err", err)
	}
}

// dropLost ends the answers that another replica owns now, that were deleted, or that are to
// stop. After that the lease holds again.
func (k *keeper) dropLost(ctx context.Context) error {
	running := k.streams.unended() // before the query: what is asked later is not missed in it
	if len(running) > 0 {
		if err := k.dropLostOf(ctx, running); err != nil {
			return err
		}
	}
	k.lease.mu.Lock()
	defer k.lease.mu.Unlock()
	k.lease.lapsed = false
	return nil
}

func (k *keeper) dropLostOf(ctx context.Context, running []*stream) error {
	ctx, cancel := context.WithTimeout(ctx, k.ttl/3)
	defer cancel()
	owned, err := k.leases.Owned(ctx, k.replica)
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
