package hub

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// lossyDB loses the answer to one commit.
type lossyDB struct {
	simDB
	ask, claim bool
}

var errLostReply = errors.New("the answer to COMMIT was lost")

func (d *lossyDB) Ask(ctx context.Context, q StoredQuestion) (Asked, error) {
	a, err := d.simDB.Ask(ctx, q)
	if d.ask {
		d.ask = false
		return Asked{}, errLostReply
	}
	return a, err
}

func (d *lossyDB) ClaimOrphans(ctx context.Context, o string, grace time.Duration) ([]Orphan, error) {
	a, err := d.simDB.ClaimOrphans(ctx, o, grace)
	if d.claim && len(a) > 0 {
		d.claim = false
		return nil, errLostReply
	}
	return a, err
}

func TestLostReplyOfACommitLeavesNothingStreaming(t *testing.T) {
	for _, lost := range []string{"ask", "ask of a single replica", "claim"} {
		t.Run(lost, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1)
				s.bus.send = (*localClient).push
				single := lost == "ask of a single replica"
				var hubs []*Hub
				for _, r := range s.replicas {
					db := &lossyDB{simDB: simDB{s.store, r}, ask: lost != "claim", claim: lost == "claim"}
					opt := Options{Replica: r.name, Logger: slog.New(slog.DiscardHandler)}
					if !single {
						opt.Bus, opt.Leases = simBus{Bus: s.bus.Client(), r: r}, db
					}
					r.hub = New(db, db, Fixed{"sim": simProvider{s}}, opt)
					if err := r.hub.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
					hubs = append(hubs, r.hub)
					if single {
						break
					}
				}
				time.Sleep(8 * time.Second) // of the bubble: leases have been held for long enough
				session, answer, question, text := SessionID("s"), MessageID("a0"), MessageID("u0"), "q"
				_, err := hubs[0].Ask(t.Context(), as("u"), Question{SessionID: &session, MessageID: &question, AnswerID: &answer, Content: &text, Model: "sim/m", ParentGiven: true})
				if (lost == "claim") != (err == nil) {
					t.Fatalf("Ask: %v", err)
				}
				if lost == "claim" {
					s.mu.Lock()
					s.replicas[0].dead = true
					s.mu.Unlock()
				}
				time.Sleep(20 * time.Second)
				s.store.mu.Lock()
				if m := s.store.messages[answer]; m.Status != StatusInterrupted {
					t.Errorf("20 s later the answer of %s is %s", s.store.owners[answer], m.Status)
				}
				s.store.mu.Unlock()
				for _, h := range hubs {
					h.Close()
				}
			})
		})
	}
}

func TestAnswerThatSomebodyElseSettlesIsLeftAlone(t *testing.T) {
	bus := NewLocalBus().Client()
	h := New(nil, nil, nil, Options{Bus: bus, Logger: slog.New(slog.DiscardHandler)})
	defer h.bg.End(nil)
	if _, err := bus.Takeover(t.Context(), "s", "m", 3); err != nil {
		t.Fatal(err)
	}
	h.settler.left = []*claimed{{Orphan: Orphan{Message: Message{ID: "m", SessionID: "s", Epoch: 2}}}}
	if h.settler.settleLeft(t.Context()); len(h.settler.left) > 0 {
		t.Errorf("%d left", len(h.settler.left))
	}
}

// stubbornDB does not store the end of one answer as it is.
type stubbornDB struct {
	simDB
	id    MessageID
	takes func(AnswerEnd) bool
	ends  map[MessageID]AnswerEnd
}

func (d stubbornDB) end(id MessageID) AnswerEnd {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ends[id]
}

func (d stubbornDB) EndAnswer(ctx context.Context, e AnswerEnd) (int64, error) {
	if e.ID == d.id && !d.takes(e) {
		return 0, errors.New("value too odd for its column")
	}
	version, err := d.simDB.EndAnswer(ctx, e)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ends[e.ID] = e
	return version, err
}

// TestOneAnswerThatCannotBeSettledStopsNoStart has a process find what another one
// left, of which one answer cannot be stored as it is.
func TestOneAnswerThatCannotBeSettledStopsNoStart(t *testing.T) {
	tests := map[string]struct {
		takes   func(AnswerEnd) bool
		content string
		reason  Reason
	}{
		"its usage":     {takes: func(e AnswerEnd) bool { return e.Usage == nil }, content: "text", reason: ReasonInterrupted},
		"its text":      {takes: func(e AnswerEnd) bool { return e.Content == "" }, reason: ReasonError},
		"a sudden halt": {takes: func(e AnswerEnd) bool { return e.Usage == nil || panics() }, content: "text", reason: ReasonInterrupted},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1)
				db := stubbornDB{simDB{s.store, s.replicas[0]}, "a1", tt.takes, map[MessageID]AnswerEnd{}}
				for _, id := range []MessageID{"a0", "a1", "a2"} {
					s.store.messages[id] = &Message{ID: id, SessionID: "s", Role: RoleOfAssistant, Status: StatusStreaming, Model: "sim/m", Epoch: 1}
					s.store.owners[id] = "dead"
					s.store.journal = append(s.store.journal, JournalEntry{Stream: id, Epoch: 1, Seq: 1, Deltas: []eventlog.Delta{{Text: "text"}}})
				}
				h := New(db, db, Fixed{"sim": simProvider{s}}, Options{Replica: "next", Logger: slog.New(slog.DiscardHandler)})
				if err := h.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, id := range []MessageID{"a0", "a2"} {
					if e := db.end(id); e.Reason != ReasonInterrupted || e.Content != "text" {
						t.Errorf("%s ended as %q with %q", id, e.Reason, e.Content)
					}
				}
				time.Sleep(time.Minute) // of the bubble
				h.Close()
				if e := db.end("a1"); e.Reason != tt.reason || e.Content != tt.content {
					t.Errorf("a1 ended as %q with %q", e.Reason, e.Content)
				}
			})
		})
	}
}

func panics() bool { panic("something unforeseen") }

// TestEndOfAnAnswerIsBeyondWhatWasShown has a journal have lost some of it.
func TestEndOfAnAnswerIsBeyondWhatWasShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		db := stubbornDB{simDB: simDB{s.store, s.replicas[0]}, ends: map[MessageID]AnswerEnd{}}
		s.store.messages["a0"] = &Message{ID: "a0", SessionID: "s", Role: RoleOfAssistant, Status: StatusStreaming, Model: "sim/m", Epoch: 1}
		h := New(db, db, Fixed{"sim": simProvider{s}}, Options{Replica: "next", Logger: slog.New(slog.DiscardHandler)})
		defer h.bg.End(nil)
		h.settler.left = []*claimed{{Orphan: Orphan{Message: *s.store.messages["a0"], Lost: true, Said: eventlog.Content{
			Seq: 7, Parts: []eventlog.Part{{Text: []byte("some\x00 of it")}},
		}}}}
		h.settler.settleLeft(t.Context())
		if e := db.end("a0"); e.Seq != 8+lostJump || e.Content != "some of it" {
			t.Errorf("seq %d, %q", e.Seq, e.Content)
		}
	})
}
