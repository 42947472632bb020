package hub

import (
	"context"
)

// peers is the other replicas, as the rest of the hub needs them: [sharing], or
// [alone] where there are none. But for start and leave its methods may be called
// at any time.
type peers interface {
	// start settles what dead owners left behind and begins to work with the others.
	start(ctx context.Context) error
	// leave lets the others settle at once what is left.
	leave()

	// tell publishes to the other replicas, some time.
	tell(t Topic, kind byte, v any)
	// tellEnd tells them a stream's end.
	tellEnd(session SessionID, n endNote)
	// revoke tells them at once which grants have ended.
	revoke(ctx context.Context, grants []string)
	// hastenStop tells the owner of an answer, wherever it is, of a stop that is
	// stored, and waits a moment until it says that it has heard.
	hastenStop(ctx context.Context, id MessageID)

	// listen has a feed hear of what happens elsewhere, once somebody is in it, and
	// unlisten ends that when nobody is. The caller holds the hub's and the feed's
	// lock.
	listen(f *feed)
	unlisten(f *feed)
	// await waits until the feed has all that is in flight elsewhere.
	await(ctx context.Context, f *feed) error
	// elsewhere returns the log of a stream that another replica owns. If none is
	// known yet, one is begun, to be filled. It returns nil if nobody else can own it.
	elsewhere(f *feed, m Message) *liveLog
	// text completes a message in flight elsewhere with its text so far.
	text(ctx context.Context, m *Message)
	// othersMayBeAhead says whether somebody else may have shown more of a stream than is
	// known here.
	othersMayBeAhead() bool

	// takeOver completes the end of a dead owner's answer with what its log has.
	// It returns [ErrFenced] if somebody else has claimed it.
	takeOver(ctx context.Context, o Orphan, tries int, end *AnswerEnd) error
	// owned returns the streaming answers that the database has as this replica's.
	owned(ctx context.Context) ([]Ownership, error)
	// used is what a user's answers have used that are under way elsewhere.
	used(ctx context.Context, user UserID) (Used, error)
}

// lostJump is how far the seq of an answer's end jumps where its log was lost:
// further than anyone may have been shown.
const lostJump = 1_000_000
