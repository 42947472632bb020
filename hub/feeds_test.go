package hub

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// TestPresenceIsToldToWhoComesAsAnotherLeaves has the number of viewers be the
// same at two ticks, and the viewers others.
func TestPresenceIsToldToWhoComesAsAnotherLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		s.bus.send = (*localClient).push
		session, _ := s.askDrip(t)
		h := s.replicas[0].hub
		ctx, cancel := context.WithCancel(t.Context())
		join := func() (v *Viewer, told *atomic.Int32) {
			t.Helper()
			v, err := h.Connect(ctx, as("u"), eventlog.Lines)
			if err == nil {
				err = v.Subscribe(ctx, 1, session, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			told = new(atomic.Int32)
			go follow(ctx, v, func(batch []byte) error {
				told.Add(int32(bytes.Count(batch, []byte(`"presence"`))))
				return nil
			})
			return v, told
		}
		_, stays := join()
		leaves, _ := join()
		time.Sleep(2 * tickEvery)
		before := stays.Load()
		leaves.Close()
		_, comes := join()
		time.Sleep(2 * tickEvery)
		if comes.Load() != 1 {
			t.Errorf("who came was told %d times", comes.Load())
		}
		time.Sleep(10 * tickEvery)
		if n := stays.Load() - before; n > 1 {
			t.Errorf("who stayed was told %d times more", n)
		}
		cancel()
		synctest.Wait()
		for _, r := range s.replicas {
			r.hub.Close()
		}
		if len(h.feeds.untold) != 0 {
			t.Errorf("%d who have left are kept", len(h.feeds.untold))
		}
	})
}
