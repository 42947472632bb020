package repo_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/eventlog"
	"github.com/omnichat/omnichat/repo"
	"github.com/omnichat/omnichat/repo/pgtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	pgtest.Stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var databases = map[string]func(t testing.TB) repo.Options{
	"sqlite":   func(t testing.TB) repo.Options { return repo.Options{DataDir: t.TempDir()} },
	"postgres": func(t testing.TB) repo.Options { return repo.Options{DatabaseURL: pgtest.Start(t)} },
}

// both runs a test on either database.
func both(t *testing.T, f func(t *testing.T, s *suite)) {
	bothWith(t, repo.Options{}, f)
}

// bothWith runs a test on either database, opened with further options.
func bothWith(t *testing.T, opt repo.Options, f func(t *testing.T, s *suite)) {
	for name, options := range databases {
		t.Run(name, func(t *testing.T) {
			s := &suite{t: t, opt: opt}
			database := options(t)
			s.opt.DataDir, s.opt.DatabaseURL = database.DataDir, database.DatabaseURL
			if opt.FilesDir != "" {
				s.opt.FilesDir = filepath.Join(opt.FilesDir, name)
			}
			s.open()
			defer func() { s.ok(s.r.Close()) }()
			s.alice, s.bob = s.user("alice"), s.user("bob")
			f(t, s)
		})
	}
}

type suite struct {
	t          *testing.T
	opt        repo.Options
	r          *repo.Repo
	alice, bob hub.UserID
}

func (s *suite) open() {
	s.t.Helper()
	r, err := repo.Open(s.t.Context(), s.opt)
	s.ok(err)
	s.r = r
}

func (s *suite) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *suite) code(err error, want hub.Code) {
	s.t.Helper()
	if hub.CodeOf(err) != want {
		s.t.Errorf("error %v, want code %q", err, want)
	}
}

func (s *suite) user(name string) hub.UserID {
	s.t.Helper()
	u, err := s.r.CreateUser(s.t.Context(), hub.User{ID: hub.UserID(hub.NewID()), Username: name, DisplayName: name}, "hash")
	s.ok(err)
	return u.ID
}

// changes reads a session of alice's with all its pages.
func (s *suite) changes(session hub.SessionID, after int64) hub.MessageChanges {
	s.t.Helper()
	c, err := s.r.MessageChanges(s.t.Context(), as(s.alice), session, after)
	s.ok(err)
	for _, p := range c.Pages {
		items, err := s.r.MessagePage(s.t.Context(), as(s.alice), session, p)
		s.ok(err)
		c.Items = append(c.Items, items...)
	}
	return c
}

// question asks in a new session.
func (s *suite) question(content string) hub.StoredQuestion {
	return hub.StoredQuestion{
		Who: as(s.alice), Owner: "me", Session: hub.SessionID(hub.NewID()), NewSession: true, Title: content, Model: "fake/m",
		MessageID: hub.MessageID(hub.NewID()), OwnMessage: true, AnswerID: hub.MessageID(hub.NewID()), OwnAnswer: true, Content: &content,
	}
}

// follow asks in the session of an earlier question.
func (s *suite) follow(q hub.StoredQuestion, content string) hub.StoredQuestion {
	next := s.question(content)
	next.Session, next.NewSession = q.Session, false
	return next
}

func (s *suite) ask(q hub.StoredQuestion) hub.Asked {
	s.t.Helper()
	a, err := s.r.Ask(s.t.Context(), q)
	s.ok(err)
	return a
}

func (s *suite) end(a hub.Asked, content string) int64 {
	s.t.Helper()
	v, err := s.r.EndAnswer(s.t.Context(), hub.AnswerEnd{
		Session: a.Session.ID, ID: a.Answer.ID, Epoch: a.Answer.Epoch, Seq: 9, Said: hub.Said{Content: content}, Reason: hub.ReasonStop,
		Usage: &hub.Usage{InputTokens: 1, OutputTokens: 2}, At: time.Now().UTC(),
	})
	s.ok(err)
	return v
}

// text is what the journal has of an answer.
func text(o hub.Orphan) string { return o.Said.Of(eventlog.Text) }

