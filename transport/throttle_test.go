package transport

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// Unforgiving returns options with which failed logins are never forgotten.
func Unforgiving(opt Options) Options {
	opt.now = func() time.Time { return time.Unix(0, 0) }
	return opt
}

// TestThrottleCountsWhatIsUnderWay holds that guesses at once are no more than
// guesses one after another.
func TestThrottleCountsWhatIsUnderWay(t *testing.T) {
	for name, wrong := range map[string]bool{"wrong": true, "right": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				th := newThrottle(time.Hour, 10, time.Now)
				var mu sync.Mutex
				passed, refused, running, most := 0, 0, 0, 0
				var wg sync.WaitGroup
				for range 60 {
					wg.Go(func() {
						leave, err := th.enter(t.Context(), "ann")
						mu.Lock()
						defer mu.Unlock()
						if err != nil {
							if hub.CodeOf(err) != hub.CodeRateLimited {
								t.Error(err)
							}
							refused++
							return
						}
						passed++
						running++
						most = max(most, running)
						mu.Unlock()
						time.Sleep(time.Millisecond) // the hashing
						mu.Lock()
						running--
						leave(wrong)
					})
				}
				wg.Wait()
				want := 60
				if wrong {
					want = 10
				}
				if passed != want || refused != 60-want || most > 10 {
					t.Errorf("%d passed, %d refused, %d at once; want %d and %d", passed, refused, most, want, 60-want)
				}
			})
		})
	}
}

// fail tries a key, and fails if it may try.
func (t *throttle) fail(tb testing.TB, key string) error {
	leave, err := t.enter(tb.Context(), key)
	if err == nil {
		leave(true)
	}
	return err
}

func TestThrottleForgets(t *testing.T) {
	now := time.Unix(0, 0)
	th := newThrottle(2*time.Second, 3, func() time.Time { return now })
	for range 3 {
		if err := th.fail(t, "a"); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Second)
	var e *hub.Error
	if err := th.fail(t, "a"); !errors.As(err, &e) || e.RetryAfter != time.Second {
		t.Errorf("a second later: %v, want a wait of another", err)
	}
	if err := th.fail(t, "b"); err != nil {
		t.Errorf("another key: %v", err)
	}
	now = now.Add(time.Second)
	if err := th.fail(t, "a"); err != nil {
		t.Errorf("when one is forgotten: %v", err)
	}
	if err := th.fail(t, "a"); hub.CodeOf(err) != hub.CodeRateLimited {
		t.Errorf("and no more: %v", err)
	}
	now = now.Add(time.Hour)
	for range throttleMax + 10 {
		if err := th.fail(t, hub.NewID()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(th.keys); n > throttleMax {
		t.Errorf("%d keys are remembered", n)
	}
}

// TestThrottleRemembersWhoFailedMost holds that nobody gets a key forgotten that
// has failed often by trying many others.
func TestThrottleRemembersWhoFailedMost(t *testing.T) {
	th := newThrottle(time.Hour, 3, func() time.Time { return time.Unix(0, 0) })
	for range 3 {
		if err := th.fail(t, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 * throttleMax {
		if err := th.fail(t, hub.NewID()); err != nil {
			t.Fatal(err)
		}
	}
	if err := th.fail(t, "ann"); hub.CodeOf(err) != hub.CodeRateLimited {
		t.Errorf("after many others: %v", err)
	}
	if n := len(th.keys); n > throttleMax {
		t.Errorf("%d keys are remembered", n)
	}
}

func TestThrottleLetsNobodyWaitForEver(t *testing.T) {
	th := newThrottle(time.Hour, 1, time.Now)
	leave, err := th.enter(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := th.enter(ctx, "ann"); hub.CodeOf(err) != hub.CodeInternal {
		t.Errorf("a waiting one whose client left: %v", err)
	}
	leave(false)
	if _, err := th.enter(t.Context(), "ann"); err != nil {
		t.Error(err)
	}
}

// TestThrottleSaysWhyNobodyGotIn holds that who waited for those before without
// getting in is told so, as it is no failure of the server's.
func TestThrottleSaysWhyNobodyGotIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(time.Second, 1, time.Now)
		leave, err := th.enter(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		defer leave(false)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if _, err := th.enter(ctx, "ann"); hub.CodeOf(err) != hub.CodeRateLimited {
			t.Errorf("after 8 s: %v", err)
		}
	})
}
