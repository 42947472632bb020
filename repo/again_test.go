package repo_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/eventlog"
)

func TestIDsOfDeletedMessagesNameNothingElse(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("one")
		s.end(s.ask(q), "1")
		_, err := s.r.DeleteMessage(t.Context(), as(s.alice), q.Session, q.MessageID)
		s.ok(err)
		elsewhere := s.question("another")
		for _, again := range []hub.StoredQuestion{
			{MessageID: q.MessageID, AnswerID: hub.MessageID(hub.NewID())}, {MessageID: hub.MessageID(hub.NewID()), AnswerID: q.AnswerID},
		} {
			next := elsewhere
			next.MessageID, next.AnswerID = again.MessageID, again.AnswerID
			_, err := s.r.Ask(t.Context(), next)
			s.code(err, hub.CodeIDConflict)
		}
	})
}

func TestDisownedAnswersAreOrphans(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		a, b := s.ask(s.question("a")), s.ask(s.question("b"))
		s.end(b, "done")
		s.ok(s.r.Disown(t.Context(), "somebody else", []hub.MessageID{a.Answer.ID}))
		orphans, err := s.r.ClaimOrphans(t.Context(), "me", 0)
		s.ok(err)
		if len(orphans) != 0 {
			t.Fatalf("disowned by who does not own it: %+v", orphans)
		}
		s.ok(s.r.Disown(t.Context(), "me", []hub.MessageID{a.Answer.ID, b.Answer.ID}))
		orphans, err = s.r.ClaimOrphans(t.Context(), "me", 0)
		s.ok(err)
		if len(orphans) != 1 || orphans[0].Message.ID != a.Answer.ID || orphans[0].Message.Epoch != 2 {
			t.Errorf("orphans %+v", orphans)
		}
	})
}

func TestFencedOwnerLeavesTheJournalToTheNext(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		a, other := s.ask(s.question("a")), s.ask(s.question("other"))
		entry := func(x hub.Asked, seq int64) []hub.JournalEntry {
			return []hub.JournalEntry{{Stream: x.Answer.ID, Epoch: 1, From: seq - 1, Seq: seq, Deltas: []eventlog.Delta{{Text: "shown "}}}}
		}
		s.ok(s.r.Append(t.Context(), entry(a, 1)))
		_, err := s.r.ClaimOrphans(t.Context(), "second", 0)
		s.ok(err)
		_, err = s.r.EndAnswer(t.Context(), hub.AnswerEnd{Session: a.Session.ID, ID: a.Answer.ID, Epoch: 1, Reason: hub.ReasonStop})
		if !errors.Is(err, hub.ErrFenced) {
			t.Fatal(err)
		}
		s.ok(s.r.Append(t.Context(), entry(other, 1))) // with this, rows that nobody needs are deleted
		orphans, err := s.r.ClaimOrphans(t.Context(), "third", 0)
		s.ok(err)
		for _, o := range orphans {
			if o.Message.ID == a.Answer.ID && text(o) != "shown " {
				t.Errorf("the third owner finds %q", text(o))
			}
		}
		if len(orphans) != 2 {
			t.Errorf("%d orphans", len(orphans))
		}
	})
}

func TestSearchKnowsAllLetters(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		s.end(s.ask(s.question("Äpfel und Öl")), "und МОСКВА")
		for _, text := range []string{"äpfel", "ÄPFEL", "öl", "москва"} {
			page, err := s.r.Sessions(t.Context(), as(s.alice), hub.SessionQuery{Limit: 3, Text: text})
			s.ok(err)
			if len(page.Items) != 1 {
				t.Errorf("%q finds %d sessions", text, len(page.Items))
			}
		}
	})
}

func TestNobodyElseReadsTheDatabase(t *testing.T) {
	s := &suite{t: t, opt: databases["sqlite"](t)}
	s.open()
	defer func() { s.ok(s.r.Close()) }()
	s.user("alice")
	files, err := filepath.Glob(filepath.Join(s.opt.DataDir, "omnichat.db*"))
	s.ok(err)
	if len(files) < 2 {
		t.Fatalf("found %v", files)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		s.ok(err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", f, info.Mode())
		}
	}
}

