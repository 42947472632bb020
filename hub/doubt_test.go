package hub

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
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
					r.hub = New(db, db, map[string]Provider{"sim": simProvider{s}}, opt)
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
				_, err := hubs[0].Ask(t.Context(), "u", Question{SessionID: &session, MessageID: &question, AnswerID: &answer, Content: &text, Model: "sim/m", ParentGiven: true})
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
	defer h.cancel(nil)
	if _, err := bus.Takeover(t.Context(), "s", "m", 3); err != nil {
		t.Fatal(err)
	}
	h.left = []*claimed{{Orphan: Orphan{Message: Message{ID: "m", SessionID: "s", Epoch: 2}}}}
	if _, err := h.settleLeft(t.Context()); err != nil || len(h.left) > 0 {
		t.Errorf("settle: %v, %d left", err, len(h.left))
	}
}
