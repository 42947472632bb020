package repo

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
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

type placeRow struct {
	bun.BaseModel `bun:"table:login_places"`

	UserID  hub.UserID `bun:",pk"`
	Network string     `bun:",pk"`
	At      time.Time
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

	Temperature     *float64
	MaxTokens       *int
	ReasoningEffort string

	Version     int64
	ListVersion int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

func (s *sessionRow) session() hub.Session {
	return hub.Session{
		ID: s.ID, Title: s.Title, Model: s.Model, SystemPrompt: s.SystemPrompt,
		Parameters: hub.Parameters{Temperature: s.Temperature, MaxTokens: s.MaxTokens, ReasoningEffort: s.ReasoningEffort},
		Version:    s.Version, CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(),
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
	bun.BaseModel `bun:"table:messages,alias:m"`

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
	Cost            *int64 // a hub.Money, which bun would write as JSON
	UsageEstimated  bool
	ErrorCode       *hub.Code
	ErrorDetail     *string
	ErrorRetryAfter int64 // seconds
	Attachments     jsonList[hub.File]
	ToolCalls       jsonList[hub.ToolCall]
	Notices         jsonList[hub.Notice]
	ThinkingMS      int64 `bun:"thinking_ms"`
	Opaque          jsonList[json.RawMessage]
	Seq             int64
	Version         int64
	Added           int64
	Epoch           int64
	Owner           string
	StopRequestedAt *time.Time
	CreatedAt       time.Time
	FinishedAt      *time.Time

	Layout jsonList[stretch] `bun:",scanonly"` // of an answer: layoutOf
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
		Files: m.Attachments, ToolCalls: m.ToolCalls, Notices: m.Notices, ThinkingMS: m.ThinkingMS, Opaque: m.Opaque,
	}
	if out.Files == nil {
		out.Files = []hub.File{}
	}
	if m.Role == hub.RoleOfAssistant {
		out.Parts = m.parts()
	}
	if m.InputTokens != nil && m.OutputTokens != nil {
		out.Usage = &hub.Usage{InputTokens: *m.InputTokens, OutputTokens: *m.OutputTokens, Estimated: m.UsageEstimated, Cost: (*hub.Money)(m.Cost)}
		if m.CachedTokens != nil {
			out.Usage.CachedTokens = *m.CachedTokens
		}
		if m.ReasoningTokens != nil {
			out.Usage.ReasoningTokens = *m.ReasoningTokens
		}
	}
	if m.ErrorCode != nil && m.ErrorDetail != nil {
		out.Error = &hub.Failure{Code: *m.ErrorCode, Detail: *m.ErrorDetail, RetryAfter: m.ErrorRetryAfter}
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

// end puts the end of an answer into its row: endOfMessage.
func (m *messageRow) end(e hub.AnswerEnd) {
	m.Content, m.Reasoning, m.Seq = e.Content, e.Reasoning, e.Seq
	m.Status, m.FinishReason, m.FinishedAt = e.Reason.Status(), &e.Reason, &e.At
	m.ToolCalls, m.Notices, m.ThinkingMS = e.ToolCalls(), e.Notices, e.ThinkingMS
	for _, part := range e.Opaque {
		if json.Valid(part) { // a broken one would keep the answer from ending
			m.Opaque = append(m.Opaque, part)
		}
	}
	if u := e.Usage; u != nil {
		m.InputTokens, m.OutputTokens, m.CachedTokens, m.ReasoningTokens = &u.InputTokens, &u.OutputTokens, &u.CachedTokens, &u.ReasoningTokens
		m.Cost, m.UsageEstimated = (*int64)(u.Cost), u.Estimated
	}
	if e.Error != nil {
		m.ErrorCode, m.ErrorDetail, m.ErrorRetryAfter = &e.Error.Code, &e.Error.Detail, e.Error.RetryAfter
	}
	m.Provider, m.Model = providerOf(e.Model), e.Model
}

// providerOf is the provider in "provider/model".
func providerOf(model string) string {
	provider, _, _ := strings.Cut(model, "/")
	return provider
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

// jsonList is a list as JSON in a column of text, NULL if it is empty. Text, as
// bun changes the \u0000 in what it knows to be JSON.
type jsonList[T any] []T

// Value is driver.Valuer's.
func (l jsonList[T]) Value() (driver.Value, error) {
	if len(l) == 0 {
		return nil, nil
	}
	b, err := json.Marshal([]T(l))
	return string(b), err
}

// Scan is sql.Scanner's.
func (l *jsonList[T]) Scan(src any) error {
	*l = nil
	switch text := src.(type) {
	case nil:
		return nil
	case string:
		return json.Unmarshal([]byte(text), (*[]T)(l))
	case []byte:
		return json.Unmarshal(text, (*[]T)(l))
	}
	return fmt.Errorf("a list of %T", src)
}
