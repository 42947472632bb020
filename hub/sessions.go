package hub

import "context"

// CreateSession opens a conversation. Its id is made here if it has none.
func (h *Hub) CreateSession(ctx context.Context, user UserID, d SessionDraft) (Session, error) {
	if d.ID == "" {
		d.ID = SessionID(NewID())
	}
	if err := h.catalogue.knownModel(ctx, user, "model", d.Model); err != nil {
		return Session{}, err
	}
	s, version, err := h.store.CreateSession(ctx, user, d)
	if err != nil {
		return Session{}, err
	}
	h.feeds.publishSession(user, s, version, true)
	return s, nil
}

// Session returns one conversation.
func (h *Hub) Session(ctx context.Context, user UserID, id SessionID) (Session, error) {
	return h.store.Session(ctx, user, id)
}

// Sessions returns a page of the user's conversations.
func (h *Hub) Sessions(ctx context.Context, user UserID, q SessionQuery) (SessionPage, error) {
	return h.store.Sessions(ctx, user, q)
}

// SessionChanges returns what changed in the user's list after a version.
func (h *Hub) SessionChanges(ctx context.Context, user UserID, after int64) (SessionChanges, error) {
	return h.store.SessionChanges(ctx, user, after)
}

// UpdateSession changes a conversation and tells everyone who follows it.
func (h *Hub) UpdateSession(ctx context.Context, user UserID, id SessionID, p SessionPatch) (Session, error) {
	if p.Model != nil {
		if err := h.catalogue.knownModel(ctx, user, "model", *p.Model); err != nil {
			return Session{}, err
		}
	}
	s, version, err := h.store.UpdateSession(ctx, user, id, p)
	if err != nil {
		return Session{}, err
	}
	h.feeds.publishSession(user, s, version, true)
	return s, nil
}

// DeleteSession deletes a conversation with all its messages, and stops its
// answers.
func (h *Hub) DeleteSession(ctx context.Context, user UserID, id SessionID) error {
	version, err := h.store.DeleteSession(ctx, user, id)
	if err != nil {
		return err
	}
	event := encode(sessionDeletedEvent{Type: "session_deleted", UserVersion: version, SessionID: id})
	h.feeds.publish(Topic{User: user}, entry{event: event, version: version})
	h.streams.cancelSession(id)
	h.peers.tell(Topic{}, kindStop, stopNote{Session: id, Deleted: true})
	return nil
}

// MessageChanges returns what there is of the whole tree of a conversation, or of
// what changed after a version, for MessagePage to read. Who has its Version hears
// of all that changes while the pages are read.
func (h *Hub) MessageChanges(ctx context.Context, user UserID, session SessionID, after int64) (MessageChanges, error) {
	return h.store.MessageChanges(ctx, user, session, after)
}

// MessagePage returns the messages of one of the Pages. Of an answer in flight,
// text and seq are of one moment.
func (h *Hub) MessagePage(ctx context.Context, user UserID, session SessionID, p MessagePage) ([]Message, error) {
	items, err := h.store.MessagePage(ctx, user, session, p)
	for i := range items {
		h.bringUp(ctx, &items[i])
	}
	return items, err
}

// bringUp gives an answer in flight the text that was shown of it.
func (h *Hub) bringUp(ctx context.Context, m *Message) {
	if m.Status != StatusStreaming {
		return
	}
	st := h.streams.of(m.ID)
	if st == nil {
		h.peers.text(ctx, m)
	}
	if st == nil {
		return
	}
	select {
	case <-st.ready:
	default:
		return // not shown to anyone yet
	}
	if st.log != nil {
		st.feed.mu.Lock()
		m.Content, m.Reasoning, m.Seq = st.log.Contents()
		st.feed.mu.Unlock()
	}
}

// DeleteMessage stops and deletes a message and all that follows it.
func (h *Hub) DeleteMessage(ctx context.Context, user UserID, session SessionID, id MessageID) error {
	deleted, err := h.store.DeleteMessage(ctx, user, session, id)
	if err != nil {
		return err
	}
	for _, d := range deleted {
		event := encode(messageDeletedEvent{Type: "message_deleted", Version: d.Version, SessionID: session, MessageID: d.ID})
		h.feeds.publish(Topic{Session: session}, entry{event: event, version: d.Version})
		if !h.streams.delete(d.ID) {
			h.peers.tell(Topic{}, kindStop, stopNote{Message: d.ID, Deleted: true})
		}
	}
	return nil
}
