package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// deafBus hears nothing back.
type deafBus struct {
	Bus
	told int
}

func (b *deafBus) Publish(context.Context, Topic, []byte) (int, error) {
	b.told++
	return 0, nil
}

func TestStopIsToldUntilTheOwnerHasHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &deafBus{}
		h := New(nil, nil, nil, Options{Bus: bus})
		began := time.Now()
		h.peers.hastenStop(t.Context(), "m")
		if took := time.Since(began); bus.told != 2 || took != 2*ackAfter {
			t.Errorf("an owner that hears nothing was told %d times in %s", bus.told, took)
		}
		go func() {
			pause(t.Context(), 10*time.Millisecond)
			h.shares().Receive(AllReplicas, note(kindStopped, stopNote{Message: "m"}))
		}()
		began = time.Now()
		h.peers.hastenStop(t.Context(), "m")
		if took := time.Since(began); took != 10*time.Millisecond {
			t.Errorf("an owner that has heard was waited for %s", took)
		}
		h.bg.End(nil)
	})
}
