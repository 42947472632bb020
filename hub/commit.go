package hub

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/pace"
)

// showAfter is how long viewers wait for the ledger before they are shown events
// that it has not taken.
const showAfter = time.Second

// calmCheckpointEach is how often a checkpoint is made while the ledger answers. If an
// answer's owner dies at the moment at which the ledger loses its log, what was said
// since the last checkpoint is lost.
const calmCheckpointEach = 2 * time.Second

// A committer puts what all streams say into the [ledger], and shows it to the
// viewers once it is there. It commits in groups: while one append is in flight,
// new events gather, and the next append takes all of them. So batches grow with the
// load, and on an idle hub an event waits for one append only. Between two appends
// the committer rests; package pace says how long.
//
// When the ledger does not answer within a second, it is late: events are then stored
// as checkpoints, where the ledger has a second place, and shown at once. A stream
// whose own log is refused goes that way alone; see [laggards].
//
// mark and doubt may be called concurrently. One goroutine calls run, which calls the rest.
type committer struct {
	ledger  ledger
	bg      *background.Group
	shifts  *pace.Shifts
	bell    chan struct{} // holds one item when a stream has something pending
	suspect chan struct{} // holds one item when the ledger may have lost what it had
	late    atomic.Bool   // the ledger does not answer in time

	spare []*stream // the last slice of dirty streams, to be used again; run's alone

	mu    sync.Mutex
	dirty []*stream // the streams with something pending
}

var _ queue = (*committer)(nil)

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

// gather appends to a batch what is pending in all streams. Only run calls it.
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

// A shipment is a batch on its way to the ledger.
type shipment struct {
	ctx     context.Context // ends when the batch is given up
	batch   []*chunk
	givenUp bool              // whether the ledger has taken the batch is not known
	refused map[*stream]error // the streams whose own logs have not taken their chunks
}

// A checkpoint is a batch that was stored beside the ledger, or could not be.
type checkpoint struct {
	batch  []*chunk
	failed bool
}

// A commitLoop is the state of a committer's run, and of its goroutine alone. One helper
// appends to the ledger for it, one batch at a time. Others are started when needed: one
// that stores a checkpoint, and one that tries laggards again.
type commitLoop struct {
	*committer
	ctx     context.Context
	helpers sync.WaitGroup
	ship    chan shipment   // to the goroutine that appends
	shipped chan shipment   // and back
	saved   chan checkpoint // checkpoints that were tried
	tried   chan *trial     // laggards that were tried again

	inflight []*chunk           // the batch that the ledger is being given
	handed   time.Time          // when it was handed over
	giveUp   context.CancelFunc // ends that append
	next     []*chunk           // the batch after it
	apart    *laggards
	saving   bool // a checkpoint is being stored

	resting  bool        // the next append waits for rest, or for the readers of a shift
	paced    bool        // the readers of providers work in shifts
	idle     int         // shifts since something came
	rest     *time.Timer // fires when the next append may begin
	shift    *time.Timer // fires when the next shift begins
	deadline *time.Timer // fires when the ledger is late, and then for every checkpoint
	again    *time.Timer // fires when laggards are looked at
}

// run commits until ctx ends and the last append has returned.
func (c *committer) run(ctx context.Context) {
	r := &commitLoop{
		committer: c, ctx: ctx, giveUp: func() {}, apart: newLaggards(c.bg.Jitter),
		ship: make(chan shipment), shipped: make(chan shipment, 1), saved: make(chan checkpoint, 1), tried: make(chan *trial, 1),
		resting: true, rest: time.NewTimer(0), shift: stopped(), deadline: stopped(), again: stopped(),
	}
	r.helpers.Go(r.appendAll)
	defer func() { close(r.ship); r.helpers.Wait() }()
	defer c.shifts.Stop()
	calm := time.NewTicker(calmCheckpointEach)
	defer calm.Stop()
	for {
		r.handOver()
		select {
		case <-ctx.Done():
			r.giveUp()
			return
		case <-r.rest.C:
			r.resting = false
		case <-c.shifts.AllRead():
			r.rest.Stop()
			r.resting = false
		case <-r.shift.C:
			r.nextShift()
		case <-r.wanted():
			r.take()
		case s := <-r.shipped:
			r.acknowledge(s)
		case s := <-r.saved:
			r.checkpointed(s)
		case now := <-r.again.C:
			r.retryLaggards(now)
		case t := <-r.tried:
			r.laggardsTried(t)
		case <-c.suspect: // what viewers have seen is stored at once
			r.checkpointAll()
		case <-calm.C: // a checkpoint that fails is tried again the next time
			r.checkpointAll()
		case <-r.deadline.C:
			r.goOnLate()
		}
		if r.apart.some() && !r.apart.awaited {
			r.apart.awaited = true
			r.again.Reset(againEach)
		}
	}
}

