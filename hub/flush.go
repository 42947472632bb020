package hub

import (
	"runtime"
	"slices"
	"sync"
)

// flushEach is how many viewers of one feed are put back into the queue at a time, so that
// another worker can help. A worker keeps up to twice as many.
const flushEach = 64

// queueKept is the largest queue, in items, whose memory is kept while it is empty.
const queueKept = 1 << 13

// A flusher writes what is new to the viewers, on one goroutine for each core. Whoever
// adds something to a feed puts the feed into the flusher's queue and goes on. A worker
// takes the feed and writes to each viewer that has room, including what was added since.
// So a viewer needs no goroutine of its own, nobody waits for a viewer, and what comes
// faster than it can be written is sent later in fewer, larger writes.
//
// All methods may be called concurrently.
type flusher struct {
	mu     sync.Mutex
	some   sync.Cond // signals that the queue has something, or that it is closed
	queue  []flush
	next   int // the index of the first item that no worker has taken
	closed bool
}

// A flush is what a worker writes. One of the fields is set.
type flush struct {
	feed   *feed   // what is new in it, to all of its viewers
	subs   []*sub  // the same, to some of them
	viewer *Viewer // all that is new for one viewer
}

func newFlusher() *flusher {
	f := &flusher{}
	f.some.L = &f.mu
	return f
}

// add puts something into the queue. The caller may hold a feed's lock.
func (f *flusher) add(x flush) {
	f.mu.Lock()
	f.queue = append(f.queue, x)
	f.mu.Unlock()
	f.some.Signal()
}

// pop waits for something to write, until the flusher is closed.
func (f *flusher) pop() (x flush, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.next == len(f.queue) && !f.closed {
		if f.queue, f.next = f.queue[:0], 0; cap(f.queue) > queueKept { // it was needed for a burst
			f.queue = nil
		}
		f.some.Wait()
	}
	if f.closed {
		return flush{}, false
	}
	x = f.queue[f.next]
	f.queue[f.next] = flush{}
	if f.next++; f.next >= 1024 && 2*f.next > len(f.queue) {
		f.queue = slices.Delete(f.queue, 0, f.next) // which clears the places behind
		f.next = 0
	}
	return x, true
}

func (f *flusher) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.some.Broadcast()
}

// run starts the workers. They end when the flusher is closed.
func (f *flusher) run(start func(func())) {
	for range runtime.GOMAXPROCS(0) {
		start(func() {
			for x, ok := f.pop(); ok; x, ok = f.pop() { // a panic ends the viewer alone: see Viewer.fail
				f.write(x)
			}
		})
	}
}

func (f *flusher) write(x flush) {
	switch {
	case x.viewer != nil:
		x.viewer.flush(nil)
		return
	case x.feed != nil:
		x.subs = x.feed.lend()
		for len(x.subs) > 2*flushEach {
			f.add(flush{subs: x.subs[:flushEach]})
			x.subs = x.subs[flushEach:]
		}
	}
	for _, s := range x.subs {
		s.viewer.flush(s)
	}
}
