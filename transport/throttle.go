package transport

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/omnichat/omnichat/hub"
)

// throttleMax bounds the keys that are remembered.
const throttleMax = 10_000

// throttle slows down what fails again and again, by key.
type throttle struct {
	every time.Duration
	burst int
	now   func() time.Time

	mu   sync.Mutex
	keys map[string]*rate.Limiter
}

func newThrottle(every time.Duration, burst int, now func() time.Time) *throttle {
	return &throttle{every: every, burst: burst, now: now, keys: map[string]*rate.Limiter{}}
}

// check refuses a key that has failed too often.
func (t *throttle) check(key string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.keys[key]; l != nil && l.TokensAt(t.now()) < 1 {
		return &hub.Error{Code: hub.CodeRateLimited, Msg: "too many attempts; wait a little", RetryAfter: t.every}
	}
	return nil
}

// failed counts a failure.
func (t *throttle) failed(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.keys[key]
	if l == nil {
		if len(t.keys) >= throttleMax {
			t.sweep()
		}
		l = rate.NewLimiter(rate.Every(t.every), t.burst)
		t.keys[key] = l
	}
	l.AllowN(t.now(), 1)
}

// sweep forgets keys that are as good as new, or all if there are none.
func (t *throttle) sweep() {
	for key, l := range t.keys {
		if l.TokensAt(t.now()) >= float64(t.burst) {
			delete(t.keys, key)
		}
	}
	if len(t.keys) >= throttleMax {
		clear(t.keys)
	}
}
