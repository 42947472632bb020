package hub

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestBatchComesBackAsItWas(t *testing.T) {
	for name, deltas := range map[string][]Run{
		"nothing": {},
		"text":    {{Text: "one "}, {Text: "two"}},
		"both":    {{Text: "hm", Reasoning: true}, {Text: "\x00é\n"}, {Text: ""}},
	} {
		for _, head := range [][]byte{nil, encode(openHead{Answer: Message{ID: "a"}})} {
			b, err := decodeBatch(encodeBatch(head, "id", 3, 7, deltas))
			if err != nil || b.stream != "id" || b.epoch != 3 || b.from != 7 || !slices.Equal(b.deltas, deltas) || (b.head != nil) != (head != nil) {
				t.Errorf("%s: %+v, %v", name, b, err)
			}
		}
	}
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add(encodeBatch(nil, "id", 1, 0, []Run{{Text: "x"}, {Text: "y", Reasoning: true}}))
	f.Add(encodeBatch(encode(openHead{}), "id", 1, 0, nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := decodeBatch(p)
		if err != nil || b.head != nil {
			return
		}
		again := encodeBatch(nil, b.stream, b.epoch, b.from, b.deltas)
		c, err := decodeBatch(again)
		if err != nil || !slices.Equal(b.deltas, c.deltas) || !bytes.Equal(again, encodeBatch(nil, c.stream, c.epoch, c.from, c.deltas)) {
			t.Errorf("%q came back as %q, %v", p, again, err)
		}
	})
}

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
		h.hastenStop(t.Context(), "m")
		if took := time.Since(began); bus.told != 2 || took != 2*ackAfter {
			t.Errorf("an owner that hears nothing was told %d times in %s", bus.told, took)
		}
		go func() {
			pause(t.Context(), 10*time.Millisecond)
			h.Receive(Topic{}, note(kindStopped, stopNote{Message: "m"}))
		}()
		began = time.Now()
		h.hastenStop(t.Context(), "m")
		if took := time.Since(began); took != 10*time.Millisecond {
			t.Errorf("an owner that has heard was waited for %s", took)
		}
		h.cancel(nil)
	})
}
