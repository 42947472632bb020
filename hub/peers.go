package hub

import (
	"context"
	"time"

	"github.com/omnichat/omnichat/hub/background"
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
	takeOver(ctx context.Context, o *claimed, end *AnswerEnd) error
	// owned returns the streaming answers that the database has as this replica's.
	owned(ctx context.Context) ([]Ownership, error)
	// used is what a user's answers have used that are under way elsewhere.
	used(ctx context.Context, user UserID) (Used, error)
}

// alone is a hub without others.
type alone struct {
	settler *settler
	bg      *background.Group
}

var _ peers = alone{}

// settleEach is how often what may be stored and does not run is looked for.
const settleEach = 5 * time.Second

// start is peers': whatever is streaming in the database, nobody streams.
func (a alone) start(ctx context.Context) error {
	if err := a.settler.settleOrphans(ctx, 0); err != nil {
		return err
	}
	a.bg.Go(func() { a.settle(a.bg.Context()) })
	return nil
}

// settle settles now and then what may be stored and does not run.
func (a alone) settle(ctx context.Context) {
	background.Every(ctx, settleEach, func(time.Time) {
		a.bg.Guard("settling", func() { a.settler.settleDoubtful(ctx) })
	})
}

func (alone) leave()                                     {}
func (alone) tell(Topic, byte, any)                      {}
func (alone) tellEnd(SessionID, endNote)                 {}
func (alone) revoke(context.Context, []string)           {}
func (alone) hastenStop(context.Context, MessageID)      {}
func (alone) listen(*feed)                               {}
func (alone) unlisten(*feed)                             {}
func (alone) await(context.Context, *feed) error         { return nil }
func (alone) elsewhere(*feed, Message) *liveLog          { return nil }
func (alone) text(context.Context, *Message)             {}
func (alone) othersMayBeAhead() bool                     { return false }
func (alone) owned(context.Context) ([]Ownership, error) { return nil, nil }
func (alone) used(context.Context, UserID) (Used, error) { return Used{}, nil }

func (alone) takeOver(_ context.Context, o *claimed, end *AnswerEnd) error {
	if o.Lost {
		end.Seq += lostJump
	}
	return nil
}
