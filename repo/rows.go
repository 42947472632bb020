package repo

import (
	"time"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

type userRow struct {
	bun.BaseModel `bun:"table:users"`

	ID           hub.UserID `bun:",pk"`
	Username     string
	UsernameKey  string
	DisplayName  string
	Role         hub.Role
	PasswordHash string
	Version      int64
	CreatedAt    time.Time
}

func (u *userRow) user() hub.User {
	return hub.User{ID: u.ID, Username: u.Username, DisplayName: u.DisplayName, Role: u.Role, CreatedAt: u.CreatedAt.UTC()}
}

type familyRow struct {
	bun.BaseModel `bun:"table:grant_families"`

	ID        string `bun:",pk"`
	UserID    hub.UserID
	RevokedAt *time.Time
}

type grantRow struct {
	bun.BaseModel `bun:"table:grants"`

	Hash       []byte `bun:",pk"`
	FamilyID   string
	ParentHash []byte
	ReplacedAt *time.Time
	ExpiresAt  time.Time
}

type sessionRow struct {
	bun.BaseModel `bun:"table:sessions"`

	ID           hub.SessionID `bun:",pk"`
	UserID       hub.UserID
	Title        string
	Model        string
	SystemPrompt string
	Version      int64
	ListVersion  int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

func (s *sessionRow) session() hub.Session {
	return hub.Session{
		ID: s.ID, Title: s.Title, Model: s.Model, SystemPrompt: s.SystemPrompt, Version: s.Version,
		CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(),
	}
}

func sessionsOf(rows []sessionRow) []hub.Session {
	out := make([]hub.Session, len(rows))
	for i := range rows {
		out[i] = rows[i].session()
	}
	return out
}

type sessionTombstone struct {
	bun.BaseModel `bun:"table:session_tombstones"`

	SessionID hub.SessionID `bun:",pk"`
	UserID    hub.UserID
	Version   int64
}

type messageRow struct {
	bun.BaseModel `bun:"table:messages"`

	ID              hub.MessageID `bun:",pk"`
	SessionID       hub.SessionID
	ParentID        *hub.MessageID
	Role            hub.MessageRole
	Content         string
	Reasoning       string
	Status          hub.Status
	FinishReason    *hub.Reason
	Provider        string
	Model           string
	InputTokens     *int64
	OutputTokens    *int64
	CachedTokens    *int64
	ReasoningTokens *int64
	ErrorCode       *hub.Code
	ErrorDetail     *string
	Seq             int64
	Version         int64
	Added           int64
	Epoch           int64
	Owner           string
	StopRequestedAt *time.Time
	CreatedAt       time.Time
	FinishedAt      *time.Time
}

// ownedRow is a message with the user whose session it is in.
type ownedRow struct {
	messageRow `bun:",extend"`
	UserID     hub.UserID
}

func (m *messageRow) message() hub.Message {
	out := hub.Message{
		ID: m.ID, SessionID: m.SessionID, ParentID: m.ParentID, Role: m.Role, Content: m.Content, Reasoning: m.Reasoning,
		Status: m.Status, FinishReason: m.FinishReason, Provider: m.Provider, Model: m.Model, Seq: m.Seq, Version: m.Version,
		Added: m.Added, Epoch: m.Epoch, CreatedAt: m.CreatedAt.UTC(),
	}
	if m.InputTokens != nil && m.OutputTokens != nil {
		out.Usage = &hub.Usage{InputTokens: *m.InputTokens, OutputTokens: *m.OutputTokens}
		if m.CachedTokens != nil {
			out.Usage.CachedTokens = *m.CachedTokens
		}
		if m.ReasoningTokens != nil {
			out.Usage.ReasoningTokens = *m.ReasoningTokens
		}
	}
	if m.ErrorCode != nil && m.ErrorDetail != nil {
		out.Error = &hub.Failure{Code: *m.ErrorCode, Detail: *m.ErrorDetail}
	}
	if m.FinishedAt != nil {
		at := m.FinishedAt.UTC()
		out.FinishedAt = &at
	}
	return out
}

func messagesOf(rows []messageRow) []hub.Message {
	out := make([]hub.Message, len(rows))
	for i := range rows {
		out[i] = rows[i].message()
	}
	return out
}

type messageTombstone struct {
	bun.BaseModel `bun:"table:message_tombstones"`

	MessageID hub.MessageID `bun:",pk"`
	SessionID hub.SessionID
	Version   int64
}

type journalRow struct {
	bun.BaseModel `bun:"table:journal"`

	ID        int64 `bun:",pk,autoincrement"`
	Entries   []byte
	CreatedAt time.Time
}

// now is the time as both databases keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
