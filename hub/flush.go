package hub

import (
	"runtime"
	"slices"
	"sync"
)

// flushEach is how many viewers of one feed a worker writes to before others
// may help with the rest.
const flushEach = 64

// queueKept bounds the memory of the queue that is kept while it is empty.
const queueKept = 1 << 13

// A flusher writes to the viewers what is new for them. Whoever adds something
// to a feed leaves the feed here and goes on; a worker for each core takes it,
// and all that was added meanwhile, to every viewer that has room. So no viewer
// has a goroutine that waits for news, a viewer is written to without being
// waited for, and what cannot be written as fast as it comes gathers in the log
// and goes out in fewer, larger writes.
type flusher struct {
	mu     sync.Mutex
	some   sync.Cond // the queue has something, or is closed
	queue  []flush
	next   int // the first in queue that nobody has taken
	closed bool
}

// flush is what a worker takes: one of the three.
type flush struct {
	feed   *feed   // all that follow it
	subs   []*sub  // a part of these
	viewer *Viewer // in all that it follows
}

func newFlusher() *flusher {
	f := &flusher{}
	f.some.L = &f.mu
	return f
}

// add leaves something to be written. It may be called under a feed's lock.
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
		if f.queue, f.next = f.queue[:0], 0; cap(f.queue) > queueKept { // after a burst
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

// run starts the workers, which end when the flusher is closed.
func (f *flusher) run(start func(func())) {
	for range runtime.GOMAXPROCS(0) {
		start(func() {
			for x, ok := f.pop(); ok; x, ok = f.pop() { // a panic ends the viewer, in its flush
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
