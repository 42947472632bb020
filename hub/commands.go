package hub

import (
	"context"
	"errors"

	"github.com/omnichat/omnichat/hub/eventlog"
)

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

// Connect returns a viewer of all that one client follows. It has joined the user's own feed, and first of all sends ready.
func (h *Hub) Connect(ctx context.Context, who Access, f eventlog.Framing) (*Viewer, error) {
	if err := who.May(ScopeRead); err != nil {
		return nil, err
	}
	v := h.newViewer(who, f)
	if who.Session != "" { // of the user it is told nothing
		return v, v.Ready(ctx)
	}
	s := v.join(Topic{User: who.User})
	err := h.peers.await(ctx, s.feed)
	var version int64
	if err == nil {
		version, err = h.feeds.userVersion(ctx, who.User)
	}
	if err != nil {
		v.Close()
		return nil, err
	}
	v.grant(s, encode(readyEvent{Type: "ready", UserID: who.User, UserVersion: version}), func() {
		s.feed.version = max(s.feed.version, version)
		s.acked = version
	})
	return v, nil
}

// Ready sends ready again, as after a renewed auth.
func (v *Viewer) Ready(ctx context.Context) error {
	if v.who.Session != "" {
		v.reply(encode(readyEvent{Type: "ready"}))
		return nil
	}
	version, err := v.feeds.userVersion(ctx, v.who.User)
	if err != nil {
		return err
	}
	v.reply(encode(readyEvent{Type: "ready", UserID: v.who.User, UserVersion: version}))
	return nil
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
		session, err = v.hub.store.Session(ctx, v.who, id)
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
	asked, err := v.hub.asker.ask(ctx, v.who, q, id, func(f *feed, asked Asked) {
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
	if err := v.hub.Stop(ctx, v.who, id); err != nil {
		return err
	}
	v.reply(encode(ackEvent{Type: "ack", Ref: ref}))
	return nil
}
