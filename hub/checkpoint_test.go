package hub

import (
	"context"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// drip is a provider that says a word every 50 ms.
type drip struct{}

func (drip) Models(context.Context) ([]Model, error) { return nil, nil }

func (drip) Stream(ctx context.Context, _ Prompt) iter.Seq2[Delta, error] {
	return func(yield func(Delta, error) bool) {
		for i := 0; pause(ctx, 50*time.Millisecond); i++ {
			if !yield(Delta{Text: simWord(i)}, nil) {
				return
			}
		}
		yield(Delta{}, ctx.Err())
	}
}

// TestOwnerDiesAsItsLogIsLost kills the owner of an answer and empties the bus
// at one moment: what was shown up to the last checkpoint is kept.
func TestOwnerDiesAsItsLogIsLost(t *testing.T) {
	for name, storeAway := range map[string]time.Duration{"with the database": 0, "soon after the database was away": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1)
				s.bus.send = (*localClient).push
				for _, r := range s.replicas {
					r.hub.catalogue.vendors = Fixed{"sim": drip{}}
					if err := r.hub.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(7 * time.Second)
				session, answer, question, text := SessionID("s"), MessageID("a0"), MessageID("u0"), "q"
				q := Question{SessionID: &session, MessageID: &question, AnswerID: &answer, Content: &text, Model: "sim/m", ParentGiven: true}
				if _, err := s.replicas[0].hub.Ask(t.Context(), as("u"), q); err != nil {
					t.Fatal(err)
				}
				owner, gone := context.WithCancel(t.Context())
				before := &simViewer{seq: eventlog.NoPosition, upTo: lostJump * 2}
				after := &simViewer{seq: eventlog.NoPosition, upTo: lostJump * 2}
				done := make(chan struct{})
				for i, sink := range []*simViewer{before, after} {
					ctx := t.Context()
					if i == 0 {
						ctx = owner
					}
					v, err := s.replicas[i].hub.Attach(ctx, as("u"), answer, eventlog.SSE, eventlog.NoPosition)
					if err != nil {
						t.Fatal(err)
					}
					go func() {
						follow(ctx, v, sink.Write)
						done <- struct{}{}
					}()
				}
				away := func(is bool) { s.mu.Lock(); s.store.away = is; s.mu.Unlock() }
				time.Sleep(3500 * time.Millisecond)
				away(storeAway > 0)
				time.Sleep(storeAway)
				away(false)
				time.Sleep(calmCheckpointEach + 100*time.Millisecond)
				died := time.Now()
				s.mu.Lock()
				s.replicas[0].dead = true
				s.mu.Unlock()
				s.bus.Break(true)
				gone()
				<-done
				<-done
				m := s.stored(answer)
				if m.Status != StatusInterrupted || !strings.HasPrefix(before.text, m.Content) || after.err != nil || !after.end || after.text != m.Content {
					t.Errorf("shown were %d bytes, stored is %s with %d, elsewhere %d are shown, %v", len(before.text), m.Status, len(m.Content), len(after.text), after.err)
				}
				if m.Seq <= lostJump || len(m.Content) == len(before.text) {
					t.Errorf("the log was not lost: %d of %d bytes, seq %d", len(m.Content), len(before.text), m.Seq)
				}
				for _, w := range before.shown {
					if w.bytes > len(m.Content) && died.Sub(w.at) > calmCheckpointEach+50*time.Millisecond {
						t.Errorf("%d bytes are stored of %d that were shown %s before", len(m.Content), w.bytes, died.Sub(w.at))
					}
				}
				for _, r := range s.replicas {
					r.hub.Close()
				}
			})
		})
	}
}
