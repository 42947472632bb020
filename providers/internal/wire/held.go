package wire

import (
	"errors"
	"sync"
	"time"
)

// What events that are large, or do not end, may hold of memory: an answer is
// asked of whatever server a user names, and hundreds run at a time.
const (
	heldFree = 64 << 10         // bytes of an answer that do not count
	heldEach = 32 << 20         // of all answers of one user's providers, or of one provider of everyone's
	heldMost = 96 << 20         // of all answers
	heldTime = 60 * time.Second // for a large event to be whole
)

// Why an answer is ended for the events that it has.
var (
	errTooMany  = errors.New("too many large events are being read at once")
	errDripping = errors.New("a large event does not end")
)

// pool counts what all answers hold of events that have not ended, and what
// each of the owners does.
type pool struct {
	mu  sync.Mutex
	all int64
	by  map[any]int64
}

var large = &pool{by: map[any]int64{}}

// add counts more bytes of an owner's, or says that they are too many. Nobody
// may hold more than is left for the others: however many take all they can,
// the next one gets some.
func (p *pool) add(owner any, more int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all += more
	own := p.by[owner] + more
	if p.by[owner] = own; own == 0 {
		delete(p.by, owner)
	}
	if more > 0 && (own > heldEach || own > heldMost-p.all) {
		return errTooMany
	}
	return nil
}

// held is whose answers a reader's events are of.
type held struct {
	pool  *pool
	owner any
}

// newHeld returns what a client's answers count as: as the owner's, or as its own
// if it is everyone's.
func newHeld(owner string) *held {
	if owner == "" {
		return &held{large, new(byte)}
	}
	return &held{large, owner}
}

// hold counts what the reader has of an event, or says that it is too much.
func (r *Reader) hold() error {
	if r.held == nil {
		return nil
	}
	size := int64(cap(r.long) + cap(r.data) + cap(r.bare.rest) + cap(r.again))
	if size <= heldFree {
		return nil
	}
	if r.size == 0 {
		r.from = time.Now()
	} else if time.Since(r.from) > heldTime {
		return errDripping
	}
	more := size - r.size
	r.size = size
	return r.held.pool.add(r.held.owner, more)
}

// release lets go of what a large event took.
func (r *Reader) release() {
	if r.size == 0 {
		return
	}
	_ = r.held.pool.add(r.held.owner, -r.size) // less is never too much
	r.size = 0
	r.data, r.long = nil, nil
}
