package repo

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

// Ask is hub.AnswerStore's.
func (r *Repo) Ask(ctx context.Context, q hub.StoredQuestion) (hub.Asked, error) {
	var err error
	if q.Files, err = fileIDs(q.Files); err != nil {
		return hub.Asked{}, err
	}
	for tries := 0; ; tries++ {
		var out hub.Asked
		err := r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
			// Locked before anything is looked up: of several that ask with the same
			// ids in one session, all but the first find what that one has made.
			session, err := r.askedIn(ctx, tx, q)
			if err != nil {
				return err
			}
			asked, err := r.lookUp(ctx, tx, q)
			if err == nil && !asked.Found && !q.FindOnly {
				asked, err = r.ask(ctx, tx, q, session)
			}
			out = asked
			return err
		})
		if taken(err) && tries < 3 {
			continue // somebody else's transaction had the key first: find what it made
		}
		if taken(err) {
			return out, conflict("message_id")
		}
		return out, err
	}
}

// askedIn locks the session that is asked in, or makes the row of a new one.
func (r *Repo) askedIn(ctx context.Context, tx bun.Tx, q hub.StoredQuestion) (sessionRow, error) {
	if q.NewSession {
		return sessionRow{ID: q.Session, UserID: q.Who.User, Title: q.Title, Model: q.Model, Version: 1, CreatedAt: now()}, nil
	}
	return r.lockSession(ctx, tx, q.Who, q.Session)
}

func conflict(field string) error {
	return &hub.Error{Code: hub.CodeIDConflict, Field: field, Msg: field + " names something else already"}
}

// lookUp finds what an earlier Ask with the same ids has made.
func (r *Repo) lookUp(ctx context.Context, tx bun.Tx, q hub.StoredQuestion) (hub.Asked, error) {
	var out hub.Asked
	question, answer, err := r.named(ctx, tx, q)
	if err != nil || question == nil && answer == nil {
		return out, err
	}
	switch {
	case question != nil && q.OwnAnswer:
		if answer == nil || !madeWith(answer, question) {
			return out, conflict("answer_id")
		}
	case question != nil:
		answer = new(messageRow)
		err := tx.NewSelect().Model(answer).Where("parent_id = ? AND added = ?", question.ID, question.Added+1).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) { // deleted since
			return out, conflict("message_id")
		}
		if err != nil {
			return out, err
		}
	case q.OwnMessage:
		return out, conflict("answer_id")
	case answer.ParentID != nil:
		parent := new(messageRow)
		if err := tx.NewSelect().Model(parent).Where("id = ?", *answer.ParentID).Scan(ctx); err != nil {
			return out, err
		}
		if q.Content != nil {
			question = parent
		}
	}
	if !sameQuestion(q, question, answer) {
		field := "answer_id"
		if q.OwnMessage {
			field = "message_id"
		}
		return out, conflict(field)
	}
	session, err := r.lockSession(ctx, tx, q.Who, answer.SessionID)
	if err != nil {
		return out, err
	}
	out = hub.Asked{Found: true, Session: session.session(), Answer: answer.message()}
	if question != nil {
		m := question.message()
		out.Question = &m
	}
	return out, nil
}

// named finds the messages that the client's own ids name, if there are any.
func (r *Repo) named(ctx context.Context, tx bun.Tx, q hub.StoredQuestion) (question, answer *messageRow, err error) {
	var ids []hub.MessageID
	if q.OwnMessage {
		ids = append(ids, q.MessageID)
	}
	if q.OwnAnswer {
		ids = append(ids, q.AnswerID)
	}
	if len(ids) == 0 {
		return nil, nil, nil
	}
	var known bool // nearly always false
	err = r.bound.isKnown.row(ctx, tx, ids[0], ids[len(ids)-1]).Scan(&known)
	if err != nil || !known {
		return nil, nil, err
	}
	var rows []ownedRow // in one query: they may be committed at any moment
	err = tx.NewRaw("SELECT m.*, s.user_id FROM messages AS m JOIN sessions AS s ON s.id = m.session_id WHERE m.id IN (?)", bun.List(ids)).Scan(ctx, &rows)
	if err != nil {
		return nil, nil, err
	}
	var deleted []hub.MessageID // which a late repeat does not bring back
	if len(rows) < len(ids) {
		if err := tx.NewSelect().Model((*messageTombstone)(nil)).Column("message_id").Where("message_id IN (?)", bun.List(ids)).Scan(ctx, &deleted); err != nil {
			return nil, nil, err
		}
	}
	find := func(id hub.MessageID, role hub.MessageRole, field string) (*messageRow, error) {
		i := slices.IndexFunc(rows, func(row ownedRow) bool { return row.ID == id })
		switch {
		case !slices.Contains(ids, id), i < 0 && !slices.Contains(deleted, id):
			return nil, nil
		case i < 0, rows[i].UserID != q.Who.User, !q.Who.Knows(rows[i].SessionID), rows[i].Role != role:
			return nil, conflict(field)
		}
		return &rows[i].messageRow, nil
	}
	if question, err = find(q.MessageID, hub.RoleOfUser, "message_id"); err == nil {
		answer, err = find(q.AnswerID, hub.RoleOfAssistant, "answer_id")
	}
	return question, answer, err
}

