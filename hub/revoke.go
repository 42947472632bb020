package hub

import (
	"slices"
	"sync"
)

// revoked has the functions that are called when grants have ended. All methods may be called
// concurrently.
type revoked struct {
	mu        sync.Mutex
	listeners []*func(grants []string)
}

// listen has f called, until stop is.
func (rv *revoked) listen(f func(grants []string)) (stop func()) {
	rv.mu.Lock()
	defer rv.mu.Unlock()
	l := &f
	rv.listeners = append(slices.Clip(rv.listeners), l)
	return func() {
		rv.mu.Lock()
		defer rv.mu.Unlock()
		rv.listeners = slices.DeleteFunc(slices.Clone(rv.listeners), func(o *func([]string)) bool { return o == l })
	}
}

// tell tells them.
func (rv *revoked) tell(grants []string) {
	rv.mu.Lock()
	listeners := rv.listeners
	rv.mu.Unlock()
	for _, f := range listeners {
		(*f)(grants)
	}
}
