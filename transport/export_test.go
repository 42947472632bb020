package transport

import "time"

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
	s.perAccount.mu.Lock()
	defer s.perAccount.mu.Unlock()
	return len(s.perAccount.keys)
}

// Held returns how many bytes of WebSocket messages the server holds.
func (s *Server) Held() int64 {
	s.messages.mu.Lock()
	defer s.messages.mu.Unlock()
	return s.messages.used
}