func TestAskStoresQuestionAndAnswerInOneStep(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("What is love?")
		a := s.ask(q)
		if a.Found || a.Session.Version != 3 || a.Question.Version != 2 || a.Answer.Version != 3 || a.UserVersion != 1 {
			t.Errorf("versions: session %d, question %d, answer %d, user %d", a.Session.Version, a.Question.Version, a.Answer.Version, a.UserVersion)
		}
		if a.Answer.Status != hub.StatusStreaming || a.Answer.Provider != "fake" || *a.Answer.ParentID != q.MessageID {
			t.Errorf("answer %+v", a.Answer)
		}
		if v := s.end(a, "Baby don't hurt me"); v != 4 {
			t.Errorf("the end has version %d", v)
		}
		c := s.changes(q.Session, 0)
		if len(c.Items) != 2 || c.Version != 4 || c.Items[1].Content != "Baby don't hurt me" || c.Items[1].Usage.OutputTokens != 2 ||
			c.Items[1].Status != hub.StatusComplete || c.Items[1].FinishedAt == nil || c.Deleted == nil {
			t.Errorf("changes %+v", c)
		}
	})
}

func TestAskTwiceIsOnce(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		first := s.question("first")
		s.end(s.ask(first), "done")
		root := func(q *hub.StoredQuestion) { q.ParentGiven = true }
		for name, tt := range map[string]struct {
			q      hub.StoredQuestion
			change func(q *hub.StoredQuestion)
			by     string
		}{
			"opens a session":                 {q: s.question("once"), by: "message"},
			"opens a session, by the answer":  {q: s.question("once"), by: "answer"},
			"after the newest message":        {q: s.follow(first, "once more"), by: "message"},
			"after the newest, by the answer": {q: s.follow(first, "once more"), by: "answer"},
			"after the newest, by both":       {q: s.follow(first, "once more"), by: "both"},
			"a new root":                      {q: s.follow(first, "root"), change: root, by: "message"},
			"after a message that is named":   {q: s.follow(first, "named"), by: "message", change: func(q *hub.StoredQuestion) { q.Parent, q.ParentGiven = &first.AnswerID, true }},
			"an answer once more":             {q: s.follow(first, ""), by: "answer", change: func(q *hub.StoredQuestion) { q.Content, q.Parent, q.ParentGiven = nil, &first.MessageID, true }},
			"an answer that is continued":     {q: s.follow(first, ""), by: "answer", change: func(q *hub.StoredQuestion) { q.Content, q.Parent, q.ParentGiven = nil, &first.AnswerID, true }},
		} {
			t.Run(name, func(t *testing.T) {
				if tt.change != nil {
					tt.change(&tt.q)
				}
				var wg sync.WaitGroup
				var mu sync.Mutex
				answers, made := map[hub.MessageID]hub.Asked{}, 0
				for range 8 {
					q := tt.q
					if q.NewSession {
						q.Session = hub.SessionID(hub.NewID())
					}
					if tt.by == "message" {
						q.AnswerID, q.OwnAnswer = hub.MessageID(hub.NewID()), false
					}
					if tt.by == "answer" {
						q.MessageID, q.OwnMessage = hub.MessageID(hub.NewID()), false
					}
					wg.Go(func() {
						a, err := s.r.Ask(t.Context(), q)
						mu.Lock()
						defer mu.Unlock()
						if err != nil {
							t.Error(err)
							return
						}
						answers[a.Answer.ID] = a
						if !a.Found {
							made++
						}
					})
				}
				wg.Wait()
				if len(answers) != 1 || made != 1 {
					t.Errorf("%d answers, %d made", len(answers), made)
				}
				for _, a := range answers {
					s.end(a, "done")
				}
			})
		}
		page, err := s.r.Sessions(t.Context(), as(s.alice), hub.SessionQuery{Limit: 10})
		s.ok(err)
		if len(page.Items) != 3 {
			t.Errorf("%d sessions", len(page.Items))
		}
	})
}

func TestAskRefusesAnIDForSomethingElse(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("first")
		a := s.ask(q)
		s.end(a, "done")
		other := s.ask(s.question("other"))
		text := "changed"
		root := (*hub.MessageID)(nil)
		for name, change := range map[string]func(q *hub.StoredQuestion){
			"other content":         func(q *hub.StoredQuestion) { q.Content = &text },
			"other session":         func(q *hub.StoredQuestion) { q.Session, q.NewSession = other.Session.ID, false },
			"other parent":          func(q *hub.StoredQuestion) { q.Parent, q.ParentGiven = &a.Answer.ID, true },
			"other answer":          func(q *hub.StoredQuestion) { q.AnswerID = other.Answer.ID },
			"unknown answer":        func(q *hub.StoredQuestion) { q.AnswerID = hub.MessageID(hub.NewID()) },
			"answer for a question": func(q *hub.StoredQuestion) { q.MessageID, q.OwnAnswer = a.Answer.ID, false },
			"somebody else's":       func(q *hub.StoredQuestion) { q.Who = as(s.bob) },
		} {
			same := q
			change(&same)
			_, err := s.r.Ask(t.Context(), same)
			if hub.CodeOf(err) != hub.CodeIDConflict {
				t.Errorf("%s: %v", name, err)
			}
		}
		same := q
		same.Parent, same.ParentGiven = root, true
		if again := s.ask(same); !again.Found || again.Answer.ID != a.Answer.ID || again.Answer.Content != "done" {
			t.Errorf("the same again: %+v", again)
		}
	})
}

