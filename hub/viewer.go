package hub

import (
	"errors"
	"slices"
	"sync"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/eventlog"
)

// A Sink is the write side of one client: a WebSocket or an event stream.
type Sink interface {
	// Write sends a batch of whole events in the viewer's framing, which is good
	// until Write returns. It never waits for the client: false says that there is
	// no room for more. The sink then keeps what is left of the batch and calls
	// [Viewer.Resume] when that is sent, or never, if the connection is broken.
	Write(batch []byte) (room bool)
	// End says that the stream has ended, or that the viewer failed, and that nothing
	// follows: the connection is to end. Neither waits.
	End()
}

// ErrUpToDate says that a stream has ended and the position is its end.
var ErrUpToDate = errors.New("nothing after this position")

// writesMax is how many writes to one viewer may follow each other.
const writesMax = 16

// A Viewer is one client's places in the feeds and streams it follows. It holds
// no events and no goroutine: a slow client costs positions, not a buffer, and
// gets what it missed in few large writes.
type Viewer struct {
	hub     *Hub // whose commands a client may give
	feeds   *feeds
	user    UserID
	framing eventlog.Framing

	mu      sync.Mutex // guards the rest; taken before the hub's and a feed's lock
	sink    Sink       // nil before Start, and when nothing more is to be written
	full    bool       // the sink has no room
	replies []byte     // answers that no feed orders
	subs    []*sub
	served  int // the sub that was served last
}

func (h *Hub) newViewer(user UserID, f eventlog.Framing) *Viewer {
	return &Viewer{hub: h, feeds: h.feeds, user: user, framing: f}
}

// Start writes to a sink what there is, and lets the hub write to it from now on
// until Close has returned.
func (v *Viewer) Start(sink Sink) {
	v.mu.Lock()
	v.sink = sink
	v.mu.Unlock()
	v.flush(nil)
}

// Resume says that the sink has room again, and writes to it what is new.
func (v *Viewer) Resume() {
	v.mu.Lock()
	v.full = false
	v.mu.Unlock()
	v.flush(nil)
}

// Flush writes to the sink what is new, if it has room.
func (v *Viewer) Flush() { v.flush(nil) }

// signal has the viewer sent what is new. It may be called under a feed's lock.
func (v *Viewer) signal() { v.feeds.flusher.add(flush{viewer: v}) }

// flush writes what is new to the sink as long as that has room: what only has,
// or all.
func (v *Viewer) flush(only *sub) {
	v.mu.Lock()
	defer v.mu.Unlock()
	defer v.fail()
	for writes := 0; v.sink != nil && !v.full; writes++ {
		if writes == writesMax { // others have waited
			v.signal()
			return
		}
		if !v.step(only) {
			return
		}
	}
}

// fail ends a viewer whose flush panics, and nothing else. It is deferred under
// v.mu.
func (v *Viewer) fail() {
	r := recover()
	if r == nil {
		return
	}
	err := background.Panicked(v.feeds.bg.Logger, "viewer", r)
	if sink := v.sink; sink != nil {
		v.sink = nil
		v.feeds.bg.Guard("end of a viewer after "+err.Error(), sink.End)
	}
}

// step writes the next batch, and says whether there was one. The caller holds
// v.mu.
func (v *Viewer) step(only *sub) bool {
	if batch := v.replies; len(batch) > 0 {
		v.replies = nil
		v.full = !v.sink.Write(batch)
		return true
	}
	if only != nil {
		return !only.left && v.write(only)
	}
	for range v.subs { // the next one begins elsewhere: no feed starves another
		v.served = (v.served + 1) % len(v.subs)
		if v.write(v.subs[v.served]) {
			return true
		}
	}
	return false
}

// large has buffers for batches that are made for one viewer.
var large = sync.Pool{New: func() any { return new([]byte) }}

// write writes what is next in a sub, and says whether there was something. The
// caller holds v.mu.
func (v *Viewer) write(s *sub) bool {
	for {
		out, p, more, done := s.nextBatch()
		switch {
		case !more:
			if done {
				v.sink.End()
				v.sink = nil
			}
			return false
		case p.Ready() != nil:
			v.full = !v.sink.Write(p.Ready())
			p.Done()
			return true
		case !p.Empty():
			buf := large.Get().(*[]byte)
			out = p.Append(append((*buf)[:0], out...), v.framing)
			v.full = !v.sink.Write(out)
			if cap(out) <= 2*eventlog.MergeMax {
				*buf = out
			}
			large.Put(buf)
			return true
		case len(out) > 0:
			v.full = !v.sink.Write(out)
			return true
		}
	}
}

// Owed is the bytes of answers to commands that wait for the client to read.
func (v *Viewer) Owed() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := len(v.replies)
	for _, s := range v.subs {
		s.feed.mu.Lock()
		n += len(s.head)
		s.feed.mu.Unlock()
	}
	return n
}

// reply sends an event that no feed orders.
func (v *Viewer) reply(event []byte) {
	v.mu.Lock()
	v.replies = eventlog.AppendFrame(v.replies, v.framing, -1, event)
	v.mu.Unlock()
	v.signal()
}

// join subscribes the viewer to a feed for a command, which ends that with grant
// or done. A new subscription is held until the first grant; to one that the
// viewer has, what is new goes on meanwhile.
func (v *Viewer) join(key Topic) *sub {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.subs {
		if s.feed.session == key.Session && s.feed.user == key.User {
			s.asks++
			return s
		}
	}
	s := &sub{viewer: v, held: true, asks: 1}
	v.subs = append(v.subs, s)
	v.feeds.join(s, key)
	return s
}

// grant ends a command that has joined a feed with its answer. set is called
// before, under the feed's lock. Who has left the feed meanwhile gets the answer
// alone.
func (v *Viewer) grant(s *sub, answer []byte, set func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s.asks--
	if s.left {
		v.replies = eventlog.AppendFrame(v.replies, v.framing, -1, answer)
		v.signal()
		return
	}
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	set()
	s.release(answer)
}

// done ends a command that has joined a feed: the viewer leaves it, unless one
// was granted or is under way.
func (v *Viewer) done(s *sub) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s.asks--
	s.feed.mu.Lock()
	member := s.member
	s.feed.mu.Unlock()
	if s.asks == 0 && !member && !s.left {
		v.leaveSub(s)
	}
}

// leave ends the subscription, if there is one.
func (v *Viewer) leave(key Topic) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.subs {
		if s.feed.session == key.Session && s.feed.user == key.User {
			v.leaveSub(s)
			return
		}
	}
}

// leaveSub ends a subscription. The caller holds v.mu.
func (v *Viewer) leaveSub(s *sub) {
	v.subs = slices.DeleteFunc(v.subs, func(o *sub) bool { return o == s })
	s.left = true
	v.feeds.leave(s)
}

// Close leaves all feeds. When it has returned the sink is not called any more.
func (v *Viewer) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.subs {
		s.left = true
		v.feeds.leave(s)
	}
	v.subs, v.sink = nil, nil
}
