package hub

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// burst is a provider that says a long word and ends.
type burst struct{ Provider }

func (burst) Stream(context.Context, Prompt) iter.Seq2[Delta, error] {
	return func(yield func(Delta, error) bool) {
		if yield(Delta{Text: strings.Repeat("word ", 4000)}, nil) {
			yield(Delta{Finish: ReasonStop}, nil)
		}
	}
}

// TestForgottenStreamsAreHeldByNothing has waves of answers end, some with
// viewers that hang up, and looks for their logs when their time is over, while
// a viewer still follows the session on every replica.
func TestForgottenStreamsAreHeldByNothing(t *testing.T) {
	for name, replicas := range map[string]int{"of one replica": 1, "of three": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1)
				s.bus.send = (*localClient).push
				s.replicas = s.replicas[:replicas]
				for _, r := range s.replicas {
					if db := (simDB{s.store, r}); replicas == 1 {
						r.hub = New(db, db, nil, Options{Replica: r.name, Logger: slog.New(slog.DiscardHandler)})
					}
					r.hub.catalogue.vendors = Fixed{"sim": burst{}}
					if err := r.hub.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
					v, err := r.hub.Connect(t.Context(), as("u"), eventlog.Lines)
					if err == nil {
						err = v.Subscribe(t.Context(), 1, "s", nil)
					}
					if err != nil {
						t.Fatal(err)
					}
					defer v.Close()
					go follow(t.Context(), v, func([]byte) error { return nil })
				}
				var logs []weak.Pointer[liveLog]
				for wave := range 3 {
					for n := range 20 {
						session, answer, question, text := SessionID("s"), MessageID(fmt.Sprint("a", wave, "-", n)), MessageID(fmt.Sprint("u", wave, "-", n)), "q"
						q := Question{SessionID: &session, MessageID: &question, AnswerID: &answer, Content: &text, Model: "sim/m", ParentGiven: true}
						h := s.replicas[n%replicas].hub
						if _, err := h.Ask(t.Context(), as("u"), q); err != nil {
							t.Fatal(err)
						}
						if v, err := h.Attach(t.Context(), as("u"), answer, eventlog.SSE, eventlog.NoPosition); err == nil {
							v.Start(&testSink{write: func([]byte) error { return errMovedOn }, done: make(chan struct{})})
							v.Close()
						}
					}
					time.Sleep(5 * time.Second)
					for _, r := range s.replicas {
						f := r.hub.feeds.of(Topic{Session: "s"})
						f.mu.Lock()
						for _, l := range f.streams {
							logs = append(logs, weak.Make(l))
						}
						f.mu.Unlock()
					}
					time.Sleep(2 * time.Minute)
				}
				if len(logs) != 3*20*replicas {
					t.Fatalf("%d logs were seen", len(logs))
				}
				runtime.GC()
				held := 0
				for _, l := range logs {
					if l.Value() != nil {
						held++
					}
				}
				if held > 0 {
					t.Errorf("%d of %d forgotten logs are still held", held, len(logs))
				}
				for _, r := range s.replicas {
					r.hub.Close()
				}
			})
		})
	}
}