func TestParents(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("one")
		a := s.ask(q)
		_, err := s.r.Ask(t.Context(), s.follow(q, "too early"))
		s.code(err, hub.CodeParentStreaming)
		s.end(a, "first answer")

		next := s.ask(s.follow(q, "two"))
		if *next.Question.ParentID != a.Answer.ID {
			t.Errorf("a follow-up has parent %v", next.Question.ParentID)
		}
		s.end(next, "second answer")

		again := s.follow(q, "")
		again.Content, again.Parent, again.ParentGiven, again.OwnMessage = nil, &q.MessageID, true, false
		sibling := s.ask(again)
		if sibling.Question != nil || *sibling.Answer.ParentID != q.MessageID {
			t.Errorf("answered once more: %+v", sibling)
		}
		if same := s.ask(again); !same.Found || same.Answer.ID != sibling.Answer.ID {
			t.Errorf("the same answer_id again: %+v", same)
		}
		s.end(sibling, "another")

		more := s.follow(q, "")
		more.Content, more.Parent, more.ParentGiven, more.OwnMessage = nil, &sibling.Answer.ID, true, false
		if went := s.ask(more); *went.Answer.ParentID != sibling.Answer.ID {
			t.Errorf("continued: %+v", went)
		}

		root := s.follow(q, "new root")
		root.ParentGiven = true
		if r := s.ask(root); r.Question.ParentID != nil {
			t.Errorf("a root has parent %v", r.Question.ParentID)
		}
		missing := hub.MessageID(hub.NewID())
		lost := s.follow(q, "x")
		lost.Parent, lost.ParentGiven = &missing, true
		_, err = s.r.Ask(t.Context(), lost)
		s.code(err, hub.CodeNotFound)
	})
}

func TestEndAnswerIsFenced(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		a := s.ask(s.question("x"))
		orphans, err := s.r.ClaimOrphans(t.Context(), "other", 0)
		s.ok(err)
		if len(orphans) != 1 || orphans[0].Message.Epoch != 2 || orphans[0].User != s.alice {
			t.Fatalf("orphans %+v", orphans)
		}
		_, err = s.r.EndAnswer(t.Context(), hub.AnswerEnd{Session: a.Session.ID, ID: a.Answer.ID, Epoch: 1, Reason: hub.ReasonStop, At: time.Now()})
		if !errors.Is(err, hub.ErrFenced) {
			t.Errorf("the old owner's end: %v", err)
		}
		a.Answer.Epoch = 2
		v := s.end(a, "settled")
		session, err := s.r.Session(t.Context(), as(s.alice), a.Session.ID)
		s.ok(err)
		if session.Version != v {
			t.Errorf("a refused end took a version: %d, want %d", session.Version, v)
		}
	})
}

func TestJournalSurvivesAndIsLetGo(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		a, b := s.ask(s.question("a")), s.ask(s.question("b"))
		entry := func(x hub.Asked, seq int64, text string) hub.JournalEntry {
			return hub.JournalEntry{Stream: x.Answer.ID, Epoch: 1, From: seq - 2, Seq: seq, Deltas: []eventlog.Delta{{Text: "hm ", Kind: eventlog.Reasoning}, {Text: text}}}
		}
		first := []hub.JournalEntry{entry(a, 2, "one "), entry(b, 2, "eins ")}
		s.ok(s.r.Append(t.Context(), first))
		s.ok(s.r.Append(t.Context(), first)) // its answer was lost
		s.ok(s.r.Append(t.Context(), []hub.JournalEntry{entry(a, 4, "two")}))
		s.end(b, "eins")
		s.ok(s.r.Close())
		s.open()
		orphans, err := s.r.ClaimOrphans(t.Context(), "next", 0)
		s.ok(err)
		if len(orphans) != 1 || text(orphans[0]) != "one two" || orphans[0].Said.Of(eventlog.Reasoning) != "hm hm " || orphans[0].Said.Seq != 4 {
			t.Fatalf("orphans %+v", orphans)
		}
		a.Answer.Epoch = 2
		s.end(a, text(orphans[0]))
		if n, err := s.r.JournalRows(t.Context()); err != nil || n != 0 {
			t.Errorf("%d rows are left, %v", n, err)
		}
	})
}

