package hub

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/eventlog"
	"github.com/omnichat/omnichat/hub/pace"
)

// showAfter is how long the ledger may take before events are shown first.
const showAfter = time.Second

const (
	// checkpointEach is how often one is tried while the ledger is away.
	checkpointEach = 250 * time.Millisecond
	// calmCheckpointEach is how often one is made while all is well: so much of an
	// answer may be lost if its owner and a ledger that may lose it die at one moment.
	calmCheckpointEach = 2 * time.Second
)

// A committer shows the events of all streams once a [ledger] has them. It is a
// group commit: while one append is under way new events gather, and its answer
// sends the next batch, after a rest that is short where few streams run, so that
// batches grow with the load and an idle hub waits for one append only. When the
// ledger does not answer for a second, events are kept elsewhere, if there is
// another place, and shown. A stream that the ledger refuses goes on so by itself,
// [laggards] the others.
type committer struct {
	ledger  ledger
	bg      *background.Group
	bell    chan struct{} // holds one
	late    atomic.Bool   // the ledger does not answer in time
	suspect chan struct{} // holds one: the ledger may have lost what it had
	shifts  *pace.Shifts

	mu    sync.Mutex
	dirty []*stream // with something pending
	spare []*stream // what dirty was before
}

// chunk is what one stream has in a batch.
type chunk struct {
	stream *stream
	deltas []eventlog.Run
	open   bool  // the log is to be opened, or looked for
	shown  bool  // guarded by the feed's lock, written by show alone
	from   int64 // seq before the first delta
	last   int64 // seq of the last delta
}

func newCommitter(to ledger, bg *background.Group) *committer {
	return &committer{ledger: to, bg: bg, bell: make(chan struct{}, 1), suspect: make(chan struct{}, 1), shifts: pace.New()}
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
		if k := st.drain(); k != nil {
			into = append(into, k)
		}
	}
	clear(dirty)
	c.spare = dirty
	return into
}

// shipment is a batch on its way to the log.
type shipment struct {
	ctx     context.Context // ends when it is given up
	batch   []*chunk
	given   bool              // given up: nothing is known of it
	refused map[*stream]error // those whose own logs did not take theirs
}

// checkpoint is one that was stored, or could not be.
type checkpoint struct {
	batch  []*chunk
	failed bool
}