// madeWith says whether one Ask made both.
func madeWith(answer, question *messageRow) bool {
	return answer.ParentID != nil && *answer.ParentID == question.ID && answer.Added == question.Added+1
}

// sameQuestion says whether what was found is what q asks for.
func sameQuestion(q hub.StoredQuestion, question, answer *messageRow) bool {
	if !q.NewSession && answer.SessionID != q.Session {
		return false
	}
	if q.Content == nil {
		return question == nil && answer.ParentID != nil && q.Parent != nil && *answer.ParentID == *q.Parent
	}
	if question == nil || !madeWith(answer, question) || question.Content != *q.Content || !sameFiles(q.Files, question.Attachments) {
		return false
	}
	return !q.ParentGiven || equal(q.Parent, question.ParentID)
}

func equal(a, b *hub.MessageID) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// ask stores a question and its answer in a session, which is locked or new.
func (r *Repo) ask(ctx context.Context, tx bun.Tx, q hub.StoredQuestion, session sessionRow) (hub.Asked, error) {
	at := now()
	var out hub.Asked
	parent, err := findParent(ctx, tx, q)
	if err != nil {
		return out, err
	}
	var settings hub.UserSettings
	if session.ListVersion, settings, err = r.raiseAsker(ctx, tx, q.Who.User); err != nil {
		return out, err
	}
	session.UpdatedAt = at
	var parentID *hub.MessageID
	if parent != nil {
		parentID = &parent.ID
	}
	var rows []messageRow
	if q.Content != nil {
		session.Version++
		rows = append(rows, messageRow{
			ID: q.MessageID, SessionID: session.ID, ParentID: parentID, Role: hub.RoleOfUser, Content: *q.Content,
			Status: hub.StatusComplete, Version: session.Version, Added: session.Version, CreatedAt: at, FinishedAt: &at,
		})
		parentID = &q.MessageID
	}
	session.Version++
	rows = append(rows, messageRow{
		ID: q.AnswerID, SessionID: session.ID, ParentID: parentID, Role: hub.RoleOfAssistant, Status: hub.StatusStreaming,
		Provider: providerOf(q.Model), Model: q.Model, Version: session.Version, Added: session.Version, Epoch: 1, Owner: q.Owner, CreatedAt: at,
	})
	if q.NewSession {
		_, err = r.bound.addSession.exec(ctx, tx, addedSession(&session)...)
	} else {
		_, err = tx.NewUpdate().Model(&session).Column("version", "list_version", "updated_at").WherePK().Exec(ctx)
	}
	if err != nil {
		return out, err
	}
	add := &r.bound.addMessage
	if len(rows) == 2 {
		add = &r.bound.addMessages
		if rows[0].Attachments, err = bindFiles(ctx, tx, q); err != nil {
			return out, err
		}
	}
	var args []any
	for i := range rows {
		args = addedMessage(args, &rows[i])
	}
	if _, err := add.exec(ctx, tx, args...); err != nil {
		return out, err
	}
	if err := r.keepOrder(ctx, tx, q.AnswerID, q.Order); err != nil {
		return out, err
	}
	if err := r.keepAsked(ctx, tx, q); err != nil {
		return out, err
	}
	out = hub.Asked{Session: session.session(), UserVersion: session.ListVersion, Settings: settings, Answer: rows[len(rows)-1].message()}
	if len(rows) == 2 {
		m := rows[0].message()
		out.Question = &m
	}
	return out, nil
}

// findParent returns the message that the new one follows, nil for a root.
func findParent(ctx context.Context, tx bun.Tx, q hub.StoredQuestion) (*messageRow, error) {
	var row messageRow
	sel := tx.NewSelect().Model(&row).Column("id", "status").Where("session_id = ?", q.Session) // not its text, which may be long
	switch {
	case q.ParentGiven && q.Parent == nil, q.NewSession:
		return nil, nil
	case q.ParentGiven:
		sel.Where("id = ?", *q.Parent)
	default:
		sel.OrderExpr("added DESC").Limit(1)
	}
	err := sel.Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		if !q.ParentGiven {
			return nil, nil
		}
		e := hub.NotFound("parent message")
		e.Field = "parent_id"
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	if row.Status == hub.StatusStreaming {
		return nil, &hub.Error{Code: hub.CodeParentStreaming, Field: "parent_id", Msg: "the message to follow is still being written"}
	}
	return &row, nil
}

