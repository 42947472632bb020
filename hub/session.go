package hub

import (
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
