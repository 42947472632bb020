package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
	"github.com/omnichat/omnichat/hub/pace"
)

// slowJournal answers an append when it is told how.
type slowJournal struct {
	asked  chan []JournalEntry
	answer chan error
}

func (j slowJournal) Append(ctx context.Context, batch []JournalEntry) error {
	j.asked <- slices.Clone(batch)
	select {
	case err := <-j.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitBubble runs f with a committer on a journal that f answers for.
func commitBubble(t *testing.T, f func(t *testing.T, j slowJournal, st *stream)) {
	synctest.Test(t, func(t *testing.T) {
		j := slowJournal{asked: make(chan []JournalEntry, 100), answer: make(chan error)}
		c := newCommitter(&journalLedger{journal: j}, quietly())
		st := &stream{limit: AnswerMax, id: "m", epoch: 1, commits: c, bg: c.bg, feed: newFeed(Topic{Session: "s"}, newFlusher()), log: newLog(Message{ID: "m", SessionID: "s"})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.run(ctx)
		}()
		f(t, j, st)
		cancel()
		<-ended
	})
}

// shown is what viewers see.
func (st *stream) shown() string {
	synctest.Wait()
	st.feed.mu.Lock()
	defer st.feed.mu.Unlock()
	c := st.log.Content()
	return c.Of(eventlog.Text)
}

func text(batch []JournalEntry) string {
	var b strings.Builder
	for _, e := range batch {
		for _, r := range e.Deltas {
			b.WriteString(r.Text)
		}
		fmt.Fprintf(&b, "@%d ", e.Seq)
	}
	return b.String()
}

func TestTokensAreShownOnceTheJournalHasThem(t *testing.T) {
	commitBubble(t, func(t *testing.T, j slowJournal, st *stream) {
		st.say(eventlog.Text, "a")
		if got := st.shown(); got != "" {
			t.Errorf("shown before the journal has it: %q", got)
		}
		st.say(eventlog.Text, "b")
		st.say(eventlog.Text, "c") // these gather meanwhile
		j.answer <- nil
		if got := st.shown(); got != "a" {
			t.Errorf("shown %q", got)
		}
		j.answer <- nil
		if got := st.shown(); got != "abc" {
			t.Errorf("shown %q", got)
		}
		if first, second := text(<-j.asked), text(<-j.asked); first != "a@1 " || second != "bc@3 " {
			t.Errorf("batches %q, %q", first, second)
		}
	})
}

func TestAFailedAppendIsRepeatedAsItWas(t *testing.T) {
	commitBubble(t, func(t *testing.T, j slowJournal, st *stream) {
		st.say(eventlog.Text, "a")
		j.answer <- errors.New("busy")
		st.say(eventlog.Text, "b")
		j.answer <- nil
		j.answer <- nil
		if got := st.shown(); got != "ab" {
			t.Errorf("shown %q", got)
		}
		for _, want := range []string{"a@1 ", "a@1 ", "b@2 "} {
			if got := text(<-j.asked); got != want {
				t.Errorf("batch %q, want %q", got, want)
			}
		}
	})
}

func TestASilentJournalDelaysTokensByASecondAtMost(t *testing.T) {
	commitBubble(t, func(t *testing.T, j slowJournal, st *stream) {
		st.say(eventlog.Text, "a")
		time.Sleep(showAfter + time.Millisecond)
		if got := st.shown(); got != "a" {
			t.Errorf("after a second %q is shown", got)
		}
		st.say(eventlog.Text, "b")
		st.say(eventlog.Text, "c")
		if got := st.shown(); got != "abc" {
			t.Errorf("shown %q", got)
		}
		j.answer <- nil // it is back: all that was shown is shipped, once
		j.answer <- nil
		synctest.Wait() // until the committer knows that it is back
		st.say(eventlog.Text, "d")
		if got := st.shown(); got != "abc" {
			t.Errorf("shown %q before the journal has the last", got)
		}
		j.answer <- nil
		if got := st.shown(); got != "abcd" {
			t.Errorf("shown %q", got)
		}
		got := ""
		for range 3 {
			got += text(<-j.asked)
		}
		if got != "a@1 bc@3 d@4 " {
			t.Errorf("shipped %q", got)
		}
	})
}

func TestAStopDropsWhatWasNotShown(t *testing.T) {
	commitBubble(t, func(t *testing.T, j slowJournal, st *stream) {
		st.say(eventlog.Text, "a")
		synctest.Wait()
		st.say(eventlog.Text, "b")
		closed := make(chan bool)
		go func() { closed <- st.close(t.Context(), true) }()
		synctest.Wait()
		j.answer <- nil
		if ok := <-closed; !ok || st.shown() != "a" {
			t.Errorf("closed %v with %q", ok, st.shown())
		}
		if st.say(eventlog.Text, "c") {
			t.Error("a closed stream takes more")
		}
	})
}

// leasesOf are what the database confirms as owned.
type leasesOf []Ownership

func (l leasesOf) Renew(context.Context, string, Renewal) (int, error)         { return formatParts, nil }
func (l leasesOf) Release(context.Context, string) error                       { return nil }
func (l leasesOf) Owned(context.Context, string) ([]Ownership, error)          { return l, nil }
func (l leasesOf) UsedElsewhere(context.Context, string, UserID) (Used, error) { return Used{}, nil }

// TestLostLogIsOpenedWithAllChunks loses a log between two batches' chunks that
// nobody has been shown.
func TestLostLogIsOpenedWithAllChunks(t *testing.T) {
	for name, lose := range map[string]int{"before all": 0, "after the first": 1} {
		t.Run(name, func(t *testing.T) {
			shared := NewLocalBus()
			bus := shared.Client()
			bg := quietly()
			ledger := &sharedLedger{bus: bus, leases: leasesOf{{ID: "m", Epoch: 1}}, logger: bg.Logger}
			c := newCommitter(ledger, bg)
			st := &stream{limit: AnswerMax, id: "m", session: "s", epoch: 1, commits: c, bg: c.bg, feed: newFeed(Topic{Session: "s"}, newFlusher()), log: newLog(Message{ID: "m", SessionID: "s"}), head: encode(openHead{}), unopened: true}
			var chunks []*chunk
			for _, words := range [][]string{{"first "}, {"second ", "third "}, {"fourth"}} {
				for _, w := range words {
					st.say(eventlog.Text, w)
				}
				chunks = append(chunks, st.drain())
			}
			if refused, _, err := ledger.ship(t.Context(), chunks[:1], nil); err != nil || refused != nil {
				t.Fatal(refused, err)
			}
			chunks[0].open = false // its batch is tried again, or was shown
			if lose == 1 {
				show(chunks[:1])
			}
			shared.Break(true)
			if refused, _, err := ledger.ship(t.Context(), chunks[lose:], nil); err != nil || refused != nil {
				t.Fatal(refused, err)
			}
			show(chunks)
			tail, err := bus.Read(t.Context(), "s", "m", eventlog.FromStart)
			if err != nil {
				t.Fatal(err)
			}
			l := newLog(Message{ID: "m", SessionID: "s"})
			for _, p := range tail.Payloads {
				if b, err := eventlog.DecodeBatch(p); err != nil || !l.Extend(b) {
					t.Fatalf("batch %+v, %v", b, err)
				}
			}
			got, want := l.Content(), st.log.Content()
			if got.Of(eventlog.Text) != want.Of(eventlog.Text) || got.Seq != want.Seq {
				t.Errorf("the log says %q at %d, its owner shows %q at %d", got.Of(eventlog.Text), got.Seq, want.Of(eventlog.Text), want.Seq)
			}
		})
	}
}

// hiccup is a journal that is slow for a while.
type hiccup struct{ began time.Time }

func (j hiccup) Append(ctx context.Context, _ []JournalEntry) error {
	d := 2 * time.Millisecond
	if at := time.Since(j.began); at > time.Second && at < 3*time.Second {
		d = 2 * time.Second
	}
	pause(ctx, d)
	return nil
}

func TestHiccupOfTheJournalPassesUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommitter(&journalLedger{journal: hiccup{time.Now()}}, quietly())
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { c.run(ctx) })
		streams := make([]*stream, 100)
		for i := range streams {
			streams[i] = &stream{limit: AnswerMax, id: MessageID(rune('a' + i)), epoch: 1, commits: c, bg: c.bg, feed: newFeed(Topic{Session: "s"}, newFlusher()), log: newLog(Message{ID: "m"})}
		}
		was := false
		for n := range 16_000 { // 8 s of a token each half millisecond
			streams[n%len(streams)].say(eventlog.Text, "x")
			time.Sleep(500 * time.Microsecond)
			was = was || c.late.Load()
		}
		if !was || c.late.Load() {
			t.Errorf("late was %v and is %v", was, c.late.Load())
		}
		cancel()
		run.Wait()
	})
}

