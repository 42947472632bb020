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
	h.peers.tell(AllReplicas, kindStop, stopNote{Session: id, Deleted: true})
	return nil
}
