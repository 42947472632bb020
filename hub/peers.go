package hub

import (
	"context"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// peers is the other replicas, as the rest of the hub needs them. There are two: [sharing],
// and [alone] where there are no others. All methods but start and leave may be called
// concurrently.
type peers interface {
	// start begins to work with the others. What dead owners left behind is settled at once
	// if there are no others, else as soon as it is sure that they are dead.
	start(ctx context.Context) error
	// leave lets the others settle at once what is left.
	leave()

	// tell publishes a note to the other replicas, without waiting for that.
	tell(t Topic, kind byte, v any)
	// tellEnd tells them a stream's end.
	tellEnd(session SessionID, n endNote)
	// revoke tells them at once which grants have ended.
	revoke(ctx context.Context, grants []string)
	// hastenStop tells the owner of an answer, wherever it is, of a stop that is
	// stored, and waits a moment until it says that it has heard.
	hastenStop(ctx context.Context, id MessageID)

	// listen has a feed hear of what happens elsewhere, now that it has a viewer, and
	// unlisten ends that if it has none. The caller holds the lock of the feeds and that of
	// the feed.
	listen(f *feed)
	unlisten(f *feed)
	// await waits until the feed has all that is in flight elsewhere.
	await(ctx context.Context, f *feed) error
	// elsewhere returns the log of a stream that another replica owns. If the feed has none
	// yet, it begins one and has it filled. It returns nil if there are no other replicas.
	elsewhere(f *feed, m Message) *liveLog
	// text completes a message in flight elsewhere with its text so far.
	text(ctx context.Context, m *Message)
	// othersMayBeAhead says whether another replica may have shown more of a stream than this
	// one knows.
	othersMayBeAhead() bool
	// format is the newest format that all replicas can read which live.
	format() int

	// takeOver returns what the log of a dead owner's answer has, or what was stored of
	// it, and the seq of its end. It returns [ErrFenced] if another replica has claimed the
	// answer since.
	takeOver(ctx context.Context, o Orphan, tries int) (said eventlog.Content, end int64, err error)
	// owned returns the streaming answers that the database has as this replica's.
	owned(ctx context.Context) ([]Ownership, error)
	// used is what a user's answers have used that are under way elsewhere.
	used(ctx context.Context, user UserID) (Used, error)
}

// The formats in which replicas write what others read, on the bus and in the database.
const (
	formatPlain = 1 // text and thoughts
	formatParts = 2 // deltas of any kind
)

// lostJump is how far the seq of an answer's end jumps where its log was lost:
// further than anyone may have been shown.
const lostJump = 1_000_000
