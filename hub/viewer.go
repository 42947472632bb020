package hub

import (
	"context"
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

// turnsMax is how many writes to one viewer may follow each other.
const turnsMax = 16

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
	turn    int // the sub that was served last
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
	for turn := 0; v.sink != nil && !v.full; turn++ {
		if turn == turnsMax { // others have waited
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
		v.turn = (v.turn + 1) % len(v.subs)
		if v.write(v.subs[v.turn]) {
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
		out, p, more, done := s.cut()
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

// cut is take under the feed's lock, and whether a single stream has been sent
// whole.
func (s *sub) cut() (out []byte, p eventlog.Piece, more, done bool) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	out, p, more = s.take(nil)
	return out, p, more, s.done()
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

// Pong answers a ping.
func (v *Viewer) Pong() { v.reply([]byte(`{"type":"pong"}`)) }

// Refuse answers a refused request. What is not an [*Error] is told as internal.
func (v *Viewer) Refuse(ref int64, err error) {
	detail := "something went wrong here"
	var e *Error
	if errors.As(err, &e) {
		detail = e.Msg
	}
	v.reply(encode(errorEvent{Type: "error", Ref: ref, Code: CodeOf(err), Detail: detail}))
}

// Connect returns a viewer of all that one client follows, in [eventlog.Lines]. It has
// joined the user's own feed, and first of all sends ready.
func (h *Hub) Connect(ctx context.Context, user UserID) (*Viewer, error) {
	v := h.newViewer(user, eventlog.Lines)
	s := v.join(Topic{User: user})
	err := h.peers.await(ctx, s.feed)
	var version int64
	if err == nil {
		version, err = h.feeds.userVersion(ctx, user)
	}
	if err != nil {
		v.Close()
		return nil, err
	}
	v.grant(s, encode(readyEvent{Type: "ready", UserID: user, UserVersion: version}), func() {
		s.feed.version = max(s.feed.version, version)
		s.acked = version
	})
	return v, nil
}

// Ready sends ready again, as after a renewed auth.
func (v *Viewer) Ready(ctx context.Context) error {
	version, err := v.feeds.userVersion(ctx, v.user)
	if err != nil {
		return err
	}
	v.reply(encode(readyEvent{Type: "ready", UserID: v.user, UserVersion: version}))
	return nil
}

// release gives the viewer the answer and then what was held back. The caller
// holds the feed's lock.
func (s *sub) release(answer []byte) {
	s.head = eventlog.AppendFrame(s.head, s.viewer.framing, -1, answer)
	s.held, s.member = false, true
	s.viewer.signal()
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

// Subscribe joins a session's feed. It answers with an ack that has the
// session's version, then with what is missing of every stream in flight and
// of those in positions; from there on the viewer is live. One that follows the
// session already stays so until then.
func (v *Viewer) Subscribe(ctx context.Context, ref int64, id SessionID, positions map[MessageID]int64) error {
	s := v.join(Topic{Session: id})
	even := s.even(positions)
	err := v.feeds.peers.await(ctx, s.feed) // what is read from here on misses nothing
	var session Session
	if err == nil {
		session, err = v.hub.store.Session(ctx, v.user, id)
	}
	var ended []*liveLog
	var rest owing
	if err == nil {
		ended, rest, err = v.lookUpLogs(ctx, s.feed, positions)
	}
	if err != nil {
		v.done(s)
		return err
	}
	v.grant(s, encode(ackEvent{Type: "ack", Ref: ref, Version: session.Version}), func() {
		f := s.feed
		f.version = max(f.version, session.Version)
		s.acked = max(s.acked, session.Version)
		for _, l := range ended {
			if f.streams[l.id] == nil {
				s.place(l, positions[l.id])
			}
		}
		s.owing = nil
		if len(rest.list) > 0 {
			s.owing = &owing{list: rest.list}
		}
		for mid, pos := range positions {
			if l := f.streams[mid]; l != nil && !even[mid] {
				s.place(l, pos)
			}
		}
		for _, l := range f.streams {
			if _, known := positions[l.id]; !known && !l.Ended() {
				*s.find(l, eventlog.NoPosition) = place{log: l, pos: eventlog.NoPosition, fresh: true}
			}
		}
	})
	return nil
}

// even says which of the positions are just what the viewer was sent: from these
// on it is sent all that comes until the answer, and needs nothing again.
func (s *sub) even(positions map[MessageID]int64) map[MessageID]bool {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	var out map[MessageID]bool
	for i := range s.places {
		p := &s.places[i]
		if pos, ok := positions[p.log.id]; ok && !s.held && pos == p.pos && pos >= 0 {
			if out == nil {
				out = map[MessageID]bool{}
			}
			out[p.log.id] = true
		}
	}
	return out
}

// place sets the viewer's cursor in a stream to where it says it stands. The
// caller holds the feed's lock.
func (s *sub) place(l *liveLog, pos int64) {
	// Who is ahead of what is known here waits for it, if it may come.
	if pos < eventlog.FromStart || pos > l.Last() && (l.Ended() || !s.viewer.feeds.peers.behind()) {
		pos = eventlog.NoPosition
	}
	p := s.find(l, pos)
	sent := p.pos
	p.pos, p.fresh, p.until = pos, pos < l.Last(), l.Last()
	if pos == eventlog.NoPosition {
		p.until = 0
	} else if sent > pos {
		// It was sent more than it says it has, perhaps after it had said so. The
		// merged delta ends there: who has it all drops it, who has a hole needs it.
		p.until = min(sent, l.Last())
	}
}

// Unsubscribe leaves a session's feed.
func (v *Viewer) Unsubscribe(_ context.Context, ref int64, id SessionID) error {
	v.leave(Topic{Session: id})
	v.reply(encode(ackEvent{Type: "ack", Ref: ref}))
	return nil
}

// Send asks for an answer, as [Hub.Ask] does, and subscribes the viewer to its
// session. The ack comes before the events of the answer.
func (v *Viewer) Send(ctx context.Context, ref int64, q Question) error {
	id := SessionID(NewID())
	if q.SessionID != nil {
		id = *q.SessionID
	}
	s := v.joinForAll(id)
	granted := false
	asked, err := v.hub.asker.ask(ctx, v.user, q, id, func(f *feed, asked Asked) {
		granted = v.admit(f, ackOf(ref, asked))
	})
	if err != nil || granted {
		v.done(s)
		return err
	}
	if asked.Session.ID != id { // an earlier send of the same ids opened another, or the parent's is meant
		v.done(s)
		s = v.joinForAll(asked.Session.ID)
	}
	v.grant(s, ackOf(ref, asked), func() {})
	return nil
}

// joinForAll joins a session's feed. A viewer that has not followed it gets a
// snapshot of every stream in flight.
func (v *Viewer) joinForAll(id SessionID) *sub {
	s := v.join(Topic{Session: id})
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	if !s.member {
		s.snapshotAll()
	}
	return s
}

// admit grants a send in the feed that its answer lives in, if the viewer has
// joined that. The caller holds the feed's lock and adds the answer's events then.
func (v *Viewer) admit(f *feed, ack []byte) bool {
	for _, s := range f.subs {
		if s.viewer == v && !s.single {
			s.release(ack)
			return true
		}
	}
	return false
}

func ackOf(ref int64, asked Asked) []byte {
	ack := ackEvent{Type: "ack", Ref: ref, SessionID: asked.Session.ID, AnswerID: asked.Answer.ID}
	switch {
	case asked.Question != nil:
		ack.MessageID = asked.Question.ID
	case asked.Answer.ParentID != nil:
		ack.MessageID = *asked.Answer.ParentID
	}
	return encode(ack)
}

// Stop ends an answer, as [Hub.Stop] does.
func (v *Viewer) Stop(ctx context.Context, ref int64, id MessageID) error {
	if err := v.hub.Stop(ctx, v.user, id); err != nil {
		return err
	}
	v.reply(encode(ackEvent{Type: "ack", Ref: ref}))
	return nil
}
