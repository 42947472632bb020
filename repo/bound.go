package repo

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// bound is a statement that every answer needs. Its arguments are bound, so that
// SQLite compiles it once; what bun writes, with the arguments in the text, it
// compiles anew each time, which was half of what a question cost.
type bound struct {
	text     string
	columns  []*schema.Field // of rows that are its arguments
	compiled *sql.Stmt       // nil on PostgreSQL
}

// boundStatements are all there are.
type boundStatements struct {
	isKnown, raiseAsker, addSession, addMessage, addMessages, raiseSession, endMessage, keepForm, book, journal bound
}

// newMessage is what a message has from the start, and endOfMessage what the end
// of an answer sets.
var (
	newMessage = []string{
		"id", "session_id", "parent_id", "role", "content", "reasoning", "status", "provider", "model", "attachments",
		"seq", "version", "added", "epoch", "owner", "created_at", "finished_at",
	}
	endOfMessage = []string{
		"content", "reasoning", "status", "finish_reason", "provider", "model", "input_tokens", "output_tokens", "cached_tokens",
		"reasoning_tokens", "cost", "usage_estimated", "error_code", "error_detail", "error_retry_after", "tool_calls", "notices",
		"thinking_ms", "opaque", "seq", "version", "finished_at",
	}
)

// prepare makes the bound statements. It is called before anything is written.
func (r *Repo) prepare(ctx context.Context) error {
	r.bound = boundStatements{
		isKnown: bound{text: `SELECT EXISTS (SELECT 1 FROM messages WHERE id IN ($1, $2))
			OR EXISTS (SELECT 1 FROM message_tombstones WHERE message_id IN ($1, $2))`},
		raiseAsker: bound{text: `UPDATE users SET version = version + 1 WHERE id = $1 RETURNING version,
			(SELECT system_prompt FROM user_settings WHERE user_id = $1), (SELECT fallback_model FROM user_settings WHERE user_id = $1)`},
		addSession:   r.insertion((*sessionRow)(nil), 1, nil),
		addMessage:   r.insertion((*messageRow)(nil), 1, newMessage),
		addMessages:  r.insertion((*messageRow)(nil), 2, newMessage),
		raiseSession: bound{text: "UPDATE sessions SET version = version + 1 WHERE id = $1 RETURNING version"},
		endMessage:   r.ending(),
		keepForm:     bound{text: "INSERT INTO search_forms (session_id, message_id, form) VALUES ($1, $2, $3)"},
		book:         r.insertion((*spendingRow)(nil), 1, nil),
		journal:      bound{text: "INSERT INTO journal (entries, created_at) VALUES ($1, $2) RETURNING id"},
	}
	b := &r.bound
	b.book.text += " ON CONFLICT (id) DO NOTHING"
	if r.gate == nil {
		return nil
	}
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

// ending ends a message that streams still, of an id and an epoch, which come
// after its columns. Without a model it keeps that it has.
func (r *Repo) ending() bound {
	b := bound{columns: columnsOf(r.db, (*messageRow)(nil), endOfMessage)}
	var sets []string
	for i, f := range b.columns {
		value := fmt.Sprintf("$%d", i+1)
		if f.Name == "provider" || f.Name == "model" {
			value = fmt.Sprintf("coalesce(nullif(%s, ''), %s)", value, f.Name)
		}
		sets = append(sets, fmt.Sprintf("%s = %s", f.Name, value))
	}
	b.text = fmt.Sprintf("UPDATE messages SET %s WHERE id = $%d AND epoch = $%d AND status = 'streaming' RETURNING model",
		strings.Join(sets, ", "), len(sets)+1, len(sets)+2)
	return b
}

// columnsOf is the columns of a model that are named, or all.
func columnsOf(db *bun.DB, model any, names []string) []*schema.Field {
	var out []*schema.Field
	for _, f := range db.Table(reflect.TypeOf(model).Elem()).Fields {
		if names == nil || slices.Contains(names, f.Name) {
			out = append(out, f)
		}
	}
	return out
}

// insertion inserts so many rows of a model, with the columns that are named, or
// all.
func (r *Repo) insertion(model any, rows int, columns []string) bound {
	b := bound{columns: columnsOf(r.db, model, columns)}
	names := make([]string, len(b.columns))
	for i, f := range b.columns {
		names[i] = f.Name
	}
	values, n := make([]string, rows), 0
	for i := range values {
		args := make([]string, len(names))
		for j := range args {
			n++
			args[j] = fmt.Sprintf("$%d", n)
		}
		values[i] = "(" + strings.Join(args, ", ") + ")"
	}
	b.text = fmt.Sprintf("INSERT INTO %s (%s) VALUES %s", r.db.Table(reflect.TypeOf(model).Elem()).Name, strings.Join(names, ", "), strings.Join(values, ", "))
	return b
}

// args adds the columns of a row to a statement's arguments. SQLite compares times
// as text: they are all of one zone.
func (b *bound) args(args []any, row any) []any {
	v := reflect.ValueOf(row).Elem()
	for _, f := range b.columns {
		switch value := f.Value(v).Interface().(type) {
		case time.Time:
			args = append(args, value.UTC())
		case *time.Time:
			args = append(args, utc(value))
		default:
			if f.NullZero && f.HasZeroValue(v) {
				value = nil
			}
			args = append(args, value)
		}
	}
	return args
}

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