// run works until ctx ends and its last append has returned.
func (c *committer) run(ctx context.Context) {
	ship := make(chan shipment)
	shipped := make(chan shipment, 1) // the shipper never waits for a run that has ended
	saved := make(chan checkpoint, 1)
	tried := make(chan *trial, 1)
	var workers sync.WaitGroup
	workers.Go(func() {
		for s := range ship {
			if c.append(&s); ctx.Err() == nil {
				shipped <- s
			}
		}
	})
	defer func() { close(ship); workers.Wait() }()

	var inflight, next []*chunk
	var handed time.Time // inflight, to the shipper
	giveUp := func() {}
	apart := newLaggards(c.bg.Jitter)
	saving := false
	save := func(batch []*chunk, running bool) {
		saving = true
		workers.Go(func() {
			err := background.Guarded(c.bg.Logger, "storing a checkpoint", func() error { return c.ledger.keep(ctx, batch, running) })
			if err != nil {
				c.bg.Logger.Debug("store a checkpoint", "err", err)
			}
			saved <- checkpoint{batch, err != nil}
		})
	}
	stand := func() { // keep what the log has not taken some other way, and show it
		switch {
		case saving || !c.ledger.mayShow():
		case c.late.Load():
			save(unshown(inflight, next, apart.chunks), true)
		case len(apart.chunks) > 0:
			save(unshown(apart.chunks), false)
		}
	}
	deadline, rest, shift, again := time.NewTimer(showAfter), time.NewTimer(0), time.NewTimer(0), time.NewTimer(0)
	answers := func(took time.Duration) { // the log does
		if !c.late.Load() || len(next) > 0 && took >= showAfter/4 {
			return
		}
		c.late.Store(false)
		c.bg.Logger.Info("the log has caught up")
		if deadline.Stop(); inflight != nil {
			deadline.Reset(showAfter)
		}
	}
	deadline.Stop()
	shift.Stop()
	again.Stop()
	resting := true // until its timer, which is set, fires
	paced := false  // readers take shifts, one at each tick of its timer
	idle := 0       // shifts since something came
	defer c.shifts.Stop()
	each := c.ledger.rest()
	calm := time.NewTicker(calmCheckpointEach)
	defer calm.Stop()
	for {
		if inflight == nil && len(next) > 0 && !resting {
			inflight, next, handed = next, nil, time.Now()
			resting = paced // until the next readers have read
			s := shipment{batch: inflight}
			s.ctx, giveUp = context.WithCancel(ctx)
			ship <- s
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
			giveUp()
			return
		case <-rest.C:
			resting = false
		case <-c.shifts.AllRead():
			rest.Stop()
			resting = false
		case <-shift.C:
			if idle++; resting || inflight != nil || len(next) > 0 {
				idle = 0
			}
			if paced = !c.shifts.Quiet(idle); paced {
				limit, period := c.shifts.Step()
				rest.Reset(limit)
				shift.Reset(period)
			} else { // nothing comes
				c.shifts.Stop()
			}
		case <-bell:
			next = apart.sift(c.gather(next))
			if c.late.Load() || len(apart.chunks) > 0 {
				stand()
			}
		case s := <-shipped:
			giveUp()
			long, shifts := c.shifts.Rest(len(inflight), each)
			switch {
			case !shifts:
				shift.Stop()
				rest.Reset(long)
				resting = true
			case !paced:
				shift.Reset(long)
				resting = true
			}
			paced = shifts
			for _, k := range inflight {
				if s.given || s.refused[k.stream] != nil {
					apart.add(k)
				} else if !k.shown {
					k.stream.show(k)
				}
			}
			inflight, idle = nil, 0
			next = apart.sift(next)
			if !s.given {
				answers(time.Since(handed))
			}
			if !c.late.Load() {
				deadline.Stop()
			}
			if len(apart.chunks) > 0 {
				stand()
			}
		case s := <-saved:
			saving = false
			if s.failed || !c.ledger.mayShow() { // it is tried again at the deadline
				if c.late.Load() {
					next = joined(next)
				}
				apart.join()
				break
			}
			show(s.batch)
			apart.drop()
			switch {
			case !c.late.Load():
			case c.ledger.instead():
				next = apart.instead(next)
				if inflight != nil && len(unshown(inflight)) == 0 {
					giveUp()
				}
			default:
				next = joined(next)
			}
			if c.late.Load() && len(unshown(inflight, next)) > 0 || len(apart.chunks) > 0 {
				stand()
			}
		case now := <-again.C:
			if t := apart.due(now); t != nil {
				workers.Go(func() { tried <- c.tryAgain(ctx, t) })
			}
			if len(apart.chunks) > 0 && apart.rested(now) {
				stand()
			}
		case t := <-tried:
			if next = append(next, apart.came(t)...); t.answered() {
				answers(t.took)
			}
		case <-c.suspect: // what was shown is kept at once
			if !saving && !c.late.Load() {
				save([]*chunk{}, true)
			}
		case <-calm.C: // one that fails is tried again at the next beat
			if !saving && !c.late.Load() {
				save([]*chunk{}, true)
			}
		case <-deadline.C:
			deadline.Reset(checkpointEach)
			if !c.late.Swap(true) {
				c.bg.Logger.Warn("the log does not answer: going on without it")
			}
			stand()
			if inflight == nil && len(next) == 0 && !apart.some() && c.ledger.up() == nil {
				answers(0) // those that it had nothing of have ended
			}
		}
		if apart.some() && !apart.awaited {
			apart.awaited = true
			again.Reset(againEach)
		}
	}
}

// append puts a batch into the log, however often it takes, unless it is given
// up, and says so when it fails. A stream whose own log refuses does not keep the
// others.
func (c *committer) append(s *shipment) {
	s.given = !c.bg.Retry(s.ctx, 50*time.Millisecond, time.Second, func() bool {
		limit, cancel := context.WithTimeout(s.ctx, 10*time.Second)
		defer cancel()
		err := background.Guarded(c.bg.Logger, "appending to the log", func() (err error) {
			s.refused, err = c.ship(limit, s.batch, nil)
			return err
		})
		if err != nil && s.ctx.Err() == nil {
			c.bg.Logger.Warn("append to the log", "err", err, "streams", len(s.batch))
			c.doubt()
		}
		return err == nil
	})
}

// ship has the ledger take chunks.
func (c *committer) ship(ctx context.Context, chunks []*chunk, chunksOf func(*stream) []*chunk) (map[*stream]error, error) {
	refused, lost, err := c.ledger.ship(ctx, chunks, chunksOf)
	for st, err := range refused {
		c.bg.Logger.Warn("the log of an answer refuses", "message", st.id, "err", err)
	}
	if lost {
		c.doubt()
	}
	return refused, err
}

// doubt says that the ledger may have lost what it had.
func (c *committer) doubt() {
	select {
	case c.suspect <- struct{}{}:
	default:
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