// quickJournal has everything at once.
type quickJournal struct{}

func (quickJournal) Append(context.Context, []JournalEntry) error { return nil }

// TestAReaderWithoutNewsHoldsUpNobody is one that was let and finds nothing,
// while others of few or many streams have something to show.
func TestAReaderWithoutNewsHoldsUpNobody(t *testing.T) {
	for _, n := range []int{10, 100, 1000} {
		synctest.Test(t, func(t *testing.T) {
			c := newCommitter(&journalLedger{journal: quickJournal{}}, quietly())
			streams := make([]*stream, n)
			for i := range streams {
				id := MessageID(itoa(int64(i)))
				streams[i] = &stream{limit: AnswerMax, id: id, epoch: 1, commits: c, bg: c.bg, feed: newFeed(Topic{Session: "s"}, newFlusher()), log: newLog(Message{ID: id, SessionID: "s"})}
			}
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { c.run(ctx) })
			running.Go(func() {
				// It never comes back.
				r := pace.Of(pace.With(ctx, c.shifts, 0))
				for let := false; ctx.Err() == nil && !let; time.Sleep(time.Millisecond) {
					let = r.Waits()
					r.Wait()
				}
			})
			want := ""
			for range 20 {
				want += "x"
				for _, st := range streams {
					st.say(eventlog.Text, "x")
				}
				time.Sleep(75 * time.Millisecond) // in which every group has its turn
				if got := streams[0].shown(); got != want {
					t.Fatalf("of %d streams one shows %d tokens of %d", n, len(got), len(want))
				}
			}
			cancel()
			running.Wait()
		})
	}
}
