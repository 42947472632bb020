package hub

import "time"

// Session is one conversation of one user.
type Session struct {
	ID           SessionID `json:"id"`
	Title        string    `json:"title"`
	Model        string    `json:"model"` // "provider/model", or "" for the default
	SystemPrompt string    `json:"system_prompt"`
	Version      int64     `json:"version"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// SessionDraft is a session that is about to be made.
type SessionDraft struct {
	ID           SessionID
	Title        string
	Model        string
	SystemPrompt string
}

// SessionPatch changes what is not nil.
type SessionPatch struct {
	Title        *string
	Model        *string
	SystemPrompt *string
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
