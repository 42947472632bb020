package repo

import (
	"context"
	"database/sql"
	"encoding/base64"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

// raiseUser takes the user's next version.
func (r *Repo) raiseUser(ctx context.Context, tx bun.Tx, user hub.UserID) (version int64, err error) {
	err = tx.NewRaw("UPDATE users SET version = version + 1 WHERE id = ? RETURNING version", user).Scan(ctx, &version)
	return version, found(err, "user")
}

// raiseAsker is raiseUser, which reads what the user has set as well.
func (r *Repo) raiseAsker(ctx context.Context, tx bun.Tx, user hub.UserID) (version int64, settings hub.UserSettings, err error) {
	var prompt, fallback sql.NullString
	err = r.bound.raiseAsker.row(ctx, tx, user).Scan(&version, &prompt, &fallback)
	return version, hub.UserSettings{SystemPrompt: prompt.String, FallbackModel: fallback.String}, found(err, "user")
}

// lockSession reads a session of the user for a change.
func (r *Repo) lockSession(ctx context.Context, tx bun.Tx, who hub.Access, id hub.SessionID) (sessionRow, error) {
	var row sessionRow
	err := tx.NewRaw("SELECT * FROM sessions WHERE id = ? AND ?"+r.forUpdate(), id, within(who, "user_id", "id")).Scan(ctx, &row)
	return row, found(err, "session")
}

// CreateSession is hub.SessionStore's.
func (r *Repo) CreateSession(ctx context.Context, who hub.Access, d hub.SessionDraft) (hub.Session, int64, error) {
	at := now()
	row := sessionRow{
		ID: d.ID, UserID: who.User, Title: d.Title, Model: d.Model, SystemPrompt: d.SystemPrompt,
		Temperature: d.Parameters.Temperature, MaxTokens: d.Parameters.MaxTokens, ReasoningEffort: d.Parameters.ReasoningEffort,
		Version: 1, CreatedAt: at, UpdatedAt: at,
	}
	err := r.write(ctx, true, func(ctx context.Context, tx bun.Tx) (err error) {
		if row.ListVersion, err = r.raiseUser(ctx, tx, who.User); err != nil {
			return err
		}
		if _, err = tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
		return r.keepForm(ctx, tx, row.ID, nil, row.Title)
	})
	if taken(err) {
		return hub.Session{}, 0, &hub.Error{Code: hub.CodeIDConflict, Field: "id", Msg: "the id names something else already"}
	}
	return row.session(), row.ListVersion, err
}

// Session is hub.SessionStore's.
func (r *Repo) Session(ctx context.Context, who hub.Access, id hub.SessionID) (hub.Session, error) {
	var row sessionRow
	err := r.db.NewSelect().Model(&row).Where("id = ? AND ?", id, within(who, "user_id", "id")).Scan(ctx)
	return row.session(), found(err, "session")
}

// Sessions is hub.SessionStore's.
func (r *Repo) Sessions(ctx context.Context, who hub.Access, q hub.SessionQuery) (hub.SessionPage, error) {
	var rows []sessionRow
	sel := r.db.NewSelect().Model(&rows).Where("?", within(who, "user_id", "id")).OrderExpr("updated_at DESC, id DESC").Limit(int64(q.Limit) + 1)
	if q.Cursor != "" {
		at, id, ok := parseCursor(q.Cursor)
		if !ok {
			return hub.SessionPage{}, hub.Invalid("cursor", "is not one that was given out")
		}
		sel.Where("(updated_at, id) < (?, ?)", at, id)
	}
	if q.Text != "" {
		r.searched(sel, q.Text)
	}
	if err := sel.Scan(ctx); err != nil {
		return hub.SessionPage{}, fail(err)
	}
	page := hub.SessionPage{}
	if len(rows) > q.Limit {
		rows = rows[:q.Limit]
		last := rows[q.Limit-1]
		next := cursorAt(last.UpdatedAt, string(last.ID))
		page.NextCursor = &next
	}
	page.Items = sessionsOf(rows)
	return page, nil
}

// cursorAt is where a page ends.
func cursorAt(at time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(at.UTC().Format(time.RFC3339Nano) + " " + id))
}

// parseCursor takes what cursorAt may have made and nothing else: the databases
// do not know every time that RFC 3339 has, such as the year 0.
func parseCursor(s string) (at time.Time, id string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return at, "", false
	}
	stamp, id, _ := strings.Cut(string(b), " ")
	at, err = time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return at, "", false
	}
	id, ok = hub.ParseID(id)
	return at, id, ok && at.Year() > 0 && cursorAt(at, id) == s
}

// snapshot runs reads that must be of one moment.
func (r *Repo) snapshot(ctx context.Context, f func(ctx context.Context, tx bun.Tx) error) error {
	opts := readOptions(r.gate == nil)
	return fail(r.db.RunInTx(ctx, opts, f))
}

