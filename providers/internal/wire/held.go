package wire

import (
	"errors"
	"sync/atomic"
	"time"
)

// What events that are large, or do not end, may hold of memory: an answer is
// asked of whatever server a user names, and hundreds run at a time.
const (
	heldFree = 64 << 10         // bytes of an answer that do not count
	heldEach = 32 << 20         // of all answers of one client
	heldMost = 96 << 20         // of all answers
	heldTime = 60 * time.Second // for a large event to be whole
)

// Why an answer is ended for the events that it has.
var (
	errTooMany  = errors.New("too many large events are being read at once")
	errDripping = errors.New("a large event does not end")
)

// held counts what the answers of a client hold of events that have not ended.
type held struct {
	own atomic.Int64
	all *atomic.Int64 // of every client
}

var heldAll atomic.Int64

func newHeld() *held { return &held{all: &heldAll} }

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
	if own, all := r.held.own.Add(more), r.held.all.Add(more); own > heldEach || all > heldMost {
		return errTooMany
	}
	return nil
}

// release lets go of what a large event took.
func (r *Reader) release() {
	if r.size == 0 {
		return
	}
	r.held.own.Add(-r.size)
	r.held.all.Add(-r.size)
	r.size = 0
	r.data, r.long = nil, nil
}