// TestDamageInTheJournalIsItsOwn has rows that cannot be read, or not wholly: what
// is readable is kept, and all other answers have what they had.
func TestDamageInTheJournalIsItsOwn(t *testing.T) {
	tests := map[string]struct {
		damage string // instead of the second of three rows
		a      string // what the first answer has
	}{
		"no JSON":         {damage: "\x00\xff{", a: "a1"},
		"cut":             {damage: `[{"m":"A","e":1,"f":1,"s":2,"r":[{"t":"a2"}]},{"m":"B","e":1,"f":1,"s":2,"r":[{"t":"b`, a: "a1a2a3"},
		"of other types":  {damage: `[{"m":"B","e":1,"f":1,"s":"2","r":[{"t":"b2"}]},{"m":"A","e":1,"f":1,"s":2,"r":[{"t":"a2"}]}]`, a: "a1a2a3"},
		"of another form": {damage: `{"m":"B"}`, a: "a1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, s *suite) {
				a, b, c := s.ask(s.question("a")), s.ask(s.question("b")), s.ask(s.question("c"))
				entry := func(x hub.Asked, seq int64, text string) hub.JournalEntry {
					return hub.JournalEntry{Stream: x.Answer.ID, Epoch: 1, From: seq - 1, Seq: seq, Deltas: []eventlog.Delta{{Text: text}}}
				}
				note := func(batch ...hub.JournalEntry) { s.ok(s.r.Append(t.Context(), batch)) }
				note(entry(a, 1, "a1"), entry(b, 1, "b1"))
				note(entry(a, 2, "a2"), entry(b, 2, "b2"))
				note(entry(a, 3, "a3"), entry(b, 3, "b3"), entry(c, 1, "c1"))
				damage := strings.NewReplacer(`"A"`, `"`+string(a.Answer.ID)+`"`, `"B"`, `"`+string(b.Answer.ID)+`"`).Replace(tt.damage)
				s.ok(s.r.Exec(t.Context(), "UPDATE journal SET entries = ? WHERE id = (SELECT id FROM journal ORDER BY id LIMIT 1 OFFSET 1)", []byte(damage)))
				s.ok(s.r.Close())
				s.open()
				orphans, err := s.r.ClaimOrphans(t.Context(), "next", 0)
				s.ok(err)
				got := map[hub.MessageID]hub.Orphan{}
				for _, o := range orphans {
					got[o.Message.ID] = o
				}
				type has struct {
					text string
					lost bool
				}
				for id, want := range map[hub.MessageID]has{
					a.Answer.ID: {tt.a, tt.a == "a1"}, b.Answer.ID: {"b1", true}, c.Answer.ID: {"c1", false},
				} {
					if o := got[id]; text(o) != want.text || o.Lost != want.lost {
						t.Errorf("an answer has %q, lost: %v; want %q, %v", text(o), o.Lost, want.text, want.lost)
					}
				}
				for _, x := range []hub.Asked{a, b, c} {
					x.Answer.Epoch = 2
					s.end(x, text(got[x.Answer.ID]))
				}
				if n, err := s.r.JournalRows(t.Context()); err != nil || n != 0 {
					t.Errorf("%d rows are left, %v", n, err)
				}
			})
		})
	}
}

// TestOddRowKeepsNoAnswerFromBeingClaimed has something that cannot be read stand
// in a column that an end writes.
func TestOddRowKeepsNoAnswerFromBeingClaimed(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		a, b := s.ask(s.question("a")), s.ask(s.question("b"))
		s.ok(s.r.Exec(t.Context(), `UPDATE messages SET notices = '{"odd": true}' WHERE id = ?`, a.Answer.ID))
		orphans, err := s.r.ClaimOrphans(t.Context(), "next", 0)
		if err != nil || len(orphans) != 2 {
			t.Fatalf("%d orphans, %v", len(orphans), err)
		}
		for _, x := range []hub.Asked{a, b} {
			x.Answer.Epoch = 2
			s.end(x, "text")
		}
		if m, err := s.r.Message(t.Context(), as(s.alice), a.Answer.ID); err != nil || m.Content != "text" {
			t.Errorf("it has %q, %v", m.Content, err)
		}
	})
}

