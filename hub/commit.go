package hub

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// showAfter is how long the journal may take before events are shown first.
const showAfter = time.Second

// A committer shows the events of all streams once the journal has them. It is
// a group commit: while one append is under way new events gather, and its
// answer sends the next batch, so that batches grow with the load by themselves
// and an idle hub waits for one append only. When the journal does not answer
// for a second, events are shown first, until it has caught up.
type committer struct {
	journal Journal
	log     *slog.Logger
	bell    chan struct{} // holds one

	mu    sync.Mutex
	dirty []*stream // with something pending
}

// chunk is what one stream has in a batch.
type chunk struct {
	stream *stream
	deltas []Run
	shown  bool
	last   int64 // seq of the last delta
}

func newCommitter(j Journal, log *slog.Logger) *committer {
	return &committer{journal: j, log: log, bell: make(chan struct{}, 1)}
}

// mark says that st has something pending.
func (c *committer) mark(st *stream) {
	c.mu.Lock()
	c.dirty = append(c.dirty, st)
	c.mu.Unlock()
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

// gather takes what is pending in all streams.
func (c *committer) gather(into []*chunk) []*chunk {
	c.mu.Lock()
	dirty := c.dirty
	c.dirty = nil
	c.mu.Unlock()
	for _, st := range dirty {
		if k := st.takePending(); k != nil {
			into = append(into, k)
		}
	}
	return into
}

// run works until ctx ends and its last append has returned.
func (c *committer) run(ctx context.Context) {
	ship := make(chan []*chunk)
	shipped := make(chan struct{}, 1) // the shipper never waits for a run that has ended
	var shipper sync.WaitGroup
	shipper.Go(func() {
		for batch := range ship {
			if c.append(ctx, batch) {
				shipped <- struct{}{}
			}
		}
	})
	defer func() { close(ship); shipper.Wait() }()

	var inflight, next []*chunk
	late := false
	deadline := time.NewTimer(showAfter)
	deadline.Stop()
	for {
		if inflight == nil && len(next) > 0 {
			inflight, next = next, nil
			ship <- inflight
			if !late {
				deadline.Reset(showAfter)
			}
		}
		bell := c.bell
		if inflight != nil && !late {
			bell = nil // what comes now gathers in the streams
		}
		select {
		case <-ctx.Done():
			return
		case <-bell:
			at := len(next)
			next = c.gather(next)
			if late {
				show(next[at:])
			}
		case <-shipped:
			deadline.Stop()
			show(inflight)
			inflight = nil
			if late && len(next) == 0 {
				late = false
				c.log.Info("the journal has caught up")
			}
		case <-deadline.C:
			late = true
			c.log.Warn("the journal does not answer: answers are shown first")
			show(inflight)
		}
	}
}

// append puts a batch into the journal, however often it takes. It returns
// false if ctx ended before.
func (c *committer) append(ctx context.Context, batch []*chunk) bool {
	entries := make([]JournalEntry, len(batch))
	for i, k := range batch {
		entries[i] = JournalEntry{Stream: k.stream.id, Epoch: k.stream.epoch, Seq: k.last, Runs: mergeRuns(k.deltas)}
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		try, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := c.journal.Append(try, entries)
		cancel()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		c.log.Warn("append to the journal", "err", err, "streams", len(batch))
		if !pause(ctx, wait) {
			return false
		}
	}
}

// pause waits, and says whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// mergeRuns joins neighbours of one kind.
func mergeRuns(runs []Run) []Run {
	if len(runs) == 1 {
		return runs
	}
	var out []Run
	for i := 0; i < len(runs); {
		j, size := i, 0
		for j < len(runs) && runs[j].Reasoning == runs[i].Reasoning {
			size += len(runs[j].Text)
			j++
		}
		text := make([]byte, 0, size)
		for _, r := range runs[i:j] {
			text = append(text, r.Text...)
		}
		out = append(out, Run{Text: string(text), Reasoning: runs[i].Reasoning})
		i = j
	}
	return out
}

// show lets everyone see what has not been shown of a batch.
func show(batch []*chunk) {
	for _, k := range batch {
		if !k.shown {
			k.shown = true
			k.stream.show(k.deltas)
		}
	}
}