// TestJournalTakesNothingOfAFencedOwner has an answer be claimed by another
// replica: the others of the batch are stored.
func TestJournalTakesNothingOfAFencedOwner(t *testing.T) {
	s := &suite{t: t, opt: databases["postgres"](t)}
	s.opt.Shared = true
	s.open()
	defer func() { s.ok(s.r.Close()) }()
	s.alice = s.user("alice")
	mine, ended := s.ask(s.question("mine")), s.ask(s.question("ended"))
	s.renew(t.Context(), "me", hub.Renewal{TTL: time.Minute})
	lost := s.question("lost")
	lost.Owner = "dead"
	claimed := s.ask(lost)
	s.end(ended, "done")
	if orphans, err := s.r.ClaimOrphans(t.Context(), "other", 0); err != nil || len(orphans) != 1 {
		t.Fatalf("%d orphans, %v", len(orphans), err)
	}
	var batch []hub.JournalEntry
	for _, a := range []hub.Asked{mine, ended, claimed} {
		batch = append(batch, hub.JournalEntry{Stream: a.Answer.ID, Owner: "me", Epoch: a.Answer.Epoch, Seq: 1, Deltas: []eventlog.Delta{{Text: "text"}}})
	}
	var fenced *hub.FencedError
	if err := s.r.Append(t.Context(), batch); !errors.As(err, &fenced) || len(fenced.Streams) != 2 || slices.Contains(fenced.Streams, mine.Answer.ID) {
		t.Errorf("append: %v", err)
	}
	s.ok(s.r.Release(t.Context(), "me"))
	orphans, err := s.r.ClaimOrphans(t.Context(), "third", 0)
	s.ok(err)
	for _, o := range orphans {
		if want := map[bool]string{true: "text"}[o.Message.ID == mine.Answer.ID]; text(o) != want {
			t.Errorf("the journal has %q of %s", text(o), o.Message.ID)
		}
	}
}

// TestAJournalRowStaysForTheAnswersThatAreClaimedLater has a replica die with more
// answers than are claimed at once.
func TestAJournalRowStaysForTheAnswersThatAreClaimedLater(t *testing.T) {
	s := &suite{t: t, opt: databases["postgres"](t)}
	s.opt.Shared = true
	s.open()
	defer func() { s.ok(s.r.Close()) }()
	s.alice = s.user("alice")
	const answers = 130
	batch := make([]hub.JournalEntry, answers)
	for i := range batch {
		q := s.question("x")
		q.Owner = "dead"
		batch[i] = hub.JournalEntry{Stream: s.ask(q).Answer.ID, Owner: q.Owner, Epoch: 1, Seq: 1, Deltas: []eventlog.Delta{{Text: "text"}}}
	}
	s.ok(s.r.Append(t.Context(), batch))
	s.ok(s.r.Close())
	s.open()
	s.renew(t.Context(), "next", hub.Renewal{TTL: time.Minute})
	settled := 0
	for settled < answers {
		orphans, err := s.r.ClaimOrphans(t.Context(), "next", 0)
		s.ok(err)
		if len(orphans) == 0 {
			t.Fatalf("%d of %d are claimed", settled, answers)
		}
		for _, o := range orphans {
			if text(o) != "text" {
				t.Fatalf("after %d that have ended, the journal has %q of another", settled, text(o))
			}
		}
		for _, o := range orphans {
			s.end(hub.Asked{Session: hub.Session{ID: o.Message.SessionID}, Answer: o.Message}, text(o))
			settled++
		}
	}
	s.ok(s.r.Append(t.Context(), nil))
	if n, err := s.r.JournalRows(t.Context()); err != nil || n != 0 {
		t.Errorf("%d rows are left, %v", n, err)
	}
}

