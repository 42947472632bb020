// Package room bounds the bytes that something holds at a time.
package room

import (
	"context"
	"sync"
)

// A Room bounds bytes in all and for each owner, who is named by an O. Its methods may
// be called concurrently.
type Room[O comparable] struct {
	all, each int64

	mu   sync.Mutex
	used int64
	by   map[O]int64
	left chan struct{} // closed and replaced when somebody leaves
}

// New returns a room of so many bytes, of which one owner may have each.
func New[O comparable](all, each int64) *Room[O] {
	return &Room[O]{all: all, each: each, by: map[O]int64{}, left: make(chan struct{})}
}

// Enter waits until there is room for n bytes. More than one owner may have is let in
// once nobody else is in the room. It returns the cause of ctx's end if that comes
// first.
func (r *Room[O]) Enter(ctx context.Context, owner O, n int64) error {
	for {
		r.mu.Lock()
		left := r.left
		in := r.reserve(owner, n, true)
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

// Try says whether there is room for n bytes now, and takes it.
func (r *Room[O]) Try(owner O, n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reserve(owner, n, false)
}

// reserve is what Enter and Try share. The caller holds the lock.
func (r *Room[O]) reserve(owner O, n int64, alone bool) bool {
	fits := func(used, most int64) bool { return alone && used == 0 || used+n <= most }
	if !fits(r.used, r.all) || !fits(r.by[owner], r.each) {
		return false
	}
	r.used += n
	r.by[owner] += n
	return true
}

// Leave gives n bytes back.
func (r *Room[O]) Leave(owner O, n int64) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= n
	if r.by[owner] -= n; r.by[owner] == 0 {
		delete(r.by, owner)
	}
	close(r.left)
	r.left = make(chan struct{})
}
