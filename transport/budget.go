package transport

import (
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// budget bounds the bytes that clients make the server hold at a time: in all,
// and for each user and network that share them. Bytes count as they arrive: what
// a request only announces costs nothing.
type budget struct {
	all, each int64

	mu   sync.Mutex
	used int64
	by   map[string]int64
}

func newBudget(all, each int64) *budget {
	return &budget{all: all, each: each, by: map[string]int64{}}
}

// share is what one request or message holds of a budget.
type share struct {
	budget *budget
	whose  []string
	size   int64
}

// of begins a share of the user's and the network's.
func (b *budget) of(whose ...string) *share { return &share{budget: b, whose: whose} }

// grow takes n bytes more, or refuses.
func (s *share) grow(n int64) error {
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	fits := b.used+n <= b.all
	for _, who := range s.whose {
		fits = fits && b.by[who]+n <= b.each
	}
	if !fits {
		return &hub.Error{Code: hub.CodeRateLimited, Msg: "too much is being sent at once; wait for what is under way", RetryAfter: time.Second}
	}
	s.add(n)
	return nil
}

// release gives all back. It may be called twice.
func (s *share) release() {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.add(-s.size)
}

// add is grow's and release's. The caller holds the lock.
func (s *share) add(n int64) {
	s.size += n
	s.budget.used += n
	for _, who := range s.whose {
		if s.budget.by[who] += n; s.budget.by[who] == 0 {
			delete(s.budget.by, who)
		}
	}
}