func TestDeletionsLeaveTombstones(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("one")
		a := s.ask(q)
		s.end(a, "1")
		b := s.ask(s.follow(q, "two"))
		deleted, err := s.r.DeleteMessage(t.Context(), as(s.alice), q.Session, a.Answer.ID)
		s.ok(err)
		if len(deleted) != 3 || deleted[0].ID != a.Answer.ID || deleted[0].Version != 7 || deleted[2].Version != 9 {
			t.Errorf("deleted %+v", deleted)
		}
		c := s.changes(q.Session, 4)
		if len(c.Items) != 0 || len(c.Deleted) != 3 || c.Version != 9 {
			t.Errorf("changes %+v", c)
		}
		_, err = s.r.EndAnswer(t.Context(), hub.AnswerEnd{Session: q.Session, ID: b.Answer.ID, Epoch: 1, Reason: hub.ReasonStop, At: time.Now()})
		if !errors.Is(err, hub.ErrFenced) {
			t.Errorf("the end of a deleted answer: %v", err)
		}
		before, err := s.r.SessionChanges(t.Context(), as(s.alice), 0)
		s.ok(err)
		_, err = s.r.DeleteSession(t.Context(), as(s.alice), q.Session)
		s.ok(err)
		after, err := s.r.SessionChanges(t.Context(), as(s.alice), before.Version)
		s.ok(err)
		if len(after.Items) != 0 || len(after.Deleted) != 1 || after.Deleted[0] != q.Session {
			t.Errorf("changes of the list %+v", after)
		}
	})
}

func TestWhatIsSomebodyElsesIsMissing(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("mine")
		a := s.ask(q)
		ctx, title := t.Context(), "stolen"
		_, err := s.r.Session(ctx, as(s.bob), q.Session)
		s.code(err, hub.CodeNotFound)
		_, err = s.r.Message(ctx, as(s.bob), a.Answer.ID)
		s.code(err, hub.CodeNotFound)
		_, err = s.r.MessageChanges(ctx, as(s.bob), q.Session, 0)
		s.code(err, hub.CodeNotFound)
		_, err = s.r.MessagePage(ctx, as(s.bob), q.Session, hub.MessagePage{Last: a.Answer.Added})
		s.code(err, hub.CodeNotFound)
		_, err = s.r.RequestStop(ctx, as(s.bob), a.Answer.ID)
		s.code(err, hub.CodeNotFound)
		_, _, err = s.r.UpdateSession(ctx, as(s.bob), q.Session, hub.SessionPatch{Title: &title})
		s.code(err, hub.CodeNotFound)
		_, err = s.r.DeleteSession(ctx, as(s.bob), q.Session)
		s.code(err, hub.CodeNotFound)
		_, err = s.r.DeleteMessage(ctx, as(s.bob), q.Session, a.Answer.ID)
		s.code(err, hub.CodeNotFound)
		theirs := s.follow(q, "x")
		theirs.Who = as(s.bob)
		_, err = s.r.Ask(ctx, theirs)
		s.code(err, hub.CodeNotFound)
		page, err := s.r.Sessions(ctx, as(s.bob), hub.SessionQuery{Limit: 10, Text: "mine"})
		s.ok(err)
		if len(page.Items) != 0 {
			t.Errorf("bob finds %v", page.Items)
		}
	})
}

// stamped is a cursor at a time that a client made up.
func stamped(at string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(at + " " + hub.NewID()))
}

func TestSessionsAreListedPageByPage(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		for i := range 7 {
			_, _, err := s.r.CreateSession(t.Context(), as(s.alice), hub.SessionDraft{ID: hub.SessionID(hub.NewID()), Title: fmt.Sprintf("Talk %d, 100%% _sure_", i)})
			s.ok(err)
		}
		var titles []string
		q := hub.SessionQuery{Limit: 3, Text: "0% _SURE"}
		for {
			page, err := s.r.Sessions(t.Context(), as(s.alice), q)
			s.ok(err)
			for _, item := range page.Items {
				titles = append(titles, item.Title[5:6])
			}
			if page.NextCursor == nil {
				break
			}
			q.Cursor = *page.NextCursor
		}
		if got := strings.Join(titles, ""); got != "6543210" {
			t.Errorf("listed %s", got)
		}
		for _, forged := range []string{"nonsense", stamped("0000-01-01T00:00:00Z"), stamped("0001-01-01T00:00:00+14:00"), stamped("2026-01-02T03:04:05-07:00")} {
			_, err := s.r.Sessions(t.Context(), as(s.alice), hub.SessionQuery{Limit: 3, Cursor: forged})
			var e *hub.Error
			if !errors.As(err, &e) || e.Code != hub.CodeInvalid || e.Field != "cursor" {
				t.Errorf("a forged cursor got %v", err)
			}
		}
		asked := s.ask(s.question("title"))
		s.end(asked, "a needle in a haystack")
		page, err := s.r.Sessions(t.Context(), as(s.alice), hub.SessionQuery{Limit: 3, Text: "Needle"})
		s.ok(err)
		if len(page.Items) != 1 || page.Items[0].ID != asked.Session.ID {
			t.Errorf("found %v", page.Items)
		}
	})
}

