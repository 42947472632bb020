package transport

import (
	"context"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// clients is all long connections there are.
type clients struct {
	mu      sync.Mutex
	sockets map[*socket]struct{}
	tended  map[client]struct{}
	users   map[hub.UserID]int
	closed  bool           // to WebSockets
	ended   bool           // to event streams, too
	wg      sync.WaitGroup // one for each connection, and what works for it
}

// A client is what is looked after as long as it is connected.
type client interface {
	identity() identity
	check() *checks
	tend(now time.Time) // it is still there, and is shown that this server is
	expire()            // its login does not hold any more
}

// checks is of who tends a client.
type checks struct {
	over bool // its login does not hold, and it is told so
}

func (w *socket) check() *checks { return &w.checks }

func newClients() *clients {
	return &clients{sockets: map[*socket]struct{}{}, tended: map[client]struct{}{}, users: map[hub.UserID]int{}}
}

// enter counts a connection, unless the server goes away.
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

// enterStream is enter for an event stream: it may begin while WebSockets are
// sent elsewhere.
func (s *clients) enterStream() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.wg.Add(1)
	return true
}

// add makes a WebSocket known, unless the server goes away.
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

// keep has a client tended until drop, unless all are ended.
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

// claim counts a user's WebSocket, within the limit.
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

// sendElsewhere tells every WebSocket client to go elsewhere, and waits for them
// until ctx ends; then it cuts the connections that are left and returns.
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

// finish ends the event streams that are left, those whose answer has ended
// when its end is sent, and waits for all connections until ctx ends.
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
	go func() { // it outlives the call only with connections that do
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
