package transport

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// throttleMax bounds the keys that are remembered.
const throttleMax = 10_000

// throttle slows down what fails again and again, by key: a burst, then one for
// each every. What is under way counts as failed until it has not.
type throttle struct {
	every time.Duration
	burst int
	now   func() time.Time

	mu   sync.Mutex
	keys map[string]*attempts
}

// attempts is what is known of a key.
type attempts struct {
	failed  float64 // less one for each every since at
	at      time.Time
	running int
	more    chan struct{} // closed and replaced when one of the running is done
}

func newThrottle(every time.Duration, burst int, now func() time.Time) *throttle {
	return &throttle{every: every, burst: burst, now: now, keys: map[string]*attempts{}}
}

// enter lets a key try once, and must be told how that went. It refuses a key
// that has failed too often; where only those under way are too many, it waits
// for them.
func (t *throttle) enter(ctx context.Context, key string) (leave func(failed bool), err error) {
	for {
		a, more, err := t.begin(key)
		if err != nil {
			return nil, err
		}
		if more == nil {
			return func(failed bool) { t.end(a, failed) }, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) { // those before it took all the time
				return nil, &hub.Error{Code: hub.CodeRateLimited, Msg: "too many attempts; wait a little", RetryAfter: t.every}
			}
			return nil, context.Cause(ctx)
		}
	}
}

// begin takes a place for the key, or returns what to wait for.
func (t *throttle) begin(key string) (a *attempts, more <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a = t.keys[key]; a == nil {
		if len(t.keys) >= throttleMax {
			t.sweep()
		}
		a = &attempts{at: t.now(), more: make(chan struct{})}
		t.keys[key] = a
	}
	t.forget(a)
	if over := a.failed + 1 - float64(t.burst); over > 0 {
		return nil, nil, &hub.Error{Code: hub.CodeRateLimited, Msg: "too many attempts; wait a little", RetryAfter: time.Duration(over * float64(t.every))}
	}
	if a.failed+float64(a.running)+1 > float64(t.burst) {
		return a, a.more, nil
	}
	a.running++
	return a, nil, nil
}

func (t *throttle) end(a *attempts, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(a)
	a.running--
	if failed {
		a.failed++
	}
	close(a.more)
	a.more = make(chan struct{})
}

// forget lets time heal. The caller holds the lock.
func (t *throttle) forget(a *attempts) {
	at := t.now()
	a.failed = max(0, a.failed-float64(at.Sub(a.at))/float64(t.every))
	a.at = at
}

// sweep forgets the keys that are as good as new. If there are none it forgets the half that
// has failed least, so that an attacker with many keys cannot have a key forgotten that has
// failed more often than theirs. The caller holds the lock.
func (t *throttle) sweep() {
	maps.DeleteFunc(t.keys, func(_ string, a *attempts) bool {
		t.forget(a)
		return a.running == 0 && a.failed == 0
	})
	if len(t.keys) < throttleMax {
		return
	}
	var resting []string
	for key, a := range t.keys {
		if a.running == 0 {
			resting = append(resting, key)
		}
	}
	slices.SortFunc(resting, func(a, b string) int { return cmp.Compare(t.keys[a].failed, t.keys[b].failed) })
	for _, key := range resting[:(len(resting)+1)/2] {
		delete(t.keys, key)
	}
}
