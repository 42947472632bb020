package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Sink is the write side of one client: a WebSocket or an SSE response.
type Sink interface {
	// Write sends a batch of whole events in the viewer's framing; an empty
	// batch is a heartbeat. The batch may not be changed.
	Write(ctx context.Context, batch []byte) error
}

// ErrUpToDate says that a stream has ended and the position is its end.
var ErrUpToDate = errors.New("nothing after this position")

// A Viewer is one client's places in the feeds and streams it follows. It holds
// no events: a slow client costs positions, not a buffer, and gets what it
// missed in few large writes.
type Viewer struct {
	hub     *Hub
	user    UserID
	framing Framing
	wake    chan struct{} // holds one

	mu      sync.Mutex // guards the rest; taken before a feed's lock
	replies []byte     // answers that no feed orders
	subs    []*sub
	buf     []byte // for next
}

func (h *Hub) newViewer(user UserID, f Framing) *Viewer {
	return &Viewer{hub: h, user: user, framing: f, wake: make(chan struct{}, 1)}
}

func (v *Viewer) signal() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends, a write fails, or, for a viewer of one stream, the
// stream has ended: then it returns nil. With beat above 0 an empty batch is
// written after that long a silence. It starts no goroutine: whoever starts Run
// waits for it.
func (v *Viewer) Run(ctx context.Context, sink Sink, beat time.Duration) error {
	var silence <-chan time.Time
	var timer *time.Ticker
	if beat > 0 {
		timer = time.NewTicker(beat)
		defer timer.Stop()
		silence = timer.C
	}
	for {
		batch, done := v.next()
		if len(batch) == 0 {
			if done {
				return nil
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-v.wake:
				continue
			case <-silence:
			}
		}
		if err := sink.Write(ctx, batch); err != nil {
			return fmt.Errorf("write to viewer: %w", err)
		}
		if timer != nil {
			timer.Reset(beat)
		}
	}
}

// next returns the bytes to be written next, if there are any, and whether all
// has been written. The bytes are good until the next call.
func (v *Viewer) next() (batch []byte, done bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.replies) > 0 {
		batch, v.replies = v.replies, nil
		return batch, false
	}
	for i, s := range v.subs {
		for {
			s.feed.mu.Lock()
			out, p, more := s.take(v.buf[:0])
			done = s.done()
			s.feed.mu.Unlock()
			if !more {
				break
			}
			if p.log == nil && p.wire == nil && len(out) == 0 {
				continue
			}
			// The next one begins elsewhere: no feed starves another.
			v.subs = append(append(v.subs[:0:0], v.subs[i+1:]...), v.subs[:i+1]...)
			if p.wire != nil {
				return p.wire, false
			}
			if p.log != nil {
				out = p.append(out, v.framing)
			}
			if cap(out) <= 2*batchMax {
				v.buf = out
			}
			return out, false
		}
	}
	return nil, done && len(v.subs) == 1
}

// reply sends an event that no feed orders.
func (v *Viewer) reply(event []byte) {
	v.mu.Lock()
	v.replies = appendFrame(v.replies, v.framing, -1, event)
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

// Connect returns a viewer of all that one client follows, in [Lines]. It has
// joined the user's own feed, and first of all sends ready.
func (h *Hub) Connect(ctx context.Context, user UserID) (*Viewer, error) {
	v := h.newViewer(user, Lines)
	s := v.join(Topic{User: user})
	err := h.await(ctx, s.feed)
	var version int64
	if err == nil {
		version, err = h.userVersion(ctx, user)
	}
	if err != nil {
		v.Close()
		return nil, err
	}
	s.feed.mu.Lock()
	s.feed.version = max(s.feed.version, version)
	s.acked = version
	s.release(encode(readyEvent{Type: "ready", UserID: user, UserVersion: version}))
	s.feed.mu.Unlock()
	return v, nil
}

// Ready sends ready again, as after a renewed auth.
func (v *Viewer) Ready(ctx context.Context) error {
	version, err := v.hub.userVersion(ctx, v.user)
	if err != nil {
		return err
	}
	v.reply(encode(readyEvent{Type: "ready", UserID: v.user, UserVersion: version}))
	return nil
}

// release gives the viewer the answer and then what was held back. The caller
// holds the feed's lock.
func (s *sub) release(answer []byte) {
	s.head = appendFrame(s.head, s.viewer.framing, -1, answer)
	s.held, s.member = false, true
	s.viewer.signal()
}

// join subscribes the viewer to a feed, held until release. A viewer that has
// joined already is held again.
func (v *Viewer) join(key Topic) *sub {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.subs {
		if s.feed.session == key.Session && s.feed.user == key.User {
			s.feed.mu.Lock()
			s.held = true
			s.feed.mu.Unlock()
			return s
		}
	}
	s := &sub{viewer: v, held: true}
	v.subs = append(v.subs, s)
	v.hub.join(s, key)
	return s
}

// leave ends the subscription, if there is one.
func (v *Viewer) leave(key Topic) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, s := range v.subs {
		if s.feed.session == key.Session && s.feed.user == key.User {
			v.subs = append(v.subs[:i:i], v.subs[i+1:]...)
			v.hub.leave(s)
			return
		}
	}
}

