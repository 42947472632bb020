package hub

import (
	"context"
	"sync"
)

// room bounds the bytes that prompts, or answers, hold at a time, in all and for
// each user. A prompt waits for others to leave, and is let in alone if it is
// larger than what a user may have; an answer ends where there is none.
type room struct {
	all, each int64

	mu   sync.Mutex
	used int64
	by   map[UserID]int64
	left chan struct{} // closed and replaced when somebody leaves
}

func newRoom(all, each int64) *room {
	return &room{all: all, each: each, by: map[UserID]int64{}, left: make(chan struct{})}
}

// enter waits for room for n bytes. It returns ctx's error if that ends first.
func (r *room) enter(ctx context.Context, user UserID, n int64) error {
	for {
		r.mu.Lock()
		left := r.left
		in := r.take(user, n, true)
		r.mu.Unlock()
		if in {
			return nil
		}
		select {
		case <-left:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// try is enter for who does not wait.
func (r *room) try(user UserID, n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.take(user, n, false)
}

// take is enter's and try's. The caller holds the lock.
func (r *room) take(user UserID, n int64, alone bool) bool {
	fits := func(used, most int64) bool { return alone && used == 0 || used+n <= most }
	if !fits(r.used, r.all) || !fits(r.by[user], r.each) {
		return false
	}
	r.used += n
	r.by[user] += n
	return true
}

// leave gives n bytes back.
func (r *room) leave(user UserID, n int64) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= n
	if r.by[user] -= n; r.by[user] == 0 {
		delete(r.by, user)
	}
	close(r.left)
	r.left = make(chan struct{})
}
