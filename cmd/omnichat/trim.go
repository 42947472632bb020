package main

import (
	"context"
	"runtime/debug"
	"time"
)

// trimAfter is how long no garbage was collected when memory is given back.
const trimAfter = 5 * time.Second

// trim gives back what a burst has left, once for each time that it becomes
// quiet: else thousands of clients that have connected and now wait would keep
// twice the memory they need until the runtime collects by itself, after two
// minutes, and returns it bit by bit. It ends with ctx.
func trim(ctx context.Context) {
	look := time.NewTicker(trimAfter)
	defer look.Stop()
	var gc debug.GCStats
	before, trimmed := int64(0), int64(0) // collections at the last look, and after the last trim
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		debug.ReadGCStats(&gc)
		if gc.NumGC == before && gc.NumGC != trimmed {
			debug.FreeOSMemory()
			debug.ReadGCStats(&gc)
			trimmed = gc.NumGC
		}
		before = gc.NumGC
	}
}
