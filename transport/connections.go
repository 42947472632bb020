package transport

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// connections opens WebSockets, tends all long connections, and ends those whose login does
// not hold any more. All methods may be called concurrently.
type connections struct {
	ctx         context.Context // of WebSockets; the server's end ends it
	hub         *hub.Hub
	accounts    Accounts
	logins      *logins
	edge        *edge
	clients     *clients
	messages    *budget       // of WebSocket messages
	bell        chan struct{} // holds one item when a login was revoked
	doubt       atomic.Bool   // logins may have been revoked of which this replica was not told
	bodyLimit   int64
	maxSockets  int
	heartbeat   time.Duration
	authTimeout time.Duration
	recheck     time.Duration
	callTimeout time.Duration
	logger      *slog.Logger
}

// tend looks after all clients until ctx ends, on one goroutine instead of some for each
// of them.
func (cs *connections) tend(ctx context.Context) {
	every := time.NewTicker(max(10*time.Millisecond, min(cs.heartbeat, cs.recheck, 4*time.Second)/4))
	defer every.Stop()
	var workers sync.WaitGroup
	defer workers.Wait()
	asking := make(chan struct{}, 1) // the database is asked which logins hold
	asked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-cs.bell:
			cs.endRevoked(&workers)
		case now := <-every.C:
			for _, c := range cs.clients.all() {
				cs.guard(func() { c.tend(now) })
				if k := c.check(); !k.over && now.After(c.identity().expires.Add(leeway)) {
					k.over = true
					workers.Go(func() { cs.guard(c.expire) })
				}
			}
		}
		if !cs.doubt.Load() && time.Since(asked) < cs.recheck {
			continue
		}
		select {
		case asking <- struct{}{}:
			asked = time.Now()
			cs.doubt.Store(false)
			workers.Go(func() {
				defer func() { <-asking }()
				cs.guard(func() {
					if cs.lookForRevoked(ctx) {
						cs.ring()
					}
				})
			})
		default: // the database is slow
		}
	}
}

// aside runs f on a goroutine of its own and waits for it: one that waits for
// its client most of the time does not keep the stack that f has needed. It
// returns false if f did not come to its end.
func (cs *connections) aside(f func()) (done bool) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		cs.guard(func() {
			f()
			done = true
		})
	}()
	<-over
	return done
}

// guard keeps a panic from ending more than the connection it happened for.
func (cs *connections) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			cs.logger.Error("connection failed", "err", fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	f()
}

// revoked is told by the hub which grants have ended; with none, any may have.
func (cs *connections) revoked(grants []string) {
	for _, id := range grants {
		cs.logins.note(id, false, time.Now())
	}
	if len(grants) == 0 {
		cs.doubt.Store(true)
	}
	cs.ring()
}

// ring has the goroutine that tends clients end those whose login was revoked.
func (cs *connections) ring() {
	select {
	case cs.bell <- struct{}{}:
	default: // that is asked for already
	}
}

// keep has a client tended until it is dropped. It returns false if the server has ended all
// connections.
func (cs *connections) keep(c client) bool {
	if !cs.clients.keep(c) {
		return false
	}
	cs.recheckOne(c)
	return true
}

// recheckOne looks at a client whose login may have been revoked just before the client was
// kept.
func (cs *connections) recheckOne(c client) {
	if cs.logins.revoked(c.identity().Grant) {
		cs.ring()
	}
}

// endRevoked ends the clients whose login is known to be revoked.
func (cs *connections) endRevoked(workers *sync.WaitGroup) {
	for _, c := range cs.clients.all() {
		if k := c.check(); !k.over && cs.logins.revoked(c.identity().Grant) {
			k.over = true
			workers.Go(func() { cs.guard(c.expire) })
		}
	}
}

// lookForRevoked asks the database which of the logins in use here were revoked
// without this replica having been told. It says whether some were.
func (cs *connections) lookForRevoked(ctx context.Context) bool {
	families := map[string]bool{}
	cs.logins.inUse(families)
	for _, c := range cs.clients.all() {
		families[c.identity().Grant] = true
	}
	if len(families) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, cs.callTimeout)
	defer cancel()
	at := time.Now()
	active, err := cs.accounts.ActiveGrants(ctx, slices.Sorted(maps.Keys(families)))
	if err != nil { // a database that is away logs nobody out
		cs.logger.Debug("look for revoked logins", "err", err)
		return false
	}
	return cs.logins.found(families, active, at)
}
