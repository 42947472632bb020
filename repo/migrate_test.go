package repo_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/repo"
)

// TestDataOfTheSchemaBeforeStay fills a database as version 3 left it, and
// opens it.
func TestDataOfTheSchemaBeforeStay(t *testing.T) {
	for name, options := range databases {
		t.Run(name, func(t *testing.T) {
			s := &suite{t: t, opt: options(t)}
			dialect, folder := goose.DialectSQLite3, "migrations/sqlite"
			if s.opt.DatabaseURL != "" {
				dialect, folder = goose.DialectPostgres, "migrations/postgres"
			}
			db := s.raw()
			p, err := goose.NewProvider(dialect, db, os.DirFS(folder))
			s.ok(err)
			_, err = p.UpTo(t.Context(), 3)
			s.ok(err)
			s.alice = hub.UserID(hub.NewID())
			session, question, answer, running := hub.SessionID(hub.NewID()), hub.MessageID(hub.NewID()), hub.MessageID(hub.NewID()), hub.MessageID(hub.NewID())
			fillBefore(s, db, session, question, answer, running)

			s.open()
			defer func() { s.ok(s.r.Close()) }()
			got, err := s.r.Session(t.Context(), as(s.alice), session)
			s.ok(err)
			if got.Title != "Old" || got.Parameters != (hub.Parameters{}) {
				t.Errorf("the session is %+v", got)
			}
			c := s.changes(session, 0)
			if len(c.Items) != 3 {
				t.Fatalf("messages %+v", c.Items)
			}
			if m := c.Items[0]; m.Content != "hello" || m.Usage != nil || m.Files == nil || len(m.Files) != 0 {
				t.Errorf("the question is %+v", m)
			}
			if m := c.Items[1]; *m.Usage != (hub.Usage{InputTokens: 3, OutputTokens: 4}) || *m.Error != (hub.Failure{Code: "x", Detail: "y"}) || m.Model != "fake/m" {
				t.Errorf("the answer is %+v", m)
			}
			if size, err := s.r.StoredBytes(t.Context(), as(s.alice)); size != int64(len("hello"+"hi")) || err != nil {
				t.Errorf("%d bytes are stored, %v", size, err)
			}
			orphans, err := s.r.ClaimOrphans(t.Context(), "next", 0)
			s.ok(err)
			if len(orphans) != 1 || orphans[0].Message.ID != running || orphans[0].User != s.alice {
				t.Fatalf("orphans %+v", orphans)
			}
			_, err = s.r.EndAnswer(t.Context(), hub.AnswerEnd{
				Session: session, ID: running, Epoch: 2, Reason: hub.ReasonInterrupted, User: s.alice, Usage: &hub.Usage{OutputTokens: 1, Estimated: true}, At: time.Now(),
			})
			s.ok(err)
			f := s.file("new")
			s.ask(with(s.follow(hub.StoredQuestion{Session: session}, "and now"), f))
			if !s.has(f) {
				t.Error("the old session takes no file")
			}
			if settings, err := s.r.UserSettings(t.Context(), as(s.alice)); settings != (hub.UserSettings{}) || err != nil {
				t.Errorf("settings %+v, %v", settings, err)
			}
		})
	}
}

func fillBefore(s *suite, db *sql.DB, session hub.SessionID, question, answer, running hub.MessageID) {
	s.t.Helper()
	const at = "2026-01-02 03:04:05.678901+00:00"
	s.exec(db, `INSERT INTO users (id, username, username_key, display_name, role, password_hash, created_at) VALUES ($1, 'alice', 'alice', 'Alice', 'admin', 'h', '`+at+`')`, string(s.alice))
	s.exec(db, `INSERT INTO sessions (id, user_id, title, model, system_prompt, version, list_version, created_at, updated_at)
		VALUES ($1, $2, 'Old', 'fake/m', '', 4, 1, '`+at+`', '`+at+`')`, string(session), string(s.alice))
	message := `INSERT INTO messages (id, session_id, parent_id, role, content, reasoning, status, provider, model, seq, version, added, epoch, owner, created_at, input_tokens, output_tokens, error_code, error_detail) VALUES ($1, $2, `
	s.exec(db, message+`NULL, 'user', 'hello', '', 'complete', '', '', 0, 2, 2, 0, '', '`+at+`', NULL, NULL, NULL, NULL)`, string(question), string(session))
	s.exec(db, message+`$3, 'assistant', 'hi', '', 'error', 'fake', 'fake/m', 2, 3, 3, 1, 'gone', '`+at+`', 3, 4, 'x', 'y')`, string(answer), string(session), string(question))
	s.exec(db, message+`$3, 'assistant', '', '', 'streaming', 'fake', 'fake/m', 0, 4, 4, 1, 'gone', '`+at+`', NULL, NULL, NULL, NULL)`, string(running), string(session), string(question))
}

// TestMigrationsOfBothDatabasesAreTheSame holds that none is forgotten.
func TestMigrationsOfBothDatabasesAreTheSame(t *testing.T) {
	names := map[string]int{}
	for _, folder := range []string{"sqlite", "postgres"} {
		found, err := filepath.Glob(filepath.Join("migrations", folder, "*.sql"))
		if err != nil || len(found) == 0 {
			t.Fatal(found, err)
		}
		for _, path := range found {
			names[filepath.Base(path)]++
		}
	}
	for name, n := range names {
		if n != 2 {
			t.Errorf("%s is for one database only", name)
		}
	}
}

var _ hub.Store = (*repo.Repo)(nil)

// TestColumnsOfANewerProgramDoNoHarm has a newer program add columns while this one runs on
// the same database.
func TestColumnsOfANewerProgramDoNoHarm(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("before")
		a := s.ask(q)
		for _, table := range []string{"users", "sessions", "messages", "answers", "grants", "grant_families", "files", "replicas", "journal"} {
			s.ok(s.r.Exec(t.Context(), "ALTER TABLE "+table+" ADD COLUMN of_later TEXT DEFAULT 'x'"))
		}
		if again := s.ask(q); !again.Found {
			t.Error("the question is not found again")
		}
		s.end(a, "answer")
		s.end(s.ask(s.follow(q, "after")), "answer")
		if m, err := s.r.Message(t.Context(), as(s.alice), q.AnswerID); err != nil || m.Content != "answer" {
			t.Errorf("%+v, %v", m, err)
		}
		if c := s.changes(q.Session, 0); len(c.Items) != 4 {
			t.Errorf("%d messages", len(c.Items))
		}
		title := "new"
		if _, _, err := s.r.UpdateSession(t.Context(), as(s.alice), q.Session, hub.SessionPatch{Title: &title}); err != nil {
			t.Error(err)
		}
	})
}
