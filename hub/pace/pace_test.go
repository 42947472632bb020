package pace

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// readerIn is of what reads in one of the groups.
func readerIn(t *testing.T, all *Shifts, group uint64) *Reader {
	t.Helper()
	return Of(With(t.Context(), all, group))
}

// restEach is what the hub rests for each stream.
const restEach = 250 * time.Microsecond

// TestReadersWorkInShiftsUnderLoad holds that every reader gets its shift while
// appends follow each other, and while the log does not answer at all.
func TestReadersWorkInShiftsUnderLoad(t *testing.T) {
	for _, streams := range []int{1, 20, 200, 2000} {
		synctest.Test(t, func(t *testing.T) {
			all := New()
			long, paced := all.Rest(streams, restEach)
			if streams == 1 {
				began := time.Now()
				if readerIn(t, all, 0).Wait(); paced || time.Since(began) > 0 {
					t.Error("a reader of a hub with one stream waits")
				}
				return
			}
			if !paced || long > restGroup*groups {
				t.Errorf("%d streams rest for %s, their readers work in shifts: %t", streams, long, paced)
			}
			waited := make(chan time.Duration, groups)
			for group := range uint64(groups) {
				go func() {
					began := time.Now()
					readerIn(t, all, group).Wait()
					waited <- time.Since(began)
				}()
			}
			synctest.Wait()
			for next := long; len(waited) < groups; synctest.Wait() {
				time.Sleep(next)
				_, next = all.Step()
			}
			for range groups {
				if took := <-waited; took > groups*restFull {
					t.Errorf("of %d streams one waits %s for its shift", streams, took)
				}
			}
		})
	}
}

// TestAppendAwaitsWhoseShiftItIs holds that what is read in a shift can be in one
// append: it is told when all have read, and waits for nobody else.
func TestAppendAwaitsWhoseShiftItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := New()
		all.Rest(200, restEach)
		over := func() bool {
			synctest.Wait()
			select {
			case <-all.AllRead():
				return true
			default:
				return false
			}
		}
		let := make(chan *Reader, 3)
		for group := range uint64(3) {
			go func() {
				p := readerIn(t, all, group)
				p.Wait()
				let <- p
			}()
		}
		synctest.Wait()
		all.Step() // of 200 streams all have their shift at once
		first, second, third := <-let, <-let, <-let
		if over() {
			t.Error("the shift is over before anyone has read")
		}
		first.Back()
		first.Back()
		go second.Wait() // for the next one
		if over() {
			t.Error("the shift is over although one reads still")
		}
		third.Back()
		if !over() {
			t.Error("the shift is not over although all have read")
		}
		all.Step()
		synctest.Wait()
		second.Back()
		if !over() {
			t.Error("the next shift, of one reader, is not over")
		}
		if all.Step(); !over() {
			t.Error("a shift of nobody is not over")
		}
	})
}

// TestReadersAreLetGo is a load that ends.
func TestReadersAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := New()
		all.Rest(200, restEach)
		done := make(chan struct{})
		go func() { readerIn(t, all, 2).Wait(); close(done) }()
		synctest.Wait()
		var took time.Duration
		appends := 0
		for paced := true; paced && took < time.Minute; appends++ {
			_, next := all.Step()
			took += next
			_, paced = all.Rest(1, restEach)
		}
		if appends <= groups {
			t.Errorf("%d appends of few tokens end the shifts", appends)
		}
		if took > time.Second {
			t.Errorf("one stream that is left works in shifts for %s", took)
		}
		<-done
		if (&Reader{}).Waits() || Of(context.Background()).Waits() {
			t.Error("who is in no group waits for a shift")
		}
	})
}

// TestShiftsFollowTheLoad holds that one late or partial append changes nothing:
// as many streams read at a time as before, and as often.
func TestShiftsFollowTheLoad(t *testing.T) {
	for _, streams := range []int{100, 300, 1000} {
		for name, odd := range map[string]func(all *Shifts, each int){
			"none":     func(*Shifts, int) {},
			"leftover": func(all *Shifts, _ int) { all.Rest(3, restEach) },
			"late": func(all *Shifts, each int) { // what two shifts have read is one append
				all.Step()
				all.Rest(2*each, restEach)
			},
			"stalled": func(all *Shifts, _ int) { // for a round
				for range groups {
					all.Step()
				}
				all.Rest(streams, restEach)
			},
		} {
			all := New()
			all.Rest(streams, restEach)
			round := func() {
				all.Step()
				all.Rest(streams*all.had/groups, restEach)
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
