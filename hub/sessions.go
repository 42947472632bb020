package hub

import "context"

// CreateSession opens a conversation. Its id is made here if it has none.
func (h *Hub) CreateSession(ctx context.Context, who Access, d SessionDraft) (Session, error) {
	if err := who.MayAll(ScopeChat); err != nil {
		return Session{}, err
	}
	if d.ID == "" {
		d.ID = SessionID(NewID())
	}
	if err := h.catalogue.knownModel(ctx, who.User, "model", d.Model); err != nil {
		return Session{}, err
	}
	s, version, err := h.store.CreateSession(ctx, who, d)
	if err != nil {
		return Session{}, err
	}
	h.feeds.publishSession(who.User, s, version, true)
	return s, nil
}

// Session returns one conversation.
func (h *Hub) Session(ctx context.Context, who Access, id SessionID) (Session, error) {
	if err := who.May(ScopeRead); err != nil {
		return Session{}, err
	}
	return h.store.Session(ctx, who, id)
}

// Sessions returns a page of the user's conversations.
func (h *Hub) Sessions(ctx context.Context, who Access, q SessionQuery) (SessionPage, error) {
	if err := who.MayAll(ScopeRead); err != nil {
		return SessionPage{}, err
	}
	return h.store.Sessions(ctx, who, q)
}

// SessionChanges returns what changed in the user's list after a version.
func (h *Hub) SessionChanges(ctx context.Context, who Access, after int64) (SessionChanges, error) {
	if err := who.MayAll(ScopeRead); err != nil {
		return SessionChanges{}, err
	}
	return h.store.SessionChanges(ctx, who, after)
}

// UpdateSession changes a conversation and tells everyone who follows it.
func (h *Hub) UpdateSession(ctx context.Context, who Access, id SessionID, p SessionPatch) (Session, error) {
	if err := who.MayAll(ScopeChat); err != nil {
		return Session{}, err
	}
	if p.Model != nil {
		if err := h.catalogue.knownModel(ctx, who.User, "model", *p.Model); err != nil {
			return Session{}, err
		}
	}
	s, version, err := h.store.UpdateSession(ctx, who, id, p)
	if err != nil {
		return Session{}, err
	}
	h.feeds.publishSession(who.User, s, version, true)
	return s, nil
}

// DeleteSession deletes a conversation with all its messages, and stops its
// answers.
func (h *Hub) DeleteSession(ctx context.Context, who Access, id SessionID) error {
	if err := who.MayAll(ScopeChat); err != nil {
		return err
	}
	version, err := h.store.DeleteSession(ctx, who, id)
	if err != nil {
		return err
	}
	event := encode(sessionDeletedEvent{Type: "session_deleted", UserVersion: version, SessionID: id})
	h.feeds.publish(Topic{User: who.User}, entry{event: event, version: version})
	h.streams.cancelSession(id)
	h.peers.tell(AllReplicas, kindStop, stopNote{Session: id, Deleted: true})
	return nil
}
