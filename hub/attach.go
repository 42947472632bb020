package hub

import (
	"context"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// Attach returns a viewer of one stream, in [eventlog.SSE], that stands at the seq
// after: [eventlog.FromStart] and [eventlog.NoPosition] are allowed too. It returns
// [ErrUpToDate] if the stream has ended there.
func (h *Hub) Attach(ctx context.Context, user UserID, id MessageID, after int64) (*Viewer, error) {
	v := h.newViewer(user, eventlog.SSE)
	s := &sub{viewer: v, single: true, held: true}
	l, err := h.findLog(ctx, s, user, id)
	if err == nil {
		err = s.follow(l, after)
	}
	if err != nil {
		if s.feed != nil {
			h.leave(s)
		}
		return nil, err
	}
	v.subs = []*sub{s}
	return v, nil
}

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
func (h *Hub) findLog(ctx context.Context, s *sub, user UserID, id MessageID) (*liveLog, error) {
	for range 3 { // it may be opened or end while the store is read
		st := h.stream(id)
		if st != nil {
			select {
			case <-st.ready:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		if st != nil && st.log != nil {
			if st.user != user {
				return nil, NotFound("message")
			}
			h.join(s, Topic{Session: st.session})
			return st.log, nil
		}
		if s.feed == nil {
			if l := h.followed(s, user, id); l != nil {
				return l, nil
			}
		}
		m, err := h.store.Message(ctx, user, id)
		if err != nil {
			return nil, err
		}
		if m.Role != RoleOfAssistant {
			return nil, NotFound("message")
		}
		if m.Status != StatusStreaming {
			if s.feed != nil {
				h.leave(s)
			}
			newFeed(m.SessionID, "").enter(s)
			return newEndedLog(m), nil
		}
		if s.feed == nil {
			h.join(s, Topic{Session: m.SessionID})
		}
		if err := h.peers.await(ctx, s.feed); err != nil {
			return nil, err
		}
		if l := h.peers.elsewhere(s.feed, m); l != nil {
			return l, nil
		}
	}
	return nil, &Error{Code: CodeUnavailable, Msg: "the answer is being settled", RetryAfter: time.Second}
}

// followed finds a stream elsewhere without the store: in a session that the
// same user's connections follow here, as the store has granted them. Then s is
// subscribed to its feed.
func (h *Hub) followed(s *sub, user UserID, id MessageID) *liveLog {
	for _, v := range h.connected(user) {
		session := v.sessionOf(id)
		if session == "" {
			continue
		}
		h.join(s, Topic{Session: session})
		s.feed.mu.Lock()
		l := s.feed.streams[id]
		known := l != nil && s.feed.joined && !l.Ended() // of one that has ended, the store knows whether it is left
		s.feed.mu.Unlock()
		if known {
			return l
		}
		h.leave(s) // the others have left meanwhile
		s.feed = nil
	}
	return nil
}

// connected returns the viewers of all that one client of the user follows.
func (h *Hub) connected(user UserID) []*Viewer {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[Topic{User: user}]
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]*Viewer, 0, len(f.subs))
	for _, s := range f.subs {
		out = append(out, s.viewer)
	}
	return out
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