func TestUpdateSessionRaisesBothVersions(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		made, v, err := s.r.CreateSession(t.Context(), as(s.alice), hub.SessionDraft{ID: hub.SessionID(hub.NewID()), Title: "old", Model: "fake/m"})
		s.ok(err)
		title := "new"
		got, v2, err := s.r.UpdateSession(t.Context(), as(s.alice), made.ID, hub.SessionPatch{Title: &title})
		s.ok(err)
		if got.Title != "new" || got.Model != "fake/m" || got.Version != 2 || v2 != v+1 {
			t.Errorf("updated %+v, user version %d after %d", got, v2, v)
		}
		sessions, users, err := s.r.Versions(t.Context(), []hub.SessionID{made.ID}, []hub.UserID{s.alice})
		s.ok(err)
		if sessions[made.ID] != 2 || users[s.alice] != v2 {
			t.Errorf("versions %v %v", sessions, users)
		}
	})
}

func TestFirstUserIsTheAdmin(t *testing.T) {
	for name, options := range databases {
		t.Run(name, func(t *testing.T) {
			r, err := repo.Open(t.Context(), options(t))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var wg sync.WaitGroup
			roles := make(chan hub.Role, 8)
			for i := range 8 {
				wg.Go(func() {
					u, err := r.CreateUser(t.Context(), hub.User{ID: hub.UserID(hub.NewID()), Username: fmt.Sprint("u", i)}, "h")
					if err != nil {
						t.Error(err)
					}
					roles <- u.Role
				})
			}
			wg.Wait()
			close(roles)
			admins := 0
			for role := range roles {
				if role == hub.RoleAdmin {
					admins++
				}
			}
			if admins != 1 {
				t.Errorf("%d admins", admins)
			}
			_, err = r.CreateUser(t.Context(), hub.User{ID: hub.UserID(hub.NewID()), Username: "U1"}, "h")
			if hub.CodeOf(err) != hub.CodeUsernameTaken {
				t.Errorf("the same name in capitals: %v", err)
			}
		})
	}
}

func TestRefreshTokensRotate(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx, at, grace := t.Context(), time.Now().UTC().Truncate(time.Second), 10*time.Second
		expires := at.Add(time.Hour)
		hash := func(s string) [32]byte { return sha256.Sum256([]byte(s)) }
		login := func(name string) string {
			family := hub.NewID()
			s.ok(s.r.StartGrant(ctx, hub.Grant{Hash: hash(name), Family: family, User: s.alice, ExpiresAt: expires}, "192.0.2.1"))
			return family
		}
		const lifetime = 24 * time.Hour
		rotate := func(old, next string, after time.Duration) error {
			_, err := s.r.RotateGrant(ctx, hash(old), hash(next), at.Add(after), grace, time.Hour, lifetime)
			return err
		}
		active := func(family string) bool {
			ok, err := s.r.GrantActive(ctx, family)
			s.ok(err)
			return ok
		}
		f := login("a0")
		s.ok(rotate("a0", "a1", 0))
		s.ok(rotate("a0", "a1", 9*time.Second))                          // the other tab
		s.code(rotate("a0", "a1b", 9*time.Second), hub.CodeInvalidGrant) // no second branch
		s.ok(rotate("a1", "a2", time.Minute))
		if !active(f) {
			t.Error("two tabs at once ended the login")
		}
		s.code(rotate("a0", "a9", 5*time.Second), hub.CodeInvalidGrant) // older than the one just replaced
		if active(f) {
			t.Error("reuse of an old token did not revoke the family")
		}
		s.code(rotate("a2", "a3", time.Minute), hub.CodeInvalidGrant)

		f = login("b0")
		s.ok(rotate("b0", "b1", 0))
		s.code(rotate("b0", "b2", 11*time.Second), hub.CodeInvalidGrant)
		if active(f) {
			t.Error("late reuse did not revoke the family")
		}
		login("c0")
		s.code(rotate("c0", "c1", 2*time.Hour), hub.CodeInvalidGrant)
		s.code(rotate("unknown", "u1", 0), hub.CodeInvalidGrant)

		f = login("d0")
		got, err := s.r.RevokeGrant(ctx, hash("d0"))
		s.ok(err)
		if got.Family != f || got.User != s.alice || active(f) {
			t.Errorf("log out: family %s of %s, active %v", got.Family, f, active(f))
		}
		f = login("e0")
		if got, err := s.r.ActiveGrants(ctx, []string{hub.NewID(), f, f}); err != nil || !slices.Equal(got, []string{f}) {
			t.Errorf("of an unknown login and %s, these hold: %v, %v", f, got, err)
		}
		if got, err := s.r.RevokeGrant(ctx, hash("nobody's")); got.Family != "" || err != nil {
			t.Errorf("an unknown token: %+v, %v", got, err)
		}

		f = login("f0") // is used each half an hour, and ends all the same
		after, n := time.Duration(0), 0
		for ; n < 1000; n++ {
			after += 30 * time.Minute
			g, err := s.r.RotateGrant(ctx, hash(fmt.Sprint("f", n)), hash(fmt.Sprint("f", n+1)), at.Add(after), grace, time.Hour, lifetime)
			if end := hub.TimeOf(f).Add(lifetime); g.ExpiresAt.After(end) {
				t.Fatalf("a token lasts until %v, its login until %v", g.ExpiresAt, end)
			}
			if err != nil {
				s.code(err, hub.CodeInvalidGrant)
				break
			}
		}
		if after < lifetime || after > lifetime+30*time.Minute {
			t.Errorf("the login ended after %v", after)
		}
		if g, err := s.r.RotateGrant(ctx, hash("a0"), hash("a1"), at, grace, time.Hour, lifetime); g.Reused || err == nil {
			t.Errorf("a token of a login that was revoked before: %+v, %v", g, err)
		}
	})
}

