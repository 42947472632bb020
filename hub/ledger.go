package hub

import (
	"context"
	"time"
)

// A ledger is where a [committer] puts what streams say before viewers see it, so that it
// outlives the process. There are two: the database's journal, for one process
// ([journalLedger]), and the logs that replicas share on the bus ([sharedLedger]), which may
// be lost and are backed by checkpoints in the database. keep is for one goroutine at a time.
// So is ship, but the streams that it has refused may be given to it by another goroutine
// meanwhile.
type ledger interface {
	// begin returns what the log of an answer begins with, nil if it needs no beginning.
	begin(asked Asked) (head []byte)
	// ship appends chunks; those of one stream are in order. It returns the streams that it
	// refuses, and whether it may have lost what it had before. With an error, nothing is
	// known of any chunk. To begin a stream's log anew it takes what viewers have seen and
	// the chunks that chunksOf returns; if chunksOf is nil, those of chunks.
	ship(ctx context.Context, chunks []*chunk, chunksOf func(*stream) []*chunk) (refused map[*stream]error, lost bool, err error)
	// keep stores a checkpoint: what viewers have seen and what a batch adds to that, of all
	// running streams or of the batch's alone. A ledger without checkpoints does nothing.
	keep(ctx context.Context, batch []*chunk, running bool) error
	// instead says whether what is in a checkpoint need not be shipped any more.
	instead() bool
	// mayShow says whether what has not been shipped may be shown to viewers.
	mayShow() bool
	// up says why the ledger is known to be away, nil if it is not.
	up() error
	// rest is how long the committer rests between two appends for each stream that has
	// something to say.
	rest() time.Duration
}

// journalLedger is the journal of the database, which loses nothing. It has no checkpoints:
// while it does not answer, events are shown at once and appended later.
type journalLedger struct {
	journal Journal
	entries []JournalEntry // of one append
}

var _ ledger = (*journalLedger)(nil)

// batchKept is the largest batch, in entries, whose memory is kept for the next append.
const batchKept = 1 << 13

func (l *journalLedger) ship(ctx context.Context, chunks []*chunk, _ func(*stream) []*chunk) (map[*stream]error, bool, error) {
	l.entries = l.entries[:0]
	for _, k := range chunks {
		l.entries = append(l.entries, JournalEntry{Stream: k.stream.id, Epoch: k.stream.epoch, From: k.from, Seq: k.last, Deltas: k.deltas})
	}
	err := l.journal.Append(ctx, l.entries)
	if clear(l.entries); cap(l.entries) > batchKept { // after an outage
		l.entries = nil
	}
	return nil, false, err
}

func (*journalLedger) begin(Asked) []byte                         { return nil }
func (*journalLedger) keep(context.Context, []*chunk, bool) error { return nil }
func (*journalLedger) instead() bool                              { return false }
func (*journalLedger) mayShow() bool                              { return true }
func (*journalLedger) up() error                                  { return nil }
func (*journalLedger) rest() time.Duration                        { return 250 * time.Microsecond }
