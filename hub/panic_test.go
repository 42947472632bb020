package hub

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// faulty panics where it is told to.
type faulty struct {
	simDB
	Bus
	at atomic.Value // the name of a call
}

func (f *faulty) do(call string) {
	if f.at.Load() == call {
		panic(call)
	}
}

func (f *faulty) Prices(ctx context.Context) ([]ModelPrice, error) {
	f.do("Prices")
	return f.simDB.Prices(ctx)
}

func (f *faulty) Versions(ctx context.Context, s []SessionID, u []UserID) (map[SessionID]int64, map[UserID]int64, error) {
	f.do("Versions")
	return f.simDB.Versions(ctx, s, u)
}

func (f *faulty) Owned(ctx context.Context, replica string) ([]Ownership, error) {
	f.do("Owned")
	return f.simDB.Owned(ctx, replica)
}

func (f *faulty) Publish(ctx context.Context, t Topic, p []byte) (int, error) {
	f.do("Publish")
	return f.Bus.Publish(ctx, t, p)
}

func (f *faulty) Read(ctx context.Context, s SessionID, id MessageID, after int64) (Tail, error) {
	f.do("Read")
	return f.Bus.Read(ctx, s, id, after)
}

func (f *faulty) Run(ctx context.Context, c BusClient) {
	f.Bus.Run(ctx, faultyClient{c, f})
}

// faultyClient is the hub that panics when it is told something.
type faultyClient struct {
	BusClient
	f *faulty
}

func (c faultyClient) Receive(t Topic, payload []byte) {
	c.f.do("Receive")
	c.BusClient.Receive(t, payload)
}

// panickySink panics at every write.
type panickySink struct{ ended chan struct{} }

func (panickySink) Write([]byte) bool { panic("write") }

func (s panickySink) End() { close(s.ended) }

// TestAPanicEndsOneThing has something panic while an answer runs: the process,
// the answer and everyone who follows it elsewhere go on.
func TestAPanicEndsOneThing(t *testing.T) {
	for _, call := range []string{"Write", "Prices", "Versions", "Owned", "Publish", "Read", "Receive"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1)
				s.bus.send = (*localClient).push
				var faults []*faulty
				for _, r := range s.replicas {
					f := &faulty{simDB: simDB{s.store, r}, Bus: simBus{Bus: r.bus, r: r}}
					f.at.Store("")
					faults = append(faults, f)
					r.hub = New(f, f, Fixed{"sim": simProvider{s}}, Options{Replica: r.name, Bus: f, Leases: f, Logger: slog.New(slog.DiscardHandler)})
					if err := r.hub.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				session, answer, question, text := SessionID("s"), MessageID("a"), MessageID("u"), "q"
				q := Question{SessionID: &session, MessageID: &question, AnswerID: &answer, Content: &text, Model: "sim/m", ParentGiven: true}
				if _, err := s.replicas[0].hub.Ask(t.Context(), as("u"), q); err != nil {
					t.Fatal(err)
				}
				var viewers []*simViewer
				done := make(chan struct{})
				for _, r := range s.replicas[:2] {
					v, err := r.hub.Attach(t.Context(), as("u"), answer, eventlog.SSE, eventlog.NoPosition)
					if err != nil {
						t.Fatal(err)
					}
					sink := &simViewer{seq: eventlog.NoPosition, upTo: lostJump}
					viewers = append(viewers, sink)
					go func() {
						follow(t.Context(), v, sink.Write)
						done <- struct{}{}
					}()
				}
				if call == "Write" {
					v, err := s.replicas[0].hub.Attach(t.Context(), as("u"), answer, eventlog.SSE, eventlog.NoPosition)
					if err != nil {
						t.Fatal(err)
					}
					sink := panickySink{make(chan struct{})}
					v.Start(sink)
					<-sink.ended
					v.Close()
				}
				for _, f := range faults {
					f.at.Store(call)
				}
				if call != "Prices" {
					time.Sleep(3 * time.Second)
					for _, f := range faults {
						f.at.Store("")
					}
				}
				<-done
				<-done
				m := s.stored(answer)
				for i, v := range viewers {
					if v.err != nil || !v.end || v.text != m.Content || v.text != simWhole {
						t.Errorf("viewer %d: %v, ended %v with %d bytes of %d", i, v.err, v.end, len(v.text), len(simWhole))
					}
				}
				if m.Status == StatusStreaming || m.Status == StatusInterrupted || !strings.HasPrefix(simWhole, m.Content) {
					t.Errorf("stored is %s", m.Status)
				}
				for _, r := range s.replicas {
					r.hub.Close()
				}
			})
		})
	}
}
