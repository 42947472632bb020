package repo

import (
	"testing"
	"testing/synctest"
)

// TestUrgentWritersGoFirstButNotForEver has a crowd before the gate.
func TestUrgentWritersGoFirstButNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		if err := g.enter(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		order := make(chan bool, 2*passMax+3)
		for _, urgent := range []bool{false, true} {
			n := 1
			if urgent {
				n = 2*passMax + 1
			}
			for range n {
				go func() {
					if err := g.enter(t.Context(), urgent); err != nil {
						t.Error(err)
					}
					order <- urgent
					g.leave()
				}()
				synctest.Wait()
			}
		}
		g.leave()
		for i := range 2*passMax + 2 {
			if urgent := <-order; urgent == (i == passMax) {
				t.Errorf("number %d through the gate is urgent: %v", i, urgent)
			}
		}
	})
}
