package room

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestRoomLetsOthersInWhileAUserWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[string](100, 10)
		in := make(chan string, 4)
		enter := func(user string, n int64) {
			if err := r.Enter(t.Context(), user, n); err == nil {
				in <- user
			}
		}
		enter("ann", 8)
		go enter("ann", 3)
		synctest.Wait()
		enter("bob", 50) // more than a user may have, but alone
		enter("cat", 10)
		if len(in) != 3 {
			t.Fatalf("%d are in, want ann, bob and cat", len(in))
		}
		if r.Try("ann", 3) || !r.Try("ann", 2) || r.Try("dan", 50) {
			t.Error("takes more than there is, or less")
		}
		r.Leave("ann", 8)
		synctest.Wait()
		if len(in) != 4 {
			t.Error("ann still waits although there is room")
		}
		r.Leave("bob", 50)
		r.Leave("cat", 10)
		r.Leave("ann", 5)
		if r.used != 0 || len(r.by) != 0 {
			t.Errorf("%d bytes are left, %v", r.used, r.by)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r.Try("ann", 10)
		cancel()
		if r.Enter(ctx, "ann", 1) == nil {
			t.Error("is let in after it has given up")
		}
	})
}
