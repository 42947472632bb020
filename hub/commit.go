package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// showAfter is how long the journal may take before events are shown first.
const showAfter = time.Second

const (
	// checkpointEach is how often a checkpoint is tried while the bus is away.
	checkpointEach = 250 * time.Millisecond
	// calmCheckpointEach is how often one is made while all is well, with a bus:
	// so much of an answer may be lost if its owner and its log die at one moment.
	calmCheckpointEach = 2 * time.Second
)

// A committer shows the events of all streams once the log outside the process
// has them: the bus, or the database's journal where there is none. It is a
// group commit: while one append is under way new events gather, and its answer
// sends the next batch, after a rest that is short where few streams run, so that
// batches grow with the load and an idle hub waits for one append only. When the
// bus does not answer for a second the database keeps what it has not taken, as
// checkpoints, until it has caught up; when the journal does not, events are
// shown first. What the bus has is kept as well, now and then, since it may lose
// it.
type committer struct {
	journal Journal
	bus     Bus // nil: the journal is the log
	log     *slog.Logger
	bell    chan struct{} // holds one

	// With a bus only.
	mayShow func() bool                                            // showing first is safe
	owned   func(ctx context.Context) (map[MessageID]int64, error) // epochs that the database confirms
	save    func(ctx context.Context, batch []*chunk) error        // stores a checkpoint
	late    atomic.Bool
	turns   *turns
	jitter  func(time.Duration) time.Duration // of waits before another try

	mu    sync.Mutex
	dirty []*stream // with something pending
	spare []*stream // what dirty was before

	entries []JournalEntry // of one append
}

// chunk is what one stream has in a batch.
type chunk struct {
	stream *stream
	deltas []Run
	open   bool  // the log is to be opened, or looked for
	shown  bool  // guarded by the feed's lock, written by show alone
	from   int64 // seq before the first delta
	last   int64 // seq of the last delta
}

func newCommitter(j Journal, bus Bus, log *slog.Logger) *committer {
	return &committer{journal: j, bus: bus, log: log, bell: make(chan struct{}, 1), turns: newTurns(), mayShow: func() bool { return true }, jitter: jitter}
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
	c.dirty = c.spare[:0]
	c.mu.Unlock()
	into = slices.Grow(into, len(dirty))
	for _, st := range dirty {
		if k := st.takePending(); k != nil {
			into = append(into, k)
		}
	}
	clear(dirty)
	c.spare = dirty
	return into
}

// run works until ctx ends and its last append has returned.
func (c *committer) run(ctx context.Context) {
	ship := make(chan []*chunk)
	shipped := make(chan struct{}, 1) // the shipper never waits for a run that has ended
	saved := make(chan []*chunk, 1)   // nil: they could not be
	var workers sync.WaitGroup
	refused := make(chan struct{}, 1)
	workers.Go(func() {
		for batch := range ship {
			if c.append(ctx, batch, refused) {
				shipped <- struct{}{}
			}
		}
	})
	defer func() { close(ship); workers.Wait() }()

	var inflight, next []*chunk
	var handed time.Time // inflight, to the shipper
	saving := false
	save := func(batch []*chunk) {
		saving = true
		workers.Go(func() {
			if err := c.save(ctx, batch); err != nil {
				c.log.Debug("store a checkpoint", "err", err)
				batch = nil
			}
			saved <- batch
		})
	}
	stand := func() { // the log is late: keep what it has not taken some other way, and show it
		switch batch := unshown(inflight, next); {
		case c.bus == nil:
			show(batch)
		case !saving && c.mayShow():
			save(batch)
		}
	}
	deadline, rest, turn := time.NewTimer(showAfter), time.NewTimer(0), time.NewTimer(0)
	deadline.Stop()
	turn.Stop()
	resting := true // until its timer, which is set, fires
	paced := false  // readers take turns, one at each tick of its timer
	idle := 0       // turns since something came
	defer c.turns.stop()
	each := restEach
	var calm <-chan time.Time
	if c.bus != nil {
		each = restEachBus
		beat := time.NewTicker(calmCheckpointEach)
		defer beat.Stop()
		calm = beat.C
	}
	for {
		if inflight == nil && len(next) > 0 && !resting {
			inflight, next, handed = next, nil, time.Now()
			resting = paced // until the next readers have read
			ship <- inflight
			if !c.late.Load() {
				deadline.Reset(showAfter)
			}
		}
		bell := c.bell
		if (inflight != nil || resting) && !c.late.Load() {
			bell = nil // what comes now gathers in the streams
		}
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
			resting = false
		case <-c.turns.all:
			rest.Stop()
			resting = false
		case <-turn.C:
			if idle++; resting || inflight != nil || len(next) > 0 {
				idle = 0
			}
			if paced = idle <= groups; paced {
				limit, period := c.turns.step()
				rest.Reset(limit)
				turn.Reset(period)
			} else { // nothing comes
				c.turns.stop()
			}
		case <-bell:
			next = c.gather(next)
			if c.late.Load() {
				stand()
			}
		case <-shipped:
			long, turns := c.turns.rest(len(inflight), each)
			switch {
			case !turns:
				turn.Stop()
				rest.Reset(long)
				resting = true
			case !paced:
				turn.Reset(long)
				resting = true
			}
			paced = turns
			show(inflight)
			inflight, idle = nil, 0
			if c.late.Load() && (len(next) == 0 || time.Since(handed) < showAfter/4) {
				c.late.Store(false)
				c.log.Info("the log has caught up")
			}
			if !c.late.Load() {
				deadline.Stop()
			}
		case batch := <-saved:
			saving = false
			if batch == nil || !c.mayShow() {
				continue // tried again at the deadline
			}
			show(batch)
			if c.late.Load() && len(unshown(inflight, next)) > 0 {
				stand()
			}
		case <-refused:
			// The log may be gone with its server: what was shown is kept at once.
			if c.bus != nil && !saving && !c.late.Load() {
				save([]*chunk{})
			}
		case <-calm: // one that fails is tried again at the next beat
			if !saving && !c.late.Load() {
				save([]*chunk{})
			}
		case <-deadline.C:
			if c.bus != nil {
				deadline.Reset(checkpointEach)
			}
			if !c.late.Swap(true) {
				c.log.Warn("the log does not answer: going on without it")
			}
			stand()
		}
	}
}