// Branch is hub.AnswerStore's. The sizes are read first, which neither database
// reads the texts for.
func (r *Repo) Branch(ctx context.Context, who hub.Access, id hub.MessageID, most int64) (out []hub.Message, left int, err error) {
	err = r.snapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		var ids []hub.MessageID
		if ids, left, err = r.newestOf(ctx, tx, who, id, most); err != nil {
			return err
		}
		for part := range slices.Chunk(ids, rowsMax) {
			var rows []messageRow
			if err := tx.NewSelect().Model(&rows).ColumnExpr("m.*").ColumnExpr(layoutOf).
				Where("id IN (?)", bun.List(part)).OrderExpr("added DESC").Scan(ctx); err != nil {
				return err
			}
			out = append(out, messagesOf(rows)...)
		}
		slices.Reverse(out)
		return nil
	})
	return out, left, err
}

// newestOf walks up from a message of the user: the ids of those that have most
// bytes together, and how many are above them.
func (r *Repo) newestOf(ctx context.Context, tx bun.Tx, who hub.Access, id hub.MessageID, most int64) (ids []hub.MessageID, left int, err error) {
	// A column after the texts would have SQLite read all of them to get there.
	rows, err := tx.QueryContext(ctx, `WITH RECURSIVE branch (id, parent_id, depth, size) AS (
		SELECT m.id, m.parent_id, 0, `+sizeOf("m")+` FROM messages AS m JOIN sessions AS s ON s.id = m.session_id WHERE m.id = ? AND ?
		UNION ALL
		SELECT m.id, m.parent_id, b.depth + 1, `+sizeOf("m")+` FROM messages AS m JOIN branch AS b ON m.id = b.parent_id
	) SELECT id, size FROM branch ORDER BY depth`, id, within(who, "s.user_id", "s.id"))
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var above hub.MessageID
		var size int64
		if err := rows.Scan(&above, &size); err != nil {
			return nil, 0, err
		}
		if most -= size; left > 0 || most < 0 && len(ids) > 0 {
			left++
			continue
		}
		ids = append(ids, above)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	if len(ids) == 0 {
		return nil, 0, hub.NotFound("message")
	}
	return ids, left, nil
}

// sizeOf is an expression for the bytes of a message's texts, which it does not
// read.
func sizeOf(m string) string {
	return "octet_length(" + m + ".content) + octet_length(" + m + ".reasoning) + coalesce(octet_length(" + m + ".opaque), 0) + " +
		"coalesce((SELECT octet_length(layout) FROM answers WHERE message_id = " + m + ".id), 0)"
}

// RequestStop is hub.AnswerStore's.
func (r *Repo) RequestStop(ctx context.Context, who hub.Access, id hub.MessageID) (hub.Message, error) {
	var row messageRow
	err := r.write(ctx, true, func(ctx context.Context, tx bun.Tx) (err error) {
		if row, err = ownMessage(ctx, tx, who, id); err != nil || row.Status != hub.StatusStreaming {
			return err
		}
		_, err = tx.NewUpdate().Model((*messageRow)(nil)).Set("stop_requested_at = ?", now()).
			Where("id = ? AND status = ? AND stop_requested_at IS NULL", id, hub.StatusStreaming).Exec(ctx)
		return err
	})
	return row.message(), err
}

// EndAnswer is hub.AnswerStore's.
func (r *Repo) EndAnswer(ctx context.Context, e hub.AnswerEnd) (version int64, err error) {
	drop := r.journal.freed(e.ID)
	err = r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		err := r.bound.raiseSession.row(ctx, tx, e.Session).Scan(&version)
		if errors.Is(err, sql.ErrNoRows) {
			return hub.ErrFenced
		}
		if err != nil {
			return err
		}
		row := messageRow{Version: version}
		row.end(e)
		err = r.bound.endMessage.row(ctx, tx, endedMessage(&row, e.ID, e.Epoch)...).Scan(&row.Model)
		if errors.Is(err, sql.ErrNoRows) {
			return hub.ErrFenced
		}
		if err != nil {
			return err
		}
		if err := r.spend(ctx, tx, e, row.Model); err != nil {
			return err
		}
		if err := r.keepForm(ctx, tx, e.Session, &e.ID, row.Content); err != nil {
			return err
		}
		if err := r.keepLayout(ctx, tx, e); err != nil {
			return err
		}
		return deleteJournal(ctx, tx, drop)
	})
	switch {
	case err == nil:
		r.journal.release(e.ID, drop)
	case errors.Is(err, hub.ErrFenced) && r.ended(ctx, e.ID):
		r.journal.release(e.ID, nil)
	case errors.Is(err, hub.ErrFenced):
		r.journal.forget(e.ID) // the replica that settles it needs the rows
	}
	return version, err
}