// TestTabsThatRefreshAtOnceGetTheSame holds that of many that bring one token,
// over one database, none is refused and one token is made.
func TestTabsThatRefreshAtOnceGetTheSame(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx, at := t.Context(), time.Now().UTC().Truncate(time.Microsecond)
		old, next := sha256.Sum256([]byte("old")), sha256.Sum256([]byte("next"))
		s.ok(s.r.StartGrant(ctx, hub.Grant{Hash: old, Family: hub.NewID(), User: s.alice, ExpiresAt: at.Add(time.Hour)}, "192.0.2.1"))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if g, err := s.r.RotateGrant(ctx, old, next, at, 10*time.Second, time.Hour, time.Hour); err != nil || g.Hash != next {
					t.Errorf("%+v, %v", g, err)
				}
			})
		}
		wg.Wait()
		_, err := s.r.RotateGrant(ctx, next, sha256.Sum256([]byte("last")), at.Add(time.Minute), 10*time.Second, time.Hour, time.Hour)
		s.ok(err)
	})
}

func TestPlacesOfLoginsAreKept(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		from := func(user hub.UserID, network string) bool {
			ok, err := s.r.LoggedInFrom(t.Context(), user, network)
			s.ok(err)
			return ok
		}
		place := func(i int) string { return fmt.Sprint("2001:db8:0:", i, "::/64") }
		for i := range 60 {
			for range 2 {
				g := hub.Grant{Hash: sha256.Sum256([]byte(hub.NewID())), Family: hub.NewID(), User: s.alice, ExpiresAt: time.Now().Add(time.Hour)}
				s.ok(s.r.StartGrant(t.Context(), g, place(i)))
			}
		}
		kept := 0
		for i := range 60 {
			if from(s.alice, place(i)) {
				kept++
			}
		}
		if kept != 50 || !from(s.alice, place(59)) || from(s.alice, place(0)) {
			t.Errorf("%d places are kept, the last %v, the first %v", kept, from(s.alice, place(59)), from(s.alice, place(0)))
		}
		if from(hub.UserID(hub.NewID()), place(59)) {
			t.Error("another account was logged in from there, too")
		}
	})
}

