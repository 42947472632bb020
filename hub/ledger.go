package hub

import (
	"context"
	"time"
)

// A ledger is where a [committer] puts what streams say before anyone sees it, so
// that it outlives the process. There are two: the database's journal where one
// process is alone ([journalLedger]), and the logs that replicas share, backed by
// checkpoints in the database since they may be lost ([sharedLedger]). keep is called
// by one goroutine at a time; so is ship, but that the streams which it has refused
// are tried again meanwhile by another.
type ledger interface {
	// begin returns what is to begin the log of an answer, nil if nothing is to.
	begin(asked Asked) (head []byte)
	// ship appends chunks, those of a stream in their order. It tells which streams
	// it refuses, and whether it may have lost what it had; with err nothing is
	// known. To open a stream's log anew it takes what was shown and what chunksOf
	// says, or, if that is nil, those of the chunks that are the stream's.
	ship(ctx context.Context, chunks []*chunk, chunksOf func(*stream) []*chunk) (refused map[*stream]error, lost bool, err error)
	// keep puts into another place what was shown, and what a batch adds to it: of
	// all running streams, or of the batch's alone. Where there is no other place, or
	// it has all that it needs, it does nothing.
	keep(ctx context.Context, batch []*chunk, running bool) error
	// instead says whether what keep has taken need not be shipped any more.
	instead() bool
	// mayShow says whether what has not been shipped may be shown.
	mayShow() bool
	// up says why the ledger is known to be away, nil if it is not.
	up() error
	// rest is what a stream that has something to say is worth of rest between two
	// appends.
	rest() time.Duration
}

// journalLedger is the journal of the database, which loses nothing. When it does
// not answer there is no other place: what is shown first is appended later.
type journalLedger struct {
	journal Journal
	entries []JournalEntry // of one append
}

var _ ledger = (*journalLedger)(nil)

// batchKept bounds the memory that is kept from one append to the next.
const batchKept = 1 << 13

func (l *journalLedger) ship(ctx context.Context, chunks []*chunk, _ func(*stream) []*chunk) (map[*stream]error, bool, error) {
	l.entries = l.entries[:0]
	for _, k := range chunks {
		l.entries = append(l.entries, JournalEntry{Stream: k.stream.id, Epoch: k.stream.epoch, From: k.from, Seq: k.last, Runs: k.deltas})
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
