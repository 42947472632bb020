package hub

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// paceIn is of what reads in one of the groups.
func paceIn(t *testing.T, all *turns, group uint64) *Pace {
	t.Helper()
	return PaceOf(withTurns(t.Context(), all, group))
}

// TestReadersTakeTurnsUnderLoad holds that every reader gets its turn while
// appends follow each other, and while the log does not answer at all.
func TestReadersTakeTurnsUnderLoad(t *testing.T) {
	for _, streams := range []int{1, 20, 200, 2000} {
		synctest.Test(t, func(t *testing.T) {
			all := newTurns()
			long, paced := all.rest(streams, restEach)
			if streams == 1 {
				began := time.Now()
				if paceIn(t, all, 0).Wait(); paced || time.Since(began) > 0 {
					t.Error("a reader of a hub with one stream waits")
				}
				return
			}
			if !paced || long > restGroup*groups {
				t.Errorf("%d streams rest for %s, their readers take turns: %t", streams, long, paced)
			}
			waited := make(chan time.Duration, groups)
			for group := range uint64(groups) {
				go func() {
					began := time.Now()
					paceIn(t, all, group).Wait()
					waited <- time.Since(began)
				}()
			}
			synctest.Wait()
			for next := long; len(waited) < groups; synctest.Wait() {
				time.Sleep(next)
				_, next = all.step()
			}
			for range groups {
				if took := <-waited; took > groups*restFull {
					t.Errorf("of %d streams one waits %s for its turn", streams, took)
				}
			}
		})
	}
}

// TestAppendAwaitsWhoseTurnItIs holds that what is read in a turn can be in one
// append: it is told when all have read, and waits for nobody else.
func TestAppendAwaitsWhoseTurnItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newTurns()
		all.rest(200, restEach)
		over := func() bool {
			synctest.Wait()
			select {
			case <-all.all:
				return true
			default:
				return false
			}
		}
		let := make(chan *Pace, 3)
		for group := range uint64(3) {
			go func() {
				p := paceIn(t, all, group)
				p.Wait()
				let <- p
			}()
		}
		synctest.Wait()
		all.step() // of 200 streams all have their turn at once
		first, second, third := <-let, <-let, <-let
		if over() {
			t.Error("the turn is over before anyone has read")
		}
		first.Back()
		first.Back()
		go second.Wait() // for the next one
		if over() {
			t.Error("the turn is over although one reads still")
		}
		third.Back()
		if !over() {
			t.Error("the turn is not over although all have read")
		}
		all.step()
		synctest.Wait()
		second.Back()
		if !over() {
			t.Error("the next turn, of one reader, is not over")
		}
		if all.step(); !over() {
			t.Error("a turn of nobody is not over")
		}
	})
}

// TestReadersAreLetGo is a load that ends.
func TestReadersAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newTurns()
		all.rest(200, restEach)
		done := make(chan struct{})
		go func() { paceIn(t, all, 2).Wait(); close(done) }()
		synctest.Wait()
		var took time.Duration
		appends := 0
		for paced := true; paced && took < time.Minute; appends++ {
			_, next := all.step()
			took += next
			_, paced = all.rest(1, restEach)
		}
		if appends <= groups {
			t.Errorf("%d appends of few tokens end the turns", appends)
		}
		if took > time.Second {
			t.Errorf("one stream that is left takes turns for %s", took)
		}
		<-done
		if (&Pace{}).Waits() || PaceOf(context.Background()).Waits() {
			t.Error("who is in no group waits for a turn")
		}
	})
}

// TestTurnsFollowTheLoad holds that one late or partial append changes nothing:
// as many streams read at a time as before, and as often.
func TestTurnsFollowTheLoad(t *testing.T) {
	for _, streams := range []int{100, 300, 1000} {
		for name, odd := range map[string]func(all *turns, each int){
			"none":     func(*turns, int) {},
			"leftover": func(all *turns, _ int) { all.rest(3, restEach) },
			"late": func(all *turns, each int) { // what two turns have read is one append
				all.step()
				all.rest(2*each, restEach)
			},
			"stalled": func(all *turns, _ int) { // for a round
				for range groups {
					all.step()
				}
				all.rest(streams, restEach)
			},
		} {
			all := newTurns()
			all.rest(streams, restEach)
			round := func() {
				all.step()
				all.rest(streams*all.had/groups, restEach)
			}
			for range 20 {
				round()
			}
			wide, period := all.wide, all.period
			for range 20 {
				for _, do := range []func(){func() { odd(all, streams*all.had/groups) }, round, round, round} {
					do()
					if all.wide > wide || all.period > 2*period || 2*all.period < period {
						t.Fatalf("%d streams, %s: %d groups every %s, instead of %d every %s", streams, name, all.wide, all.period, wide, period)
					}
				}
			}
			if all.load < streams*3/4 || all.load > 2*streams {
				t.Errorf("%d streams, %s: taken for %d", streams, name, all.load)
			}
		}
	}
}

// quickJournal has everything at once.
type quickJournal struct{}

func (quickJournal) Append(context.Context, []JournalEntry) error { return nil }

// TestAReaderWithoutNewsHoldsUpNobody is one that was let and finds nothing,
// while others of few or many streams have something to show.
func TestAReaderWithoutNewsHoldsUpNobody(t *testing.T) {
	for _, n := range []int{10, 100, 1000} {
		synctest.Test(t, func(t *testing.T) {
			c := newCommitter(quickJournal{}, nil, slog.New(slog.DiscardHandler))
			streams := make([]*stream, n)
			for i := range streams {
				id := MessageID(itoa(int64(i)))
				streams[i] = &stream{limit: AnswerMax, id: id, epoch: 1, commits: c, feed: newFeed("s", ""), log: newLog(Message{ID: id, SessionID: "s"})}
			}
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { c.run(ctx) })
			running.Go(func() {
				// It never comes back.
				for p := paceIn(t, c.turns, 0); ctx.Err() == nil && p.turn.Load() == nil; time.Sleep(time.Millisecond) {
					p.Wait()
				}
			})
			want := ""
			for range 20 {
				want += "x"
				for _, st := range streams {
					st.push("x", false)
				}
				time.Sleep(groups*restFull + readMax)
				if got := streams[0].shown(); got != want {
					t.Fatalf("of %d streams one shows %d tokens of %d", n, len(got), len(want))
				}
			}
			cancel()
			running.Wait()
		})
	}
}
