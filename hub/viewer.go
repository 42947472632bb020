package hub

import (
	"errors"
	"slices"
	"sync"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/eventlog"
)

// A Sink is the write side of one client: a WebSocket or an event stream. The hub calls one
// method at a time, and holds the viewer's lock meanwhile: a Sink calls the viewer from
// another goroutine, never from within Write or End.
type Sink interface {
	// Write sends a batch of whole events in the viewer's framing. The batch is the
	// caller's again when Write returns. Write never waits for the client: it returns
	// false if there is no room for more. The sink then keeps what it has not sent of
	// the batch, and calls [Viewer.Resume] once that is sent, or never if the connection
	// is broken.
	Write(batch []byte) (room bool)
	// End ends the connection: the stream has ended, or the viewer has failed, and nothing
	// follows. It does not wait.
	End()
}

// ErrUpToDate says that a stream has ended and that the client has all of it.
var ErrUpToDate = errors.New("nothing after this position")

// writesMax is how many batches one viewer is written before the others get their turn.
const writesMax = 16

// A Viewer is one client's subscriptions. It holds positions in feeds and streams, and
// neither events nor a goroutine: a slow client costs no buffer, and is sent what it
// missed in a few large writes. All methods may be called concurrently.
type Viewer struct {
	hub     *Hub // whose commands a client may give
	feeds   *feeds
	who     Access
	framing eventlog.Framing

	mu      sync.Mutex // guards the rest; taken before the locks of the feeds and of a feed
	sink    Sink       // nil before Start, and when nothing more is to be written
	full    bool       // the sink has no room
	replies []byte     // answers to commands that need no order among events
	subs    []*sub
	served  int // the index of the sub that was written last
}

func (h *Hub) newViewer(who Access, f eventlog.Framing) *Viewer {
	return &Viewer{hub: h, feeds: h.feeds, who: who, framing: f}
}

// Start writes to a sink what there is for the client. From then on the hub writes to it,
// until Close has returned.
func (v *Viewer) Start(sink Sink) {
	v.mu.Lock()
	v.sink = sink
	v.mu.Unlock()
	v.flush(nil)
}

// Resume says that the sink has room again, and writes what is new to it.
func (v *Viewer) Resume() {
	v.mu.Lock()
	v.full = false
	v.mu.Unlock()
	v.flush(nil)
}

// Flush writes to the sink what is new, if it has room.
func (v *Viewer) Flush() { v.flush(nil) }

// signal has the viewer written what is new. The caller may hold a feed's lock.
func (v *Viewer) signal() { v.feeds.flusher.add(flush{viewer: v}) }

// flush writes what is new to the sink for as long as the sink has room. It writes what is
// new in one subscription, or in all of them if only is nil.
func (v *Viewer) flush(only *sub) {
	v.mu.Lock()
	defer v.mu.Unlock()
	defer v.fail()
	for writes := 0; v.sink != nil && !v.full; writes++ {
		if writes == writesMax { // other viewers wait
			v.signal()
			return
		}
		if !v.step(only) {
			return
		}
	}
}

// fail ends a viewer whose flush has panicked, and nothing else. It is deferred by a caller
// that holds v.mu.
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

// step writes the next batch, and says whether there was one. The caller holds v.mu.
func (v *Viewer) step(only *sub) bool {
	if batch := v.replies; len(batch) > 0 {
		v.replies = nil
		v.full = !v.sink.Write(batch)
		return true
	}
	if only != nil {
		return !only.left && v.write(only)
	}
	for range v.subs { // it begins behind the one served last, so that no feed starves another
		v.served = (v.served + 1) % len(v.subs)
		if v.write(v.subs[v.served]) {
			return true
		}
	}
	return false
}

// large has buffers for batches that are made for one viewer alone.
var large = sync.Pool{New: func() any { return new([]byte) }}

// write writes what is next in a subscription, and says whether there was something. The
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

// Owed returns how many bytes of answers to commands wait for the client to read.
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

// reply sends an event that needs no order among the others.
func (v *Viewer) reply(event []byte) {
	v.mu.Lock()
	v.replies = v.framing.Beside(v.replies, event)
	v.mu.Unlock()
	v.signal()
}

// join subscribes the viewer to a feed on behalf of a command. The command ends that with
// grant or done. A new subscription is sent nothing before the first grant; one that the
// viewer has already goes on meanwhile.
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

// grant answers a command that has joined a feed. Before that it calls set, under the
// feed's lock. A viewer that has left the feed meanwhile is sent the answer alone.
func (v *Viewer) grant(s *sub, answer []byte, set func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s.asks--
	if s.left {
		v.replies = v.framing.Beside(v.replies, answer)
		v.signal()
		return
	}
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	set()
	s.release(answer)
}

// done ends a command that has joined a feed and is not granted. The viewer leaves the
// feed, unless another command was granted or is under way.
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
