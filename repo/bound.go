package repo

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/uptrace/bun"
)

// bound is a statement that every answer needs. Its arguments are bound, so that SQLite
// compiles it once. What bun writes, with the arguments in the text, it compiles anew each
// time, which was half of what a question cost.
type bound struct {
	text     string
	compiled *sql.Stmt // nil on PostgreSQL
}

// boundStatements are all there are.
type boundStatements struct {
	isKnown, raiseAsker, addSession, addMessage, addMessages, raiseSession, endMessage, keepForm, book, journal bound
}

// The columns that are written, in the order of the arguments that addedSession,
// addedMessage, endedMessage and bookedSpending return.
const (
	sessionColumns = `id, user_id, title, model, system_prompt, temperature, max_tokens, reasoning_effort, version, list_version,
		created_at, updated_at`
	messageColumns = `id, session_id, parent_id, role, content, reasoning, status, provider, model, attachments, seq, version, added,
		epoch, owner, created_at, finished_at`
	spendingColumns = `id, user_id, session_id, model, input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost, estimated,
		title, at`
	messageValues = "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17"
)

// newBound returns the statements, not compiled yet.
func newBound() boundStatements {
	return boundStatements{
		isKnown: bound{text: `SELECT EXISTS (SELECT 1 FROM messages WHERE id IN ($1, $2))
			OR EXISTS (SELECT 1 FROM message_tombstones WHERE message_id IN ($1, $2))`},
		raiseAsker: bound{text: `UPDATE users SET version = version + 1 WHERE id = $1 RETURNING version,
			(SELECT system_prompt FROM user_settings WHERE user_id = $1), (SELECT fallback_model FROM user_settings WHERE user_id = $1)`},
		addSession: bound{text: "INSERT INTO sessions (" + sessionColumns + `)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`},
		addMessage: bound{text: "INSERT INTO messages (" + messageColumns + ") VALUES (" + messageValues + ")"},
		addMessages: bound{text: "INSERT INTO messages (" + messageColumns + ") VALUES (" + messageValues + `),
			($18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34)`},
		raiseSession: bound{text: "UPDATE sessions SET version = version + 1 WHERE id = $1 RETURNING version"},
		endMessage: bound{text: `UPDATE messages SET content = $1, reasoning = $2, status = $3, finish_reason = $4,
			provider = coalesce(nullif($5, ''), provider), model = coalesce(nullif($6, ''), model), input_tokens = $7, output_tokens = $8,
			cached_tokens = $9, reasoning_tokens = $10, cost = $11, usage_estimated = $12, error_code = $13, error_detail = $14,
			error_retry_after = $15, tool_calls = $16, notices = $17, thinking_ms = $18, opaque = $19, seq = $20, version = $21,
			finished_at = $22
			WHERE id = $23 AND epoch = $24 AND status = 'streaming' RETURNING model`},
		keepForm: bound{text: "INSERT INTO search_forms (session_id, message_id, form) VALUES ($1, $2, $3)"},
		book: bound{text: "INSERT INTO spendings (" + spendingColumns + `)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING`},
		journal: bound{text: "INSERT INTO journal (entries, created_at) VALUES ($1, $2) RETURNING id"},
	}
}

// prepare makes the bound statements. It is called before anything is written.
func (r *Repo) prepare(ctx context.Context) error {
	r.bound = newBound()
	if r.gate == nil {
		return nil
	}
	b := &r.bound
	for _, s := range []*bound{
		&b.isKnown, &b.raiseAsker, &b.addSession, &b.addMessage, &b.addMessages, &b.raiseSession, &b.endMessage, &b.keepForm, &b.book, &b.journal,
	} {
		var err error
		if s.compiled, err = r.writer.DB.PrepareContext(ctx, s.text); err != nil {
			return fmt.Errorf("compile %q: %w", s.text, err)
		}
	}
	return nil
}

// addedSession is the arguments of addSession.
func addedSession(s *sessionRow) []any {
	return []any{
		s.ID, s.UserID, s.Title, s.Model, s.SystemPrompt, s.Temperature, s.MaxTokens, s.ReasoningEffort, s.Version, s.ListVersion,
		s.CreatedAt.UTC(), s.UpdatedAt.UTC(),
	}
}

// addedMessage appends the arguments of addMessage, or of one message of addMessages.
func addedMessage(args []any, m *messageRow) []any {
	return append(args,
		m.ID, m.SessionID, m.ParentID, m.Role, m.Content, m.Reasoning, m.Status, m.Provider, m.Model, m.Attachments, m.Seq, m.Version, m.Added,
		m.Epoch, m.Owner, m.CreatedAt.UTC(), utc(m.FinishedAt))
}

// endedMessage is the arguments of endMessage, which ends the message of an id if it has
// that epoch and streams still. Without a model it keeps the one that it has.
func endedMessage(m *messageRow, id hub.MessageID, epoch int64) []any {
	return []any{
		m.Content, m.Reasoning, m.Status, m.FinishReason, m.Provider, m.Model, m.InputTokens, m.OutputTokens, m.CachedTokens,
		m.ReasoningTokens, m.Cost, m.UsageEstimated, m.ErrorCode, m.ErrorDetail, m.ErrorRetryAfter, m.ToolCalls, m.Notices, m.ThinkingMS,
		m.Opaque, m.Seq, m.Version, utc(m.FinishedAt), id, epoch,
	}
}

// bookedSpending is the arguments of book.
func bookedSpending(s *spendingRow) []any {
	session := sql.NullString{String: string(s.SessionID), Valid: s.SessionID != ""}
	return []any{
		s.ID, s.UserID, session, s.Model, s.InputTokens, s.OutputTokens, s.CachedTokens, s.ReasoningTokens, s.Cost, s.Estimated, s.Title,
		s.At.UTC(),
	}
}

// utc is a time in UTC. SQLite compares times as text: all of them are of one zone.
func utc(at *time.Time) *time.Time {
	if at != nil {
		at = new(at.UTC())
	}
	return at
}

// row runs the statement, of which one row is wanted.
func (b *bound) row(ctx context.Context, tx bun.Tx, args ...any) *sql.Row {
	if b.compiled == nil {
		return tx.Tx.QueryRowContext(ctx, b.text, args...)
	}
	return tx.Tx.StmtContext(ctx, b.compiled).QueryRowContext(ctx, args...)
}

// exec runs the statement, of which no row is wanted.
func (b *bound) exec(ctx context.Context, tx bun.Tx, args ...any) (sql.Result, error) {
	if b.compiled == nil {
		return tx.Tx.ExecContext(ctx, b.text, args...)
	}
	return tx.Tx.StmtContext(ctx, b.compiled).ExecContext(ctx, args...)
}
