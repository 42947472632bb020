package main

import "sync/atomic"

// blocks is how many reports of its viewers a stream in a closed loop keeps
// apart. Less than half of them are ever open.
const blocks = 8

// A stream is one answer: what the provider has sent of it and, in a closed
// loop, what all of its viewers have.
type stream struct {
	index   int
	account *account
	id      string // of its answer
	session string
	viewers int64

	asked     int64 // these are on the clock of tokens; asked is the client's
	arrived   atomic.Int64
	firstSent atomic.Int64
	sent      atomic.Int64 // tokens
	source    *source

	block  int64 // tokens after each of which a viewer reports; 0: never
	passed [blocks]atomic.Int64
	acked  atomic.Int64  // tokens that all viewers have
	bell   chan struct{} // holds one: acked has grown
}

func newStream(index int, viewers int, window int64) *stream {
	return &stream{index: index, viewers: int64(viewers), block: window / (blocks / 2), bell: make(chan struct{}, 1)}
}

// pass says that one more viewer has block n whole. A viewer passes them in
// order, so that the last viewer's report of a block ends it.
func (s *stream) pass(n int64) {
	done := &s.passed[n%blocks]
	if done.Add(1) < s.viewers {
		return
	}
	done.Store(0)
	s.acked.Store((n + 1) * s.block)
	select {
	case s.bell <- struct{}{}:
	default:
	}
}
