package transport

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// revoked is told by the hub which grants have ended; with none, any may have.
func (s *Server) revoked(grants []string) {
	for _, id := range grants {
		s.logins.note(id, false, time.Now())
	}
	if len(grants) == 0 {
		s.doubt.Store(true)
	}
	s.ring()
}

// ring has who tends the clients end those whose login is known to be revoked.
func (s *Server) ring() {
	select {
	case s.bell <- struct{}{}:
	default: // it rings already
	}
}

// keep has a client tended until it is dropped, unless all are ended.
func (s *Server) keep(c client) bool {
	if !s.clients.keep(c) {
		return false
	}
	s.recheckOne(c)
	return true
}

// recheckOne is for a client whose login may have been revoked before the client
// was seen to have it.
func (s *Server) recheckOne(c client) {
	if s.logins.revoked(c.identity().family) {
		s.ring()
	}
}

// endRevoked ends those clients whose login is known to be revoked.
func (s *Server) endRevoked(workers *sync.WaitGroup) {
	for _, c := range s.clients.all() {
		if k := c.check(); !k.over && s.logins.revoked(c.identity().family) {
			k.over = true
			workers.Go(func() { s.guard(c.expire) })
		}
	}
}

// lookForRevoked asks the database which of the logins in use here were revoked
// without this replica having been told. It says whether some were.
func (s *Server) lookForRevoked(ctx context.Context) bool {
	families := map[string]bool{}
	s.logins.inUse(families)
	for _, c := range s.clients.all() {
		families[c.identity().family] = true
	}
	if len(families) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, s.opt.CallTimeout)
	defer cancel()
	at := time.Now()
	active, err := s.accounts.ActiveGrants(ctx, slices.Sorted(maps.Keys(families)))
	if err != nil { // a database that is away logs nobody out
		s.log.Debug("look for revoked logins", "err", err)
		return false
	}
	return s.logins.found(families, active, at)
}
