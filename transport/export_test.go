package transport

import (
	"context"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// Fields is what each command may have beside type and ref.
var Fields = fields

// Cheap returns options with which a password costs next to nothing to hash,
// and failed logins are forgotten by the clock that is given.
func Cheap(opt Options, now func() time.Time) Options {
	opt.passwords, opt.now = argonCost{memory: 8, time: 1, threads: 1}, now
	return opt
}

// Throttled returns how many accounts the server remembers guesses for.
func (s *Server) Throttled() int {
	s.people.lockout.perAccount.mu.Lock()
	defer s.people.lockout.perAccount.mu.Unlock()
	return len(s.people.lockout.perAccount.keys)
}

// Held returns how many bytes of WebSocket messages the server holds.
func (s *Server) Held() int64 {
	s.conns.messages.mu.Lock()
	defer s.conns.messages.mu.Unlock()
	return s.conns.messages.used
}

// Occupy takes a user's turn of the calls that read much.
func (s *Server) Occupy(ctx context.Context, user hub.UserID) (leave func(), err error) {
	return s.chats.heavy.enter(ctx, user)
}

// Waiting returns how many of these calls of a user have their turn or wait for it.
func (s *Server) Waiting(user hub.UserID) int {
	s.chats.heavy.mu.Lock()
	defer s.chats.heavy.mu.Unlock()
	if t := s.chats.heavy.users[user]; t != nil {
		return t.here
	}
	return 0
}
