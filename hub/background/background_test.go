package background

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestRetryWaitsLongerEachTime holds when a call is repeated, and when not any more.
func TestRetryWaitsLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(slog.New(slog.DiscardHandler))
		g.Jitter = func(d time.Duration) time.Duration { return d }
		began := time.Now()
		var at []time.Duration
		try := func() bool {
			at = append(at, time.Since(began))
			return len(at) == 5
		}
		if !g.Retry(t.Context(), time.Second, 3*time.Second, try) {
			t.Error("what was done counts as given up")
		}
		for i, want := range []time.Duration{0, 1, 3, 6, 9} {
			if at[i] != want*time.Second {
				t.Errorf("call %d comes after %s, want %d s", i, at[i], want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		calls := 0
		if g.Retry(ctx, time.Second, time.Second, func() bool { calls++; return false }) || calls != 2 {
			t.Errorf("after its context's end it was called %d times", calls)
		}
	})
}

func TestAPanicIsAnError(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	if err := Guarded(logger, "a test", func() error { panic("gone") }); err == nil || err.Error() != "a test: panic: gone" {
		t.Errorf("a panic is %v", err)
	}
	want := errors.New("an error")
	if err := Guarded(logger, "a test", func() error { return want }); !errors.Is(err, want) {
		t.Errorf("an error is %v", err)
	}
}

// TestAGroupEndsWhatItRuns has goroutines that run until the group ends.
func TestAGroupEndsWhatItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(slog.New(slog.DiscardHandler))
		ticks := 0
		g.Go(func() { Every(g.Context(), time.Second, func(time.Time) { ticks++ }) })
		time.Sleep(3500 * time.Millisecond)
		cause := errors.New("enough")
		g.End(cause)
		g.Wait()
		if ticks != 3 || !g.Ended() || !errors.Is(context.Cause(g.Context()), cause) {
			t.Errorf("%d ticks, ended %t by %v", ticks, g.Ended(), context.Cause(g.Context()))
		}
	})
}
