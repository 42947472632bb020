package hub

import (
	"context"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/eventlog"
)

// alone is the [peers] of a hub that has none.
type alone struct {
	settler *settler
	bg      *background.Group
}

var _ peers = alone{}

// settleEach is how often what may be stored and does not run is looked for.
const settleEach = 5 * time.Second

// start is peers'. Whatever the database says is streaming, nobody runs.
func (a alone) start(ctx context.Context) error {
	if err := a.settler.settleOrphans(ctx, 0); err != nil {
		return err
	}
	a.bg.Go(func() { a.settle(a.bg.Context()) })
	return nil
}

// settle settles now and then the answers that may be stored and that nobody runs.
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

func (alone) format() int { return formatParts }

func (alone) takeOver(_ context.Context, o Orphan, _ int) (eventlog.Content, int64, error) {
	end := o.Said.Seq + 1
	if o.Lost {
		end += lostJump
	}
	return o.Said, end, nil
}
