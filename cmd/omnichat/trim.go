package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	trimEach = 5 * time.Second
	// quietMax is what is allocated in that time at most where it is quiet, in
	// bytes: about as much as one answer takes, and a 16th of a large heap.
	quietMax = 4 << 20
)

// trim gives back what a burst has left, once for each time that it becomes
// quiet: else thousands of clients that have connected and now wait would keep
// twice the memory they need until the runtime collects by itself, after two
// minutes, and returns it bit by bit. It ends with ctx.
func trim(ctx context.Context) {
	look := time.NewTicker(trimEach)
	defer look.Stop()
	heap := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	before, trimmed := uint64(0), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		metrics.Read(heap)
		now, live := heap[0].Value.Uint64(), heap[1].Value.Uint64()
		quiet := now-before < max(quietMax, live/16)
		if quiet && !trimmed {
			debug.FreeOSMemory()
		}
		trimmed, before = quiet, now
	}
}
