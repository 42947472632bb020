package hub

import (
	"context"
	"time"
)

// Attach returns a viewer of one stream, in [SSE], that stands at the seq
// after: [FromStart] and [NoPosition] are allowed too. It returns
// [ErrUpToDate] if the stream has ended there.
func (h *Hub) Attach(ctx context.Context, user UserID, id MessageID, after int64) (*Viewer, error) {
	f, l, err := h.findLog(ctx, user, id)
	if err != nil {
		return nil, err
	}
	if f == nil { // nothing happens in it any more
		f = newFeed(l.start.SessionID, "")
	}
	v := h.newViewer(user, SSE)
	s := &sub{viewer: v, single: true}
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.ended() && after == l.last {
		return nil, ErrUpToDate
	}
	s.place(l, after)
	s.places[0].fresh = false
	s.feed = f
	f.subs[s] = struct{}{}
	v.subs = []*sub{s}
	v.signal()
	return v, nil
}

// findLog finds a stream's log, in its feed if it is live or just ended, or
// else made of the stored message, with no feed.
func (h *Hub) findLog(ctx context.Context, user UserID, id MessageID) (*feed, *log, error) {
	for range 2 { // it may be opened while the store is read
		if st := h.stream(id); st != nil {
			select {
			case <-st.ready:
			case <-ctx.Done():
				return nil, nil, context.Cause(ctx)
			}
			if st.log != nil {
				if st.user != user {
					return nil, nil, NotFound("message")
				}
				return st.feed, st.log, nil
			}
		}
		m, err := h.store.Message(ctx, user, id)
		if err != nil {
			return nil, nil, err
		}
		if m.Role != RoleOfAssistant {
			return nil, nil, NotFound("message")
		}
		if m.Status != StatusStreaming {
			return nil, newEndedLog(m), nil
		}
	}
	return nil, nil, &Error{Code: CodeUnavailable, Msg: "the answer is being settled", RetryAfter: time.Second}
}

// endedLogs returns the logs of those in positions that have ended and of
// which only the message is left. What is not in the session is left out.
func (h *Hub) endedLogs(ctx context.Context, user UserID, f *feed, positions map[MessageID]int64) ([]*log, error) {
	var out []*log
	for id, pos := range positions {
		f.mu.Lock()
		live := f.streams[id] != nil
		f.mu.Unlock()
		if live {
			continue
		}
		m, err := h.store.Message(ctx, user, id)
		if CodeOf(err) == CodeNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m.SessionID == f.session && m.Role == RoleOfAssistant && m.Status != StatusStreaming && m.Seq != pos {
			out = append(out, newEndedLog(m))
		}
	}
	return out, nil
}
