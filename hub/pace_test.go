package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestReadersTakeTurnsUnderLoad holds that every reader gets its turn while
// appends follow each other, and while the log does not answer at all.
func TestReadersTakeTurnsUnderLoad(t *testing.T) {
	for _, streams := range []int{1, 20, 200, 2000} {
		synctest.Test(t, func(t *testing.T) {
			var all turns
			long, read := all.rest(streams, restEach)
			if streams == 1 {
				if began := time.Now(); read != 0 {
					t.Error("readers of a hub with one stream take turns")
				} else if all.groups[0].Wait(t.Context()); time.Since(began) > 0 {
					t.Error("a reader of a hub with one stream waits")
				}
				return
			}
			if long > restGroup*groups || read <= 0 || read > long {
				t.Errorf("%d streams rest for %s, and their readers for %s", streams, long, read)
			}
			waited := make(chan time.Duration, groups)
			for group := range uint64(groups) {
				go func() {
					began := time.Now()
					all.groups[group].Wait(t.Context())
					waited <- time.Since(began)
				}()
			}
			synctest.Wait()
			for next := read; len(waited) < groups; synctest.Wait() {
				time.Sleep(next)
				next = all.step()
			}
			for range groups {
				if took := <-waited; took > groups*restGroup {
					t.Errorf("of %d streams one waits %s for its turn", streams, took)
				}
			}
		})
	}
}

// TestReadersAreLetGo is a load that ends, a hub that closes and a stop.
func TestReadersAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		all.rest(200, restEach)
		ctx, stop := context.WithCancel(withTurns(t.Context(), &all, 1))
		done := make(chan string, 2)
		go func() { PaceOf(ctx).Wait(ctx); done <- "stopped" }()
		go func() { all.groups[2].Wait(t.Context()); done <- "let go" }()
		synctest.Wait()
		stop()
		if got := <-done; got != "stopped" {
			t.Errorf("the reader of another stream was %s", got)
		}
		if _, read := all.rest(1, restEach); read != 0 {
			t.Error("readers take turns although one stream is left")
		}
		if got := <-done; got != "let go" {
			t.Errorf("the reader was %s twice", got)
		}
	})
}