// TestWhatTheJournalAcceptsTheNextOwnerReads has a replica append while another one, which
// takes it for dead, claims its answer: whatever the journal has accepted is read by the
// claim, and nothing is accepted afterwards.
func TestWhatTheJournalAcceptsTheNextOwnerReads(t *testing.T) {
	s := &suite{t: t, opt: databases["postgres"](t)}
	s.opt.Shared = true
	s.open()
	defer func() { s.ok(s.r.Close()) }()
	s.alice = s.user("alice")
	for range 20 {
		q := s.question("whose?")
		q.Owner = "stalled"
		a := s.ask(q)
		accepted, begun := int64(0), make(chan struct{})
		var appending sync.WaitGroup
		appending.Go(func() {
			for seq := int64(1); ; seq++ {
				err := s.r.Append(t.Context(), []hub.JournalEntry{{Stream: q.AnswerID, Owner: "stalled", Epoch: 1, From: seq - 1, Seq: seq, Deltas: []eventlog.Delta{{Text: "x"}}}})
				if seq == 3 {
					close(begun)
				}
				if errors.Is(err, hub.ErrFenced) && hub.CodeOf(err) != hub.CodeUnavailable {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				accepted = seq
			}
		})
		<-begun
		var found []hub.Orphan
		for len(found) == 0 && !t.Failed() {
			var err error
			found, err = s.r.ClaimOrphans(t.Context(), "next", 0)
			s.ok(err)
		}
		appending.Wait()
		if got := int64(len(text(found[0]))); got != accepted {
			t.Fatalf("accepted are %d events, the next owner has %d", accepted, got)
		}
		a.Answer.Epoch = 2
		s.end(a, text(found[0]))
	}
}

func (s *suite) renew(ctx context.Context, replica string, l hub.Renewal) (oldest int) {
	s.t.Helper()
	oldest, err := s.r.Renew(ctx, replica, l)
	s.ok(err)
	return oldest
}

func TestReplicasTellWhatTheirAnswersHaveUsed(t *testing.T) {
	s := &suite{t: t, opt: databases["postgres"](t)}
	s.opt.Shared = true
	s.open()
	defer func() { s.ok(s.r.Close()) }()
	for replica, tokens := range map[string]int64{"me": 1, "one": 10, "another": 100} {
		used := map[hub.UserID]hub.Used{"alice": {Tokens: tokens, Cost: hub.Dollars(float64(tokens))}}
		s.renew(t.Context(), replica, hub.Renewal{TTL: time.Minute, Used: used})
	}
	all, err := s.r.UsedElsewhere(t.Context(), "me", "alice")
	if want := (hub.Used{Tokens: 110, Cost: hub.Dollars(110)}); err != nil || all != want {
		t.Errorf("%+v, %v", all, err)
	}
	s.renew(t.Context(), "one", hub.Renewal{TTL: time.Minute})
	if all, err := s.r.UsedElsewhere(t.Context(), "me", "alice"); err != nil || all.Tokens != 100 {
		t.Errorf("one has ended: %+v, %v", all, err)
	}
	if all, err := s.r.UsedElsewhere(t.Context(), "me", "bob"); err != nil || all != (hub.Used{}) {
		t.Errorf("bob: %+v, %v", all, err)
	}
}

// TestAnOrderIsReadAfterATakeover holds that whoever takes an answer over has what it was
// asked for with.
func TestAnOrderIsReadAfterATakeover(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		warmth, most := 0.3, 99
		q, plain := s.question("warm"), s.question("plain")
		q.Order = hub.Order{Temperature: &warmth, TopP: &warmth, MaxTokens: &most, ReasoningEffort: "high"}
		s.ask(q)
		s.ask(q) // the same again
		s.ask(plain)
		orphans, err := s.r.ClaimOrphans(t.Context(), "next", 0)
		s.ok(err)
		for _, o := range orphans {
			want := map[hub.MessageID]hub.Order{q.AnswerID: q.Order, plain.AnswerID: {}}[o.Message.ID]
			if !reflect.DeepEqual(o.Order, want) {
				t.Errorf("%s has %+v, want %+v", o.Message.ID, o.Order, want)
			}
		}
		if _, err := s.r.DeleteSession(t.Context(), as(s.alice), q.Session); len(orphans) != 2 || err != nil {
			t.Errorf("%d orphans, %v", len(orphans), err)
		}
	})
}

// TestTheOldestReplicaIsKnown has replicas come and go that read different formats.
func TestTheOldestReplicaIsKnown(t *testing.T) {
	s := &suite{t: t, opt: databases["postgres"](t)}
	s.opt.Shared = true
	s.open()
	defer func() { s.ok(s.r.Close()) }()
	renew := func(replica string, format, want int) {
		t.Helper()
		if got := s.renew(t.Context(), replica, hub.Renewal{TTL: time.Minute, Format: format}); got != want {
			t.Errorf("the oldest format is %d, want %d", got, want)
		}
	}
	renew("new", 3, 3)
	s.ok(s.r.Exec(t.Context(), "INSERT INTO replicas (id, expires_at) VALUES ('of before', now() + interval '1 minute')"))
	renew("new", 3, 1)
	s.ok(s.r.Release(t.Context(), "of before"))
	renew("newer", 4, 3)
	renew("new", 3, 3)
	s.ok(s.r.Exec(t.Context(), "UPDATE replicas SET expires_at = now() WHERE id = 'new'")) // it has died
	renew("newer", 4, 4)
}
