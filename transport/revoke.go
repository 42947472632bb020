package transport

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

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

// ring has who tends the clients end those whose login is known to be revoked.
func (cs *connections) ring() {
	select {
	case cs.bell <- struct{}{}:
	default: // it rings already
	}
}

// keep has a client tended until it is dropped, unless all are ended.
func (cs *connections) keep(c client) bool {
	if !cs.clients.keep(c) {
		return false
	}
	cs.recheckOne(c)
	return true
}

// recheckOne is for a client whose login may have been revoked before the client
// was seen to have it.
func (cs *connections) recheckOne(c client) {
	if cs.logins.revoked(c.identity().family) {
		cs.ring()
	}
}

// endRevoked ends those clients whose login is known to be revoked.
func (cs *connections) endRevoked(workers *sync.WaitGroup) {
	for _, c := range cs.clients.all() {
		if k := c.check(); !k.over && cs.logins.revoked(c.identity().family) {
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
		families[c.identity().family] = true
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
