package transport

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
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

// connections is the WebSockets and event streams, and whether the logins hold that they
// came by. It is safe for concurrent use.
type connections struct {
	ctx         context.Context // of WebSockets; the server's end ends it
	hub         *hub.Hub
	accounts    Accounts
	logins      *logins
	edge        *edge
	clients     *clients
	messages    *budget       // of WebSocket messages
	bell        chan struct{} // holds one: a login was revoked
	doubt       atomic.Bool   // some may have been that this replica was not told of
	bodyLimit   int64
	maxSockets  int
	heartbeat   time.Duration
	authTimeout time.Duration
	recheck     time.Duration
	callTimeout time.Duration
	logger      *slog.Logger
}

// tendClients looks after all clients until ctx ends: one goroutine instead of
// some for each.
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
		cut := time.AfterFunc(2*time.Second, func() { w.out.cut() })
		closing.Go(func() {
			defer cut.Stop()
			w.end(closeServiceRestart, "the server goes away")
		})
	}
	stop := context.AfterFunc(ctx, func() {
		for _, w := range all {
			w.out.cut()
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
		e.out.finish()
	}
	stop := context.AfterFunc(ctx, func() {
		for _, e := range all {
			e.out.cut()
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