// ended says whether an answer is known to need its journal no more.
func (r *Repo) ended(ctx context.Context, id hub.MessageID) bool {
	streaming, err := r.db.NewSelect().Model((*messageRow)(nil)).Where("id = ? AND status = ?", id, hub.StatusStreaming).Exists(ctx)
	return err == nil && !streaming
}

// Answers is hub.AnswerStore's.
func (r *Repo) Answers(ctx context.Context, session hub.SessionID, ids []hub.MessageID) ([]hub.Message, error) {
	var rows []messageRow
	sel := r.db.NewSelect().Model(&rows).ExcludeColumn("opaque").ColumnExpr(layoutOf).Where("session_id = ? AND role = ?", session, hub.RoleOfAssistant)
	if len(ids) > 0 {
		sel.Where("status = ? OR id IN (?)", hub.StatusStreaming, bun.List(ids))
	} else {
		sel.Where("status = ?", hub.StatusStreaming)
	}
	err := sel.Order("added").Scan(ctx)
	return messagesOf(rows), fail(err)
}

// Standings is hub.AnswerStore's.
func (r *Repo) Standings(ctx context.Context, session hub.SessionID, ids []hub.MessageID) ([]hub.Standing, error) {
	var out []hub.Standing
	err := r.db.NewSelect().Model((*messageRow)(nil)).
		Column("id", "seq").ColumnExpr("status = ? AS streaming", hub.StatusStreaming).
		ColumnExpr("octet_length(content) + octet_length(reasoning) AS bytes").
		Where("session_id = ? AND role = ? AND id IN (?)", session, hub.RoleOfAssistant, bun.List(ids)).Scan(ctx, &out)
	return out, fail(err)
}

// ClaimOrphans is hub.AnswerStore's.
func (r *Repo) ClaimOrphans(ctx context.Context, owner string, grace time.Duration) ([]hub.Orphan, error) {
	var out []hub.Orphan
	texts := map[hub.MessageID]*hub.Orphan{}
	err := r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		var rows []ownedRow
		dead, lock, args := "", "", []any{hub.StatusStreaming, owner}
		if r.shared {
			dead = " AND NOT EXISTS (SELECT 1 FROM replicas AS r WHERE r.id = m.owner AND r.expires_at > now() - ? * interval '1 millisecond')"
			lock = " LIMIT 100 FOR UPDATE OF m SKIP LOCKED"
			args = append(args, grace.Milliseconds())
		}
		// What only an end writes is not read: one row that has something odd there
		// would keep all others from their end.
		err := tx.NewRaw(`SELECT m.id, m.session_id, m.parent_id, m.role, m.status, m.provider, m.model, m.version, m.added, m.epoch, m.created_at, s.user_id
			FROM messages AS m JOIN sessions AS s ON s.id = m.session_id
			WHERE m.status = ? AND m.owner <> ?`+dead+` ORDER BY m.session_id, m.added`+lock, args...).Scan(ctx, &rows)
		if err != nil {
			return err
		}
		out = make([]hub.Orphan, len(rows))
		for i := range rows {
			rows[i].Epoch++
			_, err := tx.NewUpdate().Model((*messageRow)(nil)).Set("epoch = ?, owner = ?", rows[i].Epoch, owner).Where("id = ?", rows[i].ID).Exec(ctx)
			if err != nil {
				return err
			}
			out[i] = hub.Orphan{Message: rows[i].message(), User: rows[i].UserID}
			texts[rows[i].ID] = &out[i]
		}
		if err := r.readOrders(ctx, tx, texts); err != nil {
			return err
		}
		return r.readJournal(ctx, tx, texts)
	})
	return out, err
}

// Disown is hub.AnswerStore's.
func (r *Repo) Disown(ctx context.Context, owner string, ids []hub.MessageID) error {
	return r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		for part := range slices.Chunk(ids, rowsMax) {
			_, err := tx.NewUpdate().Model((*messageRow)(nil)).Set("owner = ''").
				Where("id IN (?) AND owner = ? AND status = ?", bun.List(part), owner, hub.StatusStreaming).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