// append puts a batch into the log, however often it takes, and says so when it
// is refused. It returns false if ctx ended before.
func (c *committer) append(ctx context.Context, batch []*chunk, refused chan<- struct{}) bool {
	try := c.toJournal(batch)
	if c.bus != nil {
		try = c.toBus(batch)
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		limit, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := try(limit)
		cancel()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		c.log.Warn("append to the log", "err", err, "streams", len(batch))
		select {
		case refused <- struct{}{}:
		default:
		}
		if !pause(ctx, c.jitter(wait)) {
			return false
		}
	}
}

// batchKept bounds the memory that is kept from one append to the next.
const batchKept = 1 << 13

func (c *committer) toJournal(batch []*chunk) func(context.Context) error {
	return func(ctx context.Context) error {
		c.entries = c.entries[:0]
		for _, k := range batch {
			c.entries = append(c.entries, JournalEntry{Stream: k.stream.id, Epoch: k.stream.epoch, From: k.from, Seq: k.last, Runs: k.deltas})
		}
		err := c.journal.Append(ctx, c.entries)
		if clear(c.entries); cap(c.entries) > batchKept { // after an outage
			c.entries = nil
		}
		return err
	}
}

// toBus ships chunks, those of a stream in their order; what has been shipped or
// fenced is not tried again. A log that is lost is opened once more with all
// that its stream has, shown or in chunks, whether those were shipped before or
// not.
func (c *committer) toBus(chunks []*chunk) func(context.Context) error {
	todo := chunks
	of := map[*stream][]*chunk{}
	for _, k := range chunks {
		of[k.stream] = append(of[k.stream], k)
	}
	reopen := map[*stream]bool{}
	return func(ctx context.Context) error {
		batches := make([]Batch, len(todo))
		opened := map[*stream]bool{}
		for i, k := range todo {
			st := k.stream
			if (reopen[st] || k.open) && !opened[st] {
				opened[st] = true
				batches[i] = st.whole(of[st])
				continue
			}
			batches[i] = Batch{
				Session: st.session, Stream: st.id, Epoch: st.epoch, From: k.from, Seq: k.last,
				Payload: encodeBatch(nil, st.id, st.epoch, k.from, k.deltas),
			}
		}
		refused, err := c.bus.Ship(ctx, batches)
		if err != nil {
			return err
		}
		var again []*chunk
		lost := map[*stream]bool{}
		for i, k := range todo {
			switch {
			case refused[i] == nil:
				if opened[k.stream] {
					delete(reopen, k.stream)
				}
			case errors.Is(refused[i], ErrFenced):
				k.stream.fence()
			case errors.Is(refused[i], ErrLogLost):
				lost[k.stream] = true
				again = append(again, k)
			default:
				err = refused[i]
				again = append(again, k)
			}
		}
		todo = again
		if len(lost) == 0 {
			return err
		}
		epochs, err := c.owned(ctx)
		if err != nil {
			return fmt.Errorf("confirm what is owned: %w", err)
		}
		todo = slices.DeleteFunc(todo, func(k *chunk) bool {
			st := k.stream
			if !lost[st] {
				return false
			}
			if epochs[st.id] != st.epoch {
				st.fence()
				return true
			}
			reopen[st] = true
			return false
		})
		if len(todo) > 0 {
			return fmt.Errorf("%d streams: %w", len(lost), ErrLogLost)
		}
		return nil
	}
}

// jitter is a wait of about d, so that replicas do not try again in step.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }

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

// unshown is what has not been shown of batches; never nil.
func unshown(batches ...[]*chunk) []*chunk {
	out := []*chunk{}
	for _, batch := range batches {
		for _, k := range batch {
			if !k.shown {
				out = append(out, k)
			}
		}
	}
	return out
}

// show lets everyone see what has not been shown of a batch.
func show(batch []*chunk) {
	for _, k := range batch {
		if !k.shown {
			k.stream.show(k)
		}
	}
}
