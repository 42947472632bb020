package repo

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

// readOptions makes the reads of a transaction see one moment.
func readOptions(postgres bool) *sql.TxOptions {
	if postgres {
		return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	return &sql.TxOptions{ReadOnly: true}
}

// ownMessage reads a message of one of the user's sessions.
func ownMessage(ctx context.Context, db bun.IDB, who hub.Access, id hub.MessageID) (messageRow, error) {
	var row messageRow
	err := db.NewRaw("SELECT m.*, "+layoutOf+" FROM messages AS m JOIN sessions AS s ON s.id = m.session_id WHERE m.id = ? AND ?", id, within(who, "s.user_id", "s.id")).Scan(ctx, &row)
	return row, found(err, "message")
}

// Message is hub.MessageStore's.
func (r *Repo) Message(ctx context.Context, who hub.Access, id hub.MessageID) (hub.Message, error) {
	row, err := ownMessage(ctx, r.db, who, id)
	return row.message(), err
}

// What is read of a session at a time: so many messages, of so many bytes
// together. A single message may be larger.
const (
	pageRows  = 200
	pageBytes = 256 << 10
)

// MessageChanges is hub.MessageStore's.
func (r *Repo) MessageChanges(ctx context.Context, who hub.Access, session hub.SessionID, after int64) (hub.MessageChanges, error) {
	out := hub.MessageChanges{Deleted: []hub.MessageID{}}
	err := r.snapshot(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		if err := tx.NewRaw("SELECT version FROM sessions WHERE id = ? AND ?", session, within(who, "user_id", "id")).Scan(ctx, &out.Version); err != nil {
			return found(err, "session")
		}
		if out.Pages, err = pagesOf(ctx, tx, session, after); err != nil || after <= 0 {
			return err
		}
		return tx.NewSelect().Model((*messageTombstone)(nil)).Column("message_id").Where("session_id = ? AND version > ?", session, after).Order("version").Scan(ctx, &out.Deleted)
	})
	return out, err
}

// pagesOf divides the messages that changed after a version, whose texts it does
// not read.
func pagesOf(ctx context.Context, tx bun.Tx, session hub.SessionID, after int64) ([]hub.MessagePage, error) {
	rows, err := tx.QueryContext(ctx, `SELECT added, octet_length(content) + octet_length(reasoning) + coalesce(octet_length(tool_calls), 0)
			+ coalesce((SELECT octet_length(layout) FROM answers WHERE message_id = m.id), 0)
		FROM messages AS m WHERE session_id = ? AND version > ? ORDER BY added`, session, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var pages []hub.MessagePage
	count, total := 0, int64(0) // of the last one
	for rows.Next() {
		var added, size int64
		if err := rows.Scan(&added, &size); err != nil {
			return nil, err
		}
		if count++; count == 1 || count > pageRows || total+size > pageBytes {
			pages = append(pages, hub.MessagePage{First: added, After: after})
			count, total = 1, 0
		}
		pages[len(pages)-1].Last = added
		total += size
	}
	return pages, rows.Err()
}

// MessagePage is hub.MessageStore's. When a message was added never changes, so
// that none is in two pages, or in none, for what has happened to it meanwhile.
func (r *Repo) MessagePage(ctx context.Context, who hub.Access, session hub.SessionID, p hub.MessagePage) ([]hub.Message, error) {
	var rows []messageRow
	err := r.snapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		var own bool
		if err := tx.NewRaw("SELECT TRUE FROM sessions WHERE id = ? AND ?", session, within(who, "user_id", "id")).Scan(ctx, &own); err != nil {
			return found(err, "session")
		}
		// What only the provider reads may be long. The sign keeps the version's index
		// out of it, which has the messages of all pages.
		return tx.NewSelect().Model(&rows).ExcludeColumn("opaque").ColumnExpr(layoutOf).
			Where("session_id = ? AND added BETWEEN ? AND ? AND +version > ?", session, p.First, p.Last, p.After).Order("added").Scan(ctx)
	})
	return messagesOf(rows), err
}

// DeleteMessage is hub.MessageStore's.
func (r *Repo) DeleteMessage(ctx context.Context, who hub.Access, session hub.SessionID, id hub.MessageID) ([]hub.Deletion, error) {
	var out []hub.Deletion
	var unnamed []hub.FileID
	err := r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		row, err := r.lockSession(ctx, tx, who, session)
		if hub.CodeOf(err) == hub.CodeNotFound {
			return hub.NotFound("message") // as if the session were there
		}
		if err != nil {
			return err
		}
		var ids []hub.MessageID
		err = tx.NewRaw(`WITH RECURSIVE tree (id, added) AS (
			SELECT id, added FROM messages WHERE id = ? AND session_id = ?
			UNION ALL
			SELECT m.id, m.added FROM messages AS m JOIN tree AS t ON m.parent_id = t.id
		) SELECT id FROM tree ORDER BY added`, id, session).Scan(ctx, &ids)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return hub.NotFound("message")
		}
		stones := make([]messageTombstone, len(ids))
		for i, id := range ids {
			row.Version++
			stones[i] = messageTombstone{MessageID: id, SessionID: session, Version: row.Version}
			out = append(out, hub.Deletion{ID: id, Version: row.Version})
		}
		for len(stones) > 0 {
			n := min(len(stones), rowsMax)
			part := stones[:n]
			// A tombstone may be there already, of an id that was used again elsewhere.
			_, err := tx.NewInsert().Model(&part).On("CONFLICT (message_id) DO UPDATE").
				Set("session_id = EXCLUDED.session_id, version = EXCLUDED.version").Exec(ctx)
			if err != nil {
				return err
			}
			stones = stones[n:]
		}
		// What follows goes with it.
		if _, err := tx.NewDelete().Model((*messageRow)(nil)).Where("id = ?", id).Exec(ctx); err != nil {
			return err
		}
		if err := recount(ctx, tx, session); err != nil {
			return err
		}
		if unnamed, err = deleteUnnamed(ctx, tx, session); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(&row).Column("version").WherePK().Exec(ctx)
		return err
	})
	if err == nil {
		r.removeFiles(unnamed)
	}
	return out, err
}

// rowsMax bounds the rows of one statement.
const rowsMax = 500