// SessionChanges is hub.SessionStore's.
func (r *Repo) SessionChanges(ctx context.Context, who hub.Access, after int64) (hub.SessionChanges, error) {
	out := hub.SessionChanges{Deleted: []hub.SessionID{}}
	err := r.snapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := tx.NewRaw("SELECT version FROM users WHERE id = ?", who.User).Scan(ctx, &out.Version); err != nil {
			return found(err, "user")
		}
		var rows []sessionRow
		if err := tx.NewSelect().Model(&rows).Where("? AND list_version > ?", within(who, "user_id", "id"), after).OrderExpr("updated_at DESC, id DESC").Scan(ctx); err != nil {
			return err
		}
		out.Items = sessionsOf(rows)
		if after <= 0 {
			return nil
		}
		return tx.NewSelect().Model((*sessionTombstone)(nil)).Column("session_id").Where("? AND version > ?", within(who, "user_id", "session_id"), after).Order("version").Scan(ctx, &out.Deleted)
	})
	return out, err
}

// UpdateSession is hub.SessionStore's.
func (r *Repo) UpdateSession(ctx context.Context, who hub.Access, id hub.SessionID, p hub.SessionPatch) (hub.Session, int64, error) {
	return r.changeSession(ctx, who, id, func(row *sessionRow) error {
		for _, c := range []struct{ field, value *string }{
			{&row.Title, p.Title}, {&row.Model, p.Model}, {&row.SystemPrompt, p.SystemPrompt}, {&row.ReasoningEffort, p.ReasoningEffort},
		} {
			if c.value != nil {
				*c.field = *c.value
			}
		}
		if p.Temperature != nil {
			row.Temperature = *p.Temperature
		}
		if p.MaxTokens != nil {
			row.MaxTokens = *p.MaxTokens
		}
		return nil
	})
}

// RetitleSession is hub.SessionStore's.
func (r *Repo) RetitleSession(ctx context.Context, who hub.Access, id hub.SessionID, from, to string) (hub.Session, int64, error) {
	return r.changeSession(ctx, who, id, func(row *sessionRow) error {
		if row.Title != from {
			return hub.NotFound("session with this title")
		}
		row.Title = to
		return nil
	})
}

// changeSession makes a change unless it returns an error, and raises both
// versions.
func (r *Repo) changeSession(ctx context.Context, who hub.Access, id hub.SessionID, change func(row *sessionRow) error) (hub.Session, int64, error) {
	var row sessionRow
	err := r.write(ctx, true, func(ctx context.Context, tx bun.Tx) (err error) {
		if row, err = r.lockSession(ctx, tx, who, id); err != nil {
			return err
		}
		title := row.Title
		if err := change(&row); err != nil {
			return err
		}
		if row.Title != title {
			if err := r.retitle(ctx, tx, id, row.Title); err != nil {
				return err
			}
		}
		row.Version++
		if row.ListVersion, err = r.raiseUser(ctx, tx, who.User); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(&row).WherePK().Exec(ctx)
		return err
	})
	return row.session(), row.ListVersion, err
}

// DeleteSession is hub.SessionStore's.
func (r *Repo) DeleteSession(ctx context.Context, who hub.Access, id hub.SessionID) (version int64, err error) {
	var files []hub.FileID
	err = r.write(ctx, true, func(ctx context.Context, tx bun.Tx) (err error) {
		row, err := r.lockSession(ctx, tx, who, id)
		if err != nil {
			return err
		}
		if version, err = r.raiseUser(ctx, tx, who.User); err != nil {
			return err
		}
		if err := tx.NewRaw("DELETE FROM files WHERE session_id = ? RETURNING id", id).Scan(ctx, &files); err != nil {
			return err
		}
		if _, err = tx.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&sessionTombstone{SessionID: id, UserID: who.User, Version: version}).Exec(ctx)
		return err
	})
	if err == nil {
		r.removeFiles(files)
	}
	return version, err
}

// Versions is hub.SessionStore's.
func (r *Repo) Versions(ctx context.Context, sessions []hub.SessionID, users []hub.UserID) (map[hub.SessionID]int64, map[hub.UserID]int64, error) {
	ofSessions, ofUsers := map[hub.SessionID]int64{}, map[hub.UserID]int64{}
	if len(sessions) > 0 {
		var rows []sessionRow
		if err := r.db.NewSelect().Model(&rows).Column("id", "version").Where("id IN (?)", bun.List(sessions)).Scan(ctx); err != nil {
			return nil, nil, fail(err)
		}
		for _, s := range rows {
			ofSessions[s.ID] = s.Version
		}
	}
	if len(users) > 0 {
		var rows []userRow
		if err := r.db.NewSelect().Model(&rows).Column("id", "version").Where("id IN (?)", bun.List(users)).Scan(ctx); err != nil {
			return nil, nil, fail(err)
		}
		for _, u := range rows {
			ofUsers[u.ID] = u.Version
		}
	}
	return ofSessions, ofUsers, nil
}
