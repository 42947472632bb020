package hub

import (
	"context"
	"time"
)

// follow places a single sub in its stream.
func (s *sub) follow(l *liveLog, after int64) error {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	if l.Ended() && after == l.Last() {
		return ErrUpToDate
	}
	s.place(l, after)
	s.places[0].fresh = false
	s.held = false
	return nil
}

// findLog finds a stream's log and subscribes s to the feed that it lives in:
// the session's, or, if only the stored message is left, one of its own.
func (v *Viewer) findLog(ctx context.Context, s *sub, id MessageID) (*liveLog, error) {
	for range 3 { // it may be opened or end while the store is read
		st := v.hub.streams.of(id)
		if st != nil {
			select {
			case <-st.ready:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		if st != nil && st.log != nil {
			if st.user != v.who.User || !v.who.Knows(st.session) {
				return nil, NotFound("message")
			}
			v.feeds.join(s, Topic{Session: st.session})
			return st.log, nil
		}
		if s.feed == nil {
			if l := v.followed(s, id); l != nil {
				return l, nil
			}
		}
		m, err := v.hub.store.Message(ctx, v.who, id)
		if err != nil {
			return nil, err
		}
		if m.Role != RoleOfAssistant {
			return nil, NotFound("message")
		}
		if m.Status != StatusStreaming {
			if s.feed != nil {
				v.feeds.leave(s)
			}
			newFeed(Topic{Session: m.SessionID}, v.feeds.flusher).enter(s)
			return newEndedLog(m), nil
		}
		if s.feed == nil {
			v.feeds.join(s, Topic{Session: m.SessionID})
		}
		if err := v.feeds.peers.await(ctx, s.feed); err != nil {
			return nil, err
		}
		if l := v.feeds.peers.elsewhere(s.feed, m); l != nil {
			return l, nil
		}
	}
	return nil, &Error{Code: CodeUnavailable, Msg: "the answer is being settled", RetryAfter: time.Second}
}

// followed finds a stream elsewhere without the store: in a session that the
// same user's connections follow here, as the store has granted them. Then s is
// subscribed to its feed.
func (v *Viewer) followed(s *sub, id MessageID) *liveLog {
	for _, other := range v.feeds.connected(v.who.User) {
		session := other.sessionOf(id)
		if session == "" || !v.who.Knows(session) {
			continue
		}
		v.feeds.join(s, Topic{Session: session})
		s.feed.mu.Lock()
		l := s.feed.streams[id]
		known := l != nil && s.feed.joined && !l.Ended() // of one that has ended, the store knows whether it is left
		s.feed.mu.Unlock()
		if known {
			return l
		}
		v.feeds.leave(s) // the others have left meanwhile
		s.feed = nil
	}
	return nil
}

// sessionOf returns the session of a stream, if the viewer may follow it.
func (v *Viewer) sessionOf(id MessageID) SessionID {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.subs {
		s.feed.mu.Lock()
		found := s.member && s.feed.streams[id] != nil
		s.feed.mu.Unlock()
		if found {
			return s.feed.session
		}
	}
	return ""
}