func TestSharedSecretIsSealed(t *testing.T) {
	dir, key, ctx := t.TempDir(), bytes.Repeat([]byte{7}, 32), t.Context()
	with := func(seal []byte, f func(r *repo.Repo)) {
		r, err := repo.Open(ctx, repo.Options{DataDir: dir, SealKey: seal})
		if err != nil {
			t.Fatal(err)
		}
		f(r)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	first, fresh := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	expect := func(seal, want []byte) {
		t.Helper()
		with(seal, func(r *repo.Repo) {
			if got, err := r.SealedSecret(ctx, "jwt", fresh); !bytes.Equal(got, want) || (err == nil) != (want != nil) {
				t.Errorf("%x, %v, want %x", got, err, want)
			}
		})
	}
	with(nil, func(r *repo.Repo) {
		if got, err := r.SealedSecret(ctx, "jwt", first); !bytes.Equal(got, first) || err != nil {
			t.Errorf("%x, %v", got, err)
		}
	})
	expect(nil, first)
	expect(key, first) // sealed from now on
	expect(key, first)
	with(key, func(r *repo.Repo) {
		if kept, err := r.SharedSecret(ctx, "jwt", fresh); err != nil || bytes.Contains(kept, first) {
			t.Errorf("the database shows %x, %v", kept, err)
		}
	})
	expect(nil, nil)
	expect(bytes.Repeat([]byte{8}, 32), nil)
}

func TestOneProcessForEachDatabase(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		second, err := repo.Open(t.Context(), s.opt)
		if err == nil {
			second.Close()
			t.Fatal("a second process may open the database")
		}
		if !strings.Contains(err.Error(), "in use by another OmniChat") || strings.Contains(err.Error(), "\n") {
			t.Errorf("it says %q", err)
		}
	})
}

func TestTextOfEveryKindComesBackAsItWas(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		for _, text := range []string{"it's \\ \"q\" ? :x $1 ?0 ::text", "日本 🙂\r\n\t\u0001\u2028", strings.Repeat("ä", 100_000), "'); DROP TABLE users; --"} {
			a := s.ask(s.question(text))
			s.ok(s.r.Append(t.Context(), []hub.JournalEntry{{Stream: a.Answer.ID, Epoch: 1, Seq: 1, Deltas: []eventlog.Delta{{Text: text}}}}))
			s.end(a, text)
			c := s.changes(a.Session.ID, 0)
			if c.Items[0].Content != text || c.Items[1].Content != text {
				t.Errorf("%.20q came back as %.20q and %.20q", text, c.Items[0].Content, c.Items[1].Content)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for name, options := range databases {
		b.Run(name, func(b *testing.B) {
			r, err := repo.Open(b.Context(), options(b))
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			batch := make([]hub.JournalEntry, 50)
			for i := range batch {
				batch[i] = hub.JournalEntry{Stream: hub.MessageID(hub.NewID()), Epoch: 1, Deltas: []eventlog.Delta{{Text: " token"}}}
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Append(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAnswer is a question in a new session, and the end of its answer.
func BenchmarkAnswer(b *testing.B) {
	for name, options := range databases {
		b.Run(name, func(b *testing.B) {
			r, err := repo.Open(b.Context(), options(b))
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			u, err := r.CreateUser(b.Context(), hub.User{ID: hub.UserID(hub.NewID()), Username: "alice", DisplayName: "alice"}, "hash")
			if err != nil {
				b.Fatal(err)
			}
			s := suite{alice: u.ID}
			answer := strings.Repeat("word ", 300)
			b.ReportAllocs()
			for b.Loop() {
				q := s.question("What is it?")
				if _, err := r.Ask(b.Context(), q); err != nil {
					b.Fatal(err)
				}
				end := hub.AnswerEnd{
					Session: q.Session, ID: q.AnswerID, Epoch: 1, Seq: 301, Said: hub.Said{Content: answer}, Reason: hub.ReasonStop,
					Usage: &hub.Usage{InputTokens: 10, OutputTokens: 300}, At: time.Now(), User: u.ID,
				}
				if _, err := r.EndAnswer(b.Context(), end); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestStandingsOfManyAreOneQuery(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("one")
		ended := s.ask(q)
		s.end(ended, "two é")
		running, other := s.ask(s.follow(q, "three")), s.ask(s.question("four"))
		ids := []hub.MessageID{ended.Question.ID, ended.Answer.ID, running.Answer.ID, other.Answer.ID}
		for range 10_000 {
			ids = append(ids, hub.MessageID(hub.NewID()))
		}
		got, err := s.r.Standings(t.Context(), q.Session, ids)
		s.ok(err)
		slices.SortFunc(got, func(a, b hub.Standing) int { return int(b.Seq - a.Seq) })
		want := []hub.Standing{{ID: ended.Answer.ID, Seq: 9, Bytes: 6}, {ID: running.Answer.ID, Streaming: true}}
		if !slices.Equal(got, want) {
			t.Errorf("standings %+v, want %+v", got, want)
		}
	})
}

// as is the access of a user who has logged in.
func as(user hub.UserID) hub.Access { return hub.Login(user, "login") }