// stopped is a timer that does not fire before it is reset.
func stopped() *time.Timer {
	t := time.NewTimer(0)
	t.Stop()
	return t
}

// appendAll appends what is shipped. It never waits for a run that has ended.
func (r *commitLoop) appendAll() {
	for s := range r.ship {
		if r.append(&s); r.ctx.Err() == nil {
			r.shipped <- s
		}
	}
}

// handOver begins the next append if there is something to append, nothing in flight,
// and the rest is over.
func (r *commitLoop) handOver() {
	if r.inflight != nil || len(r.next) == 0 || r.resting {
		return
	}
	r.inflight, r.next, r.handed = r.next, nil, time.Now()
	r.resting = r.paced // until the readers of the next shift have read
	s := shipment{batch: r.inflight}
	s.ctx, r.giveUp = context.WithCancel(r.ctx)
	r.ship <- s
	if !r.late.Load() {
		r.deadline.Reset(showAfter)
	}
}

// wanted is the bell, or nil while what comes may gather in the streams.
func (r *commitLoop) wanted() <-chan struct{} {
	if (r.inflight != nil || r.resting) && !r.late.Load() {
		return nil
	}
	return r.bell
}

// take gathers what is pending.
func (r *commitLoop) take() {
	r.next = r.apart.sift(r.gather(r.next))
	if r.late.Load() || len(r.apart.chunks) > 0 {
		r.checkpointUnshown()
	}
}

// nextShift lets the readers of the next shift read, unless nothing comes any more.
func (r *commitLoop) nextShift() {
	if r.idle++; r.resting || r.inflight != nil || len(r.next) > 0 {
		r.idle = 0
	}
	if r.paced = !r.shifts.Quiet(r.idle); !r.paced {
		r.shifts.Stop()
		return
	}
	limit, period := r.shifts.Step()
	r.rest.Reset(limit)
	r.shift.Reset(period)
}

// acknowledge ends an append: what the ledger has taken is shown, and what it has not
// goes on with the laggards.
func (r *commitLoop) acknowledge(s shipment) {
	r.giveUp() // frees the append's context
	r.pause()
	for _, k := range r.inflight {
		if s.givenUp || s.refused[k.stream] != nil {
			r.apart.add(k)
		} else if !k.shown {
			k.stream.show(k)
		}
	}
	r.inflight, r.idle = nil, 0
	r.next = r.apart.sift(r.next)
	if !s.givenUp {
		r.answered(time.Since(r.handed))
	}
	if !r.late.Load() {
		r.deadline.Stop()
	}
	if len(r.apart.chunks) > 0 {
		r.checkpointUnshown()
	}
}

// pause begins the rest after an append.
func (r *commitLoop) pause() {
	long, paced := r.shifts.Rest(len(r.inflight), r.ledger.rest())
	switch {
	case !paced:
		r.shift.Stop()
		r.rest.Reset(long)
		r.resting = true
	case !r.paced:
		r.shift.Reset(long)
		r.resting = true
	}
	r.paced = paced
}

// answered ends the time for which the ledger was late, if it answers so quickly that
// it has caught up.
func (r *commitLoop) answered(took time.Duration) {
	if !r.late.Load() || len(r.next) > 0 && took >= showAfter/4 {
		return
	}
	r.late.Store(false)
	r.bg.Logger.Info("the log has caught up")
	if r.deadline.Stop(); r.inflight != nil {
		r.deadline.Reset(showAfter)
	}
}

