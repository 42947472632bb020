package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/eventlog"
)

// sharedLedger is the logs on the bus, one for each stream, which other replicas
// read. The bus may lose them, so that what is shown is kept in the database as
// well, now and then, and at once where a log has not taken it.
type sharedLedger struct {
	bus     Bus
	journal Journal // has the checkpoints
	leases  Leases
	replica string
	logger  *slog.Logger
	running func() []*stream
	find    func(MessageID) *stream
	holds   func() bool // nobody can have taken the answers over

	unsaved []JournalEntry // of a checkpoint that failed; keep's
}

var _ ledger = (*sharedLedger)(nil)

func (l *sharedLedger) begin(asked Asked) []byte {
	return encode(openHead{Question: asked.Question, Answer: asked.Answer})
}

func (l *sharedLedger) instead() bool { return true }
func (l *sharedLedger) mayShow() bool { return l.holds() }
func (l *sharedLedger) up() error     { return l.bus.Up() }

// rest is more than the journal's: each stream's part is a message of its own.
func (l *sharedLedger) rest() time.Duration { return 800 * time.Microsecond }

// ship is ledger's. A log that is lost is opened once more with all that its stream
// has.
func (l *sharedLedger) ship(ctx context.Context, chunks []*chunk, chunksOf func(*stream) []*chunk) (refused map[*stream]error, lost bool, err error) {
	if chunksOf == nil {
		chunksOf = func(st *stream) (of []*chunk) {
			for _, k := range chunks {
				if k.stream == st {
					of = append(of, k)
				}
			}
			return of
		}
	}
	refuse := func(st *stream, err error) {
		if refused == nil {
			refused = map[*stream]error{}
		}
		if refused[st] == nil {
			refused[st] = err
		}
	}
	batches, sent := make([]Batch, 0, len(chunks)), make([]*stream, 0, len(chunks))
	open := func(st *stream) {
		err := background.Guarded(l.logger, "opening a log", func() error {
			batches = append(batches, st.whole(chunksOf(st)))
			return nil
		})
		if err != nil {
			refuse(st, err)
			return
		}
		sent = append(sent, st)
	}
	for _, k := range chunks {
		st := k.stream
		if k.open {
			open(st)
			continue
		}
		sent = append(sent, st)
		batches = append(batches, Batch{
			Session: st.session, Stream: st.id, Epoch: st.epoch, From: k.from, Seq: k.last,
			Payload: eventlog.Batch{Stream: string(st.id), Epoch: st.epoch, From: k.from, Deltas: k.deltas}.Encode(),
		})
	}
	// take notes how the batches ended, and returns the streams whose logs are gone.
	take := func(errs []error) (gone []*stream) {
		for i, st := range sent {
			switch err := errs[i]; {
			case err == nil:
			case errors.Is(err, ErrFenced):
				st.fence()
			case !errors.Is(err, ErrLogLost):
				refuse(st, err)
			case !slices.Contains(gone, st):
				gone = append(gone, st)
			}
		}
		return gone
	}
	errs, err := l.bus.Ship(ctx, batches)
	if err != nil {
		return nil, false, err
	}
	gone := take(errs)
	if len(gone) == 0 {
		return refused, false, nil
	}
	epochs, err := l.owned(ctx)
	if err != nil {
		err = fmt.Errorf("confirm what is owned: %w", err)
	}
	batches, sent = batches[:0], sent[:0]
	for _, st := range gone {
		switch {
		case err != nil:
			refuse(st, err)
		case epochs[st.id] != st.epoch:
			st.fence()
		default:
			open(st)
		}
	}
	if len(batches) == 0 {
		return refused, true, nil
	}
	errs, err = l.bus.Ship(ctx, batches)
	if err != nil {
		errs = slices.Repeat([]error{err}, len(batches))
	}
	for _, st := range take(errs) {
		refuse(st, ErrLogLost)
	}
	return refused, true, nil
}

// owned is the epochs of what the database confirms as this replica's.
func (l *sharedLedger) owned(ctx context.Context) (map[MessageID]int64, error) {
	owned, err := l.leases.Owned(ctx, l.replica)
	epochs := make(map[MessageID]int64, len(owned))
	for _, o := range owned {
		epochs[o.ID] = o.Epoch
	}
	return epochs, err
}

// keep is ledger's: it stores a checkpoint. What could not be stored is stored
// first, as it was, by the next one.
func (l *sharedLedger) keep(ctx context.Context, batch []*chunk, running bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := l.storeUnsaved(ctx); err != nil {
		return err
	}
	chunks := map[*stream][]*chunk{}
	for _, k := range batch {
		chunks[k.stream] = append(chunks[k.stream], k)
	}
	streams := slices.Collect(maps.Keys(chunks))
	if running {
		streams = l.running()
	}
	for _, st := range streams {
		// One that panics keeps none of the others.
		_ = background.Guarded(l.logger, "checkpoint of answer "+string(st.id), func() error { // it is logged
			if e, ok := st.checkpoint(chunks[st]); ok {
				e.Owner = l.replica
				l.unsaved = append(l.unsaved, e)
			}
			return nil
		})
	}
	return l.storeUnsaved(ctx)
}

func (l *sharedLedger) storeUnsaved(ctx context.Context) error {
	if len(l.unsaved) == 0 {
		return nil
	}
	err := l.journal.Append(ctx, l.unsaved)
	var fenced *FencedError
	if errors.As(err, &fenced) {
		// The rest is stored. What is shown first is what was stored: these show
		// nothing more.
		for _, id := range fenced.Streams {
			if st := l.find(id); st != nil && !st.ending.Load() {
				st.fence()
			}
		}
		err = nil
	}
	if err != nil {
		return fmt.Errorf("append a checkpoint to the journal: %w", err)
	}
	l.unsaved = nil
	return nil
}

// checkpoint is what was shown of the stream since the last one, with chunks
// that are to be shown next.
func (st *stream) checkpoint(chunks []*chunk) (JournalEntry, bool) {
	st.feed.mu.Lock()
	defer st.feed.mu.Unlock()
	e := JournalEntry{Stream: st.id, Epoch: st.epoch, From: st.saved, Seq: st.log.Last()}
	if st.log.Ended() {
		return e, false
	}
	e.Deltas = st.log.After(st.saved)
	for _, k := range chunks {
		if k.last > e.Seq && k.last > st.saved {
			e.Deltas = append(e.Deltas, k.deltas...)
			e.Seq = k.last
		}
	}
	if e.Seq <= st.saved {
		return e, false
	}
	st.saved = e.Seq
	return e, true
}
