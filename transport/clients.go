package transport

import (
	"context"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// clients is the long connections that are open: WebSockets and event streams. All methods
// may be called concurrently.
type clients struct {
	mu      sync.Mutex // guards the rest, but for wg
	sockets map[*socket]struct{}
	tended  map[client]struct{}
	users   map[hub.UserID]int // WebSockets of each user
	closed  bool               // no new WebSocket is taken
	ended   bool               // no new event stream is taken either
	wg      sync.WaitGroup     // counts the connections and their goroutines
}

// A client is a connection that is tended for as long as it is open.
type client interface {
	// identity returns whose login the connection was opened with.
	identity() identity
	check() *checks
	// tend finds out whether the peer is still there, and shows it that the server is.
	tend(now time.Time)
	// expire ends the connection, as its login does not hold any more.
	expire()
}

// checks is what the goroutine that tends clients notes of one of them.
type checks struct {
	over bool // the client has been told that its login does not hold
}

func (w *socket) check() *checks { return &w.checks }

func newClients() *clients {
	return &clients{sockets: map[*socket]struct{}{}, tended: map[client]struct{}{}, users: map[hub.UserID]int{}}
}

// enter counts a connection, or returns false if the server is going away. The caller calls
// exit when the connection has ended.
func (s *clients) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

func (s *clients) exit() { s.wg.Done() }

// enterStream is enter for an event stream, which may begin while WebSockets are already
// sent to another replica.
func (s *clients) enterStream() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.wg.Add(1)
	return true
}

// add makes a WebSocket known, or returns false if the server is going away.
func (s *clients) add(w *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.sockets[w] = struct{}{}
	return true
}

func (s *clients) remove(w *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sockets, w)
	delete(s.tended, w)
}

// keep has a client tended until drop. It returns false if the server has ended all
// connections.
func (s *clients) keep(c client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.tended[c] = struct{}{}
	return true
}

func (s *clients) drop(c client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tended, c)
}

func (s *clients) all() []client {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]client, 0, len(s.tended))
	for c := range s.tended {
		all = append(all, c)
	}
	return all
}

// claim counts a WebSocket of a user, or returns false if the user has too many. The caller
// calls unclaim when it has ended.
func (s *clients) claim(user hub.UserID, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[user] >= limit {
		return false
	}
	s.users[user]++
	return true
}

func (s *clients) unclaim(user hub.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[user]--; s.users[user] == 0 {
		delete(s.users, user)
	}
}

// sendElsewhere tells every WebSocket's client to connect to another replica, and waits
// until they have gone or ctx ends. Then it cuts the connections that are left.
func (s *clients) sendElsewhere(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	var all []*socket
	for w := range s.sockets {
		all = append(all, w)
	}
	s.mu.Unlock()
	var closing sync.WaitGroup
	for _, w := range all {
		cut := time.AfterFunc(2*time.Second, func() { w.out.Cut() })
		closing.Go(func() {
			defer cut.Stop()
			w.end(closeServiceRestart, "the server goes away")
		})
	}
	stop := context.AfterFunc(ctx, func() {
		for _, w := range all {
			w.out.Cut()
		}
	})
	defer stop()
	closing.Wait()
}

// finish ends the event streams that are left, each when all that there is has been sent,
// and waits until all connections have ended or ctx ends.
func (s *clients) finish(ctx context.Context) {
	s.mu.Lock()
	s.ended = true
	var all []*eventStream
	for c := range s.tended {
		if e, ok := c.(*eventStream); ok {
			all = append(all, e)
		}
	}
	s.mu.Unlock()
	for _, e := range all {
		e.viewer.Flush()
		e.out.Finish()
	}
	stop := context.AfterFunc(ctx, func() {
		for _, e := range all {
			e.out.Cut()
		}
	})
	defer stop()
	done := make(chan struct{})
	go func() { // it outlives this call only if connections do
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
