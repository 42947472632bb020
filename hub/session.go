package hub

import (
	"context"
	"time"
)

// Session is one conversation of one user.
type Session struct {
	ID           SessionID `json:"id"`
	Title        string    `json:"title"`
	Model        string    `json:"model"`         // "provider/model", or "" for the default
	SystemPrompt string    `json:"system_prompt"` // "" for the user's default
	Parameters
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Parameters are a session's, for all questions that bring none of their own.
type Parameters struct {
	Temperature     *float64 `json:"temperature"` // nil: the model's own
	MaxTokens       *int     `json:"max_tokens"`  // of an answer; nil: the model's own
	ReasoningEffort string   `json:"reasoning_effort"`
}

// SessionDraft is a session that is about to be made.
type SessionDraft struct {
	ID           SessionID
	Title        string
	Model        string
	SystemPrompt string
	Parameters   Parameters
}

// SessionPatch changes what is not nil.
type SessionPatch struct {
	Title        *string
	Model        *string
	SystemPrompt *string

	Temperature     **float64 // to nil: back to the model's own
	MaxTokens       **int
	ReasoningEffort *string
}

// SessionQuery asks for a page of a user's sessions, the last used first.
type SessionQuery struct {
	Text   string // part of a title or of an ended message; "" for all
	Limit  int    // 1 to 200
	Cursor string // NextCursor of the page before; CodeInvalid if it was not
}

// SessionPage is one page of a user's sessions.
type SessionPage struct {
	Items      []Session `json:"items"`
	NextCursor *string   `json:"next_cursor"` // nil on the last page
}

// SessionChanges is what changed in a user's list after a version of it.
type SessionChanges struct {
	Items   []Session   `json:"items"`
	Deleted []SessionID `json:"deleted"`
	Version int64       `json:"version"` // the user's
}

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
