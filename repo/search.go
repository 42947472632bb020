package repo

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/omnichat/omnichat/hub"
)

// searchForm is the form in which texts are compared: letters that are composed
// or not, of full or half width, large or small are the same.
func searchForm(text string) string {
	if ascii(text) {
		return strings.ToLower(text)
	}
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(text)))
}

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// ownForm returns the form of a text that is stored beside it: the databases make
// the letters A to Z small themselves, which is all that most texts need.
func ownForm(text string) (form string, needed bool) {
	if ascii(text) {
		return "", false
	}
	small := []byte(text)
	for i, c := range small {
		if 'A' <= c && c <= 'Z' {
			small[i] = c + 'a' - 'A'
		}
	}
	form = searchForm(text)
	return form, form != string(small)
}

// keepForm stores the form of a message or, without one, of the title of the
// session.
func (r *Repo) keepForm(ctx context.Context, tx bun.Tx, session hub.SessionID, message *hub.MessageID, text string) error {
	form, needed := ownForm(text)
	if !needed {
		return nil
	}
	_, err := r.bound.keepForm.exec(ctx, tx, session, message, form)
	return err
}

// keepAsked stores the forms of a question and of the title of its new session.
func (r *Repo) keepAsked(ctx context.Context, tx bun.Tx, q hub.StoredQuestion) error {
	if q.NewSession {
		if err := r.keepForm(ctx, tx, q.Session, nil, q.Title); err != nil {
			return err
		}
	}
	if q.Content == nil {
		return nil
	}
	return r.keepForm(ctx, tx, q.Session, &q.MessageID, *q.Content)
}

// retitle stores the form of a title in place of the last one's.
func (r *Repo) retitle(ctx context.Context, tx bun.Tx, session hub.SessionID, title string) error {
	if _, err := tx.NewRaw("DELETE FROM search_forms WHERE session_id = ? AND message_id IS NULL", session).Exec(ctx); err != nil {
		return err
	}
	return r.keepForm(ctx, tx, session, nil, title)
}

// searched restricts a query of sessions to those in which a text occurs, in the
// title or in a message that has ended.
func (r *Repo) searched(sel *bun.SelectQuery, text string) {
	like := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(searchForm(text)) + "%"
	sel.Where(`(`+r.small("title")+` LIKE ?0 ESCAPE '\'
			AND NOT EXISTS (SELECT 1 FROM search_forms AS f WHERE f.session_id = "session_row"."id" AND f.message_id IS NULL)
		OR EXISTS (SELECT 1 FROM search_forms AS f WHERE f.session_id = "session_row"."id" AND f.form LIKE ?0 ESCAPE '\')
		OR EXISTS (SELECT 1 FROM messages AS m WHERE m.session_id = "session_row"."id" AND m.status <> 'streaming'
			AND `+r.small("m.content")+` LIKE ?0 ESCAPE '\'
			AND NOT EXISTS (SELECT 1 FROM search_forms AS f WHERE f.message_id = m.id)))`, like)
}

// small is an expression for a text, to the left of LIKE, whose letters A to Z are
// taken as small ones. SQLite's LIKE takes them so anyway.
func (r *Repo) small(text string) string {
	if r.gate != nil {
		return text
	}
	return "lower(" + text + ` COLLATE "C")`
}

const (
	formsBatch = 100              // rows that are looked through at once
	formsAgain = 10 * time.Second // after a failure
)

// formed is a table with texts that are searched.
type formed struct {
	name  string
	texts string // those of a range of ids that may need a form
	keep  string // a form, unless the text has changed since
}

var formedTables = []formed{
	{
		name: "sessions",
		texts: `SELECT id, title AS text FROM sessions
			WHERE id >= ? AND id <= ? AND octet_length(title) <> length(title)`,
		keep: `INSERT INTO search_forms (session_id, message_id, form)
			SELECT s.id, NULL, ? FROM sessions AS s WHERE s.id = ? AND s.title = ?`,
	},
	{
		name: "messages",
		texts: `SELECT id, content AS text FROM messages
			WHERE id >= ? AND id <= ? AND status <> 'streaming' AND octet_length(content) <> length(content)`,
		keep: `INSERT INTO search_forms (session_id, message_id, form)
			SELECT m.session_id, m.id, ? FROM messages AS m WHERE m.id = ? AND m.content = ?`,
	},
}

// former gives the rows of before their forms, while all else goes on. Several
// replicas may do it at once.
type former struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (r *Repo) startFormer() *former {
	ctx, cancel := context.WithCancel(context.Background())
	f := &former{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		for {
			err := r.formAll(ctx)
			if err == nil || ctx.Err() != nil {
				return
			}
			r.log.Warn("some older chats are not found by all forms of their letters yet", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(formsAgain):
			}
		}
	}()
	return f
}

func (f *former) close() {
	f.cancel()
	<-f.done
}

// formAll forms what is left of all tables.
func (r *Repo) formAll(ctx context.Context) error {
	for _, table := range formedTables {
		var from []string
		if err := r.db.NewRaw("SELECT id FROM search_left WHERE name = ?", table.name).Scan(ctx, &from); err != nil {
			return err
		}
		if len(from) == 0 {
			continue
		}
		for at, last := from[0], ""; at != last; {
			last = at
			var err error
			if at, err = r.formBatch(ctx, table, at); err != nil {
				return err
			}
		}
		err := r.write(ctx, false, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("DELETE FROM search_left WHERE name = ?", table.name).Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// formBatch forms the next rows from an id on, and returns the last one's.
func (r *Repo) formBatch(ctx context.Context, table formed, from string) (last string, err error) {
	err = r.db.NewRaw("SELECT id FROM (SELECT id FROM "+table.name+" WHERE id >= ? ORDER BY id LIMIT ?) AS batch ORDER BY id DESC LIMIT 1", from, formsBatch).Scan(ctx, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return from, nil
	}
	if err != nil {
		return "", err
	}
	var rows []struct{ ID, Text string }
	if err := r.db.NewRaw(table.texts, from, last).Scan(ctx, &rows); err != nil {
		return "", err
	}
	rows = slices.DeleteFunc(rows, func(row struct{ ID, Text string }) bool {
		_, needed := ownForm(row.Text)
		return !needed
	})
	if len(rows) == 0 {
		return last, nil
	}
	return last, r.write(ctx, false, func(ctx context.Context, tx bun.Tx) error {
		for _, row := range rows {
			form, _ := ownForm(row.Text)
			if _, err := tx.NewRaw(table.keep+r.forUpdate()+" ON CONFLICT DO NOTHING", form, row.ID, row.Text).Exec(ctx); err != nil {
				return err
			}
		}
		_, err := tx.NewRaw("UPDATE search_left SET id = ? WHERE name = ?", last, table.name).Exec(ctx)
		return err
	})
}
