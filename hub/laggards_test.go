package hub

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
	"github.com/omnichat/omnichat/hub/room"
)

// watchFrom follows an answer at a replica until ctx ends.
func (r *simReplica) watchFrom(ctx context.Context, t *testing.T, id MessageID) (v *simViewer, wait func()) {
	t.Helper()
	x, err := r.hub.Attach(ctx, as("u"), id, eventlog.SSE, eventlog.NoPosition)
	if err != nil {
		t.Fatal(err)
	}
	v = &simViewer{seq: eventlog.NoPosition, upTo: 2 * lostJump}
	done := make(chan struct{})
	go func() {
		follow(ctx, x, v.Write)
		close(done)
	}()
	return v, func() { <-done }
}

// askAt asks a replica.
func (r *simReplica) askAt(t *testing.T, n int) MessageID {
	t.Helper()
	session, answer, question, text := SessionID("s"), MessageID(fmt.Sprint("a", n)), MessageID(fmt.Sprint("u", n)), "q"
	q := Question{SessionID: &session, MessageID: &question, AnswerID: &answer, Content: &text, Model: "sim/m", ParentGiven: true}
	if _, err := r.hub.Ask(t.Context(), as("u"), q); err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestOneLogThatRefusesHoldsNobodyUp has the log of one answer refuse: the owner
// still shows it, others are shown everywhere without a pause, and it comes back
// whole.
func TestOneLogThatRefusesHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		s.bus.send = (*localClient).push
		s.answers = true // one that is lost would hold up all streams for a moment
		for _, r := range s.replicas {
			r.hub.catalogue.vendors = Fixed{"sim": drip{}}
			if err := r.hub.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(7 * time.Second)
		owner, other := s.replicas[0], s.replicas[1]
		for _, id := range []MessageID{owner.askAt(t, 0), owner.askAt(t, 1)} {
			defer owner.hub.streams.of(id).cancel(errStopped)
		}
		ctx, cancel := context.WithCancel(t.Context())
		type place struct {
			r  *simReplica
			id MessageID
		}
		viewers := map[place]*simViewer{}
		var waits []func()
		for _, r := range []*simReplica{owner, other} {
			for _, id := range []MessageID{"a0", "a1"} {
				v, wait := r.watchFrom(ctx, t, id)
				viewers[place{r, id}] = v
				waits = append(waits, wait)
			}
		}
		refuse := func(id MessageID) { s.mu.Lock(); s.refuses = id; s.mu.Unlock() }
		at := func(r *simReplica, id MessageID) (seq int64, text string) {
			synctest.Wait()
			v := viewers[place{r, id}]
			v.mu.Lock()
			defer v.mu.Unlock()
			return v.seq, v.text
		}
		seq := func(r *simReplica, id MessageID) int64 { seq, _ := at(r, id); return seq }
		grows := func(when string, moves bool, r *simReplica, id MessageID) {
			t.Helper()
			before := seq(r, id)
			time.Sleep(300 * time.Millisecond)
			if n := seq(r, id) - before; (n >= 5) != moves {
				t.Errorf("%s: %s went on by %d at %s", when, id, n, r.name)
			}
		}
		time.Sleep(2 * time.Second)
		refuse("a0")
		time.Sleep(100 * time.Millisecond)
		for second := range 20 {
			when := fmt.Sprintf("refused for %d s", second)
			grows(when, true, owner, "a0")
			grows(when, false, other, "a0")
			grows(when, true, other, "a1")
			if owner.hub.commits.late.Load() {
				t.Fatalf("%s: the whole log is said to be late", when)
			}
		}
		refuse("")
		time.Sleep(1500 * time.Millisecond)
		here, said := at(owner, "a0")
		there, heard := at(other, "a0")
		if here-there > 1 || here < 100 {
			t.Errorf("afterwards the owner shows %d events, the other replica %d", here, there)
		}
		if !strings.HasPrefix(said, heard) {
			t.Errorf("the other replica shows %q, the owner %q", heard, said)
		}
		cancel()
		for _, wait := range waits {
			wait()
		}
		for _, v := range viewers {
			if v.err != nil || v.torn {
				t.Errorf("%v, taken back %v", v.err, v.torn)
			}
		}
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}

// awayBus is a bus that does not answer.
type awayBus struct {
	Bus
	err error // nil: it hangs
}

func (b awayBus) Ship(ctx context.Context, _ []Batch) ([]error, error) {
	if b.err == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, b.err
}

func (b awayBus) Up() error { return errSimAway }

// keptLedger makes the checkpoints of one stream, and counts their chunks.
type keptLedger struct {
	sharedLedger
	stream *stream
	most   int
}

func (l *keptLedger) keep(_ context.Context, batch []*chunk, _ bool) error {
	l.most = max(l.most, len(batch))
	l.stream.checkpoint(batch)
	return nil
}

// outage is a committer whose log is away, and a stream.
func outage(ctx context.Context, err error) (c *committer, st *stream, wait func()) {
	bg := quietly()
	ledger := &keptLedger{sharedLedger: sharedLedger{bus: awayBus{err: err}, logger: bg.Logger, holds: func() bool { return true }}}
	c = newCommitter(ledger, bg)
	st = &stream{limit: AnswerMax, held: room.New[UserID](AnswerMax, AnswerMax), id: "m", session: "s", epoch: 1, commits: c, bg: c.bg, feed: newFeed(Topic{Session: "s"}, newFlusher()), log: newLog(Message{ID: "m", SessionID: "s"}), head: encode(openHead{})}
	ledger.stream = st
	done := make(chan struct{})
	go func() {
		c.run(ctx)
		close(done)
	}()
	return c, st, func() { <-done }
}

// TestNothingIsHeldOfWhatWasKeptWhileTheBusIsAway counts what the committer holds
// after an outage, by the steps of the next checkpoint.
func TestNothingIsHeldOfWhatWasKeptWhileTheBusIsAway(t *testing.T) {
	for name, err := range map[string]error{"refuses": errors.New("no connection"), "hangs": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				c, st, wait := outage(ctx, err)
				for range 2000 {
					st.say(eventlog.Text, "token ")
					time.Sleep(5 * time.Millisecond)
				}
				time.Sleep(2 * time.Second)
				if got := st.shown(); got != strings.Repeat("token ", 2000) {
					t.Errorf("%d bytes are shown", len(got))
				}
				if most := c.ledger.(*keptLedger).most; most > 400 { // of the first second, while nobody knows that it is away
					t.Errorf("a checkpoint had %d chunks", most)
				}
				cancel()
				wait()
			})
		})
	}
}

// BenchmarkBusAway is the time for 50 tokens after an outage of so many.
func BenchmarkBusAway(b *testing.B) {
	for _, before := range []int{40_000, 280_000} {
		b.Run(fmt.Sprintf("after %d tokens", before), func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			c, st, wait := outage(ctx, errors.New("no connection"))
			c.late.Store(true)
			say := func(n int) {
				for range n {
					st.say(eventlog.Text, "token ")
					for {
						st.mu.Lock()
						shown := st.inflight == 0 && len(st.pending) == 0
						st.mu.Unlock()
						if shown {
							break
						}
						runtime.Gosched()
					}
				}
			}
			say(before)
			for b.Loop() {
				say(50)
			}
			cancel()
			wait()
		})
	}
}