// follows says whether the viewer is subscribed to the session.
func (v *Viewer) follows(id SessionID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.subs {
		if s.feed.session == id {
			return true
		}
	}
	return false
}

// Close leaves all feeds. It is called after Run has returned.
func (v *Viewer) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.subs {
		v.hub.leave(s)
	}
	v.subs = nil
}

// Subscribe joins a session's feed. It answers with an ack that has the
// session's version, then with what is missing of every stream in flight and
// of those in positions; from there on the viewer is live.
func (v *Viewer) Subscribe(ctx context.Context, ref int64, id SessionID, positions map[MessageID]int64) error {
	was := v.follows(id)
	s := v.join(Topic{Session: id})
	err := v.hub.await(ctx, s.feed) // what is read from here on misses nothing
	var session Session
	if err == nil {
		session, err = v.hub.store.Session(ctx, v.user, id)
	}
	var ended []*log
	if err == nil {
		ended, err = v.hub.endedLogs(ctx, v.user, s.feed, positions)
	}
	if err != nil {
		v.abandon(s, was)
		return err
	}
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version = max(f.version, session.Version)
	s.acked = max(s.acked, session.Version)
	for _, l := range ended {
		if f.streams[l.id] == nil {
			s.place(l, positions[l.id])
		}
	}
	for mid, pos := range positions {
		if l := f.streams[mid]; l != nil {
			s.place(l, pos)
		}
	}
	s.snapshotAll()
	s.release(encode(ackEvent{Type: "ack", Ref: ref, Version: session.Version}))
	return nil
}

// abandon takes back a join that was refused.
func (v *Viewer) abandon(s *sub, was bool) {
	if !was {
		v.leave(Topic{Session: s.feed.session})
		return
	}
	s.feed.mu.Lock()
	s.held = false
	s.feed.mu.Unlock()
	v.signal()
}

// place sets the viewer's cursor in a stream to where it says it stands. The
// caller holds the feed's lock.
func (s *sub) place(l *log, pos int64) {
	// Who comes from another replica may be ahead of what this one shows yet, even
	// of the owner, whom the bus answers after it has published: it waits.
	if pos < FromStart || pos > l.last && (l.ended() || s.viewer.hub.opt.Bus == nil) {
		pos = NoPosition
	}
	p := s.find(l, pos)
	p.pos, p.fresh = pos, pos < l.last
	if pos >= 0 {
		p.until = l.last
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
	was := v.follows(id)
	s := v.join(Topic{Session: id})
	if !was {
		s.feed.mu.Lock()
		s.snapshotAll()
		s.feed.mu.Unlock()
	}
	asked, err := v.hub.ask(ctx, v.user, q, id)
	if err != nil {
		v.abandon(s, was)
		return err
	}
	if asked.Session.ID != id { // an earlier send of the same ids opened another
		v.abandon(s, was)
		was = v.follows(asked.Session.ID)
		s = v.join(Topic{Session: asked.Session.ID})
		if !was {
			s.feed.mu.Lock()
			s.snapshotAll()
			s.feed.mu.Unlock()
		}
	}
	ack := ackEvent{Type: "ack", Ref: ref, SessionID: asked.Session.ID, AnswerID: asked.Answer.ID}
	switch {
	case asked.Question != nil:
		ack.MessageID = asked.Question.ID
	case asked.Answer.ParentID != nil:
		ack.MessageID = *asked.Answer.ParentID
	}
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.release(encode(ack))
	return nil
}

// Stop ends an answer, as [Hub.Stop] does.
func (v *Viewer) Stop(ctx context.Context, ref int64, id MessageID) error {
	if err := v.hub.Stop(ctx, v.user, id); err != nil {
		return err
	}
	v.reply(encode(ackEvent{Type: "ack", Ref: ref}))
	return nil
}