// goOnLate goes on without the ledger, which has not answered in time. It is called
// for every checkpoint until the ledger answers.
func (r *commitLoop) goOnLate() {
	r.deadline.Reset(checkpointEach)
	if !r.late.Swap(true) {
		r.bg.Logger.Warn("the log does not answer: going on without it")
	}
	r.checkpointUnshown()
	if r.inflight == nil && len(r.next) == 0 && !r.apart.some() && r.ledger.up() == nil {
		r.answered(0) // the streams whose events it lacked have ended
	}
}

// checkpointUnshown stores what the ledger has not taken beside it, so that it may be
// shown: what all streams say while the ledger is late, else what laggards say.
func (r *commitLoop) checkpointUnshown() {
	switch {
	case r.saving || !r.ledger.mayShow():
	case r.late.Load():
		r.save(unshown(r.inflight, r.next, r.apart.chunks), true)
	case len(r.apart.chunks) > 0:
		r.save(unshown(r.apart.chunks), false)
	}
}

// checkpointAll stores what viewers have seen of all streams.
func (r *commitLoop) checkpointAll() {
	if !r.saving && !r.late.Load() {
		r.save([]*chunk{}, true)
	}
}

// save stores a checkpoint of a batch, and, if running is set, of all that viewers
// have seen of the running streams.
func (r *commitLoop) save(batch []*chunk, running bool) {
	r.saving = true
	r.helpers.Go(func() {
		err := background.Guarded(r.bg.Logger, "storing a checkpoint", func() error { return r.ledger.keep(r.ctx, batch, running) })
		if err != nil {
			r.bg.Logger.Debug("store a checkpoint", "err", err)
		}
		r.saved <- checkpoint{batch, err != nil}
	})
}

// checkpointed shows what a checkpoint has stored. One that failed is tried again at
// the next deadline.
func (r *commitLoop) checkpointed(s checkpoint) {
	r.saving = false
	if s.failed || !r.ledger.mayShow() {
		if r.late.Load() {
			r.next = joined(r.next)
		}
		r.apart.join()
		return
	}
	show(s.batch)
	r.apart.drop()
	switch {
	case !r.late.Load():
	case r.ledger.instead():
		r.next = r.apart.instead(r.next)
		if r.inflight != nil && len(unshown(r.inflight)) == 0 {
			r.giveUp()
		}
	default:
		r.next = joined(r.next)
	}
	if r.late.Load() && len(unshown(r.inflight, r.next)) > 0 || len(r.apart.chunks) > 0 {
		r.checkpointUnshown()
	}
}

// retryLaggards tries the laggards whose wait is over.
func (r *commitLoop) retryLaggards(now time.Time) {
	if t := r.apart.due(now); t != nil {
		r.helpers.Go(func() { r.tried <- r.tryAgain(r.ctx, t) })
	}
	if len(r.apart.chunks) > 0 && r.apart.rested(now) {
		r.checkpointUnshown()
	}
}

// laggardsTried takes back the streams whose logs have caught up.
func (r *commitLoop) laggardsTried(t *trial) {
	if r.next = append(r.next, r.apart.came(t)...); t.answered() {
		r.answered(t.took)
	}
}

// append puts a batch into the ledger. It tries until it succeeds or the batch is given
// up. A stream whose own log refuses does not hold up the others.
func (c *committer) append(s *shipment) {
	s.givenUp = !c.bg.Retry(s.ctx, 50*time.Millisecond, time.Second, func() bool {
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

// ship has the ledger take chunks, and logs what it refuses.
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

// tryAgain gives the ledger what the laggards of a trial lack.
func (c *committer) tryAgain(ctx context.Context, t *trial) *trial {
	ctx, cancel := context.WithTimeout(ctx, againLimit)
	defer cancel()
	began := time.Now()
	t.err = background.Guarded(c.bg.Logger, "opening logs again", func() (err error) {
		t.refused, err = c.ship(ctx, t.looks, func(st *stream) []*chunk { return t.chunks[st] })
		return err
	})
	t.took = time.Since(began)
	return t
}
