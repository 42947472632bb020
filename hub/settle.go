package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/plain"
)

// claimed is an answer of a dead owner that this replica has claimed, to settle it.
type claimed struct {
	Orphan
	tries  int
	broken int // tries that failed for the answer's own sake: the database was there
}

// settler ends the answers that no replica runs: those of owners that died, and those that
// this replica may have stored and does not run. It is for one goroutine at a time.
type settler struct {
	replica   string
	store     Store
	streams   *streams
	catalogue *catalogue
	peers     peers
	bg        *background.Group
	left      []*claimed // not yet settled
}

const (
	settlers     = 8                // answers settled at a time
	settleLimit  = 5 * time.Second  // for one of them
	claimLimit   = 60 * time.Second // for all that are claimed at once
	unbilledFrom = 3                // tries that failed for the answer's own sake before it ends without a bill
	wordlessFrom = 6                // and before it ends without its text
)

// settleOrphans ends the answers that dead owners left streaming, with all that the log or the
// last checkpoint has of them. An answer that cannot be settled stays in left for the next
// call, and holds up none of the others.
func (se *settler) settleOrphans(ctx context.Context, grace time.Duration) error {
	for settled := 0; ; {
		limit, cancel := context.WithTimeout(ctx, claimLimit)
		orphans, err := se.store.ClaimOrphans(limit, se.replica, grace)
		cancel()
		if err != nil {
			return fmt.Errorf("claim the answers of dead owners: %w", err)
		}
		for _, o := range orphans {
			se.left = append(se.left, &claimed{Orphan: o})
		}
		settled += se.settleLeft(ctx)
		if len(orphans) == 0 {
			if settled > 0 {
				se.bg.Logger.Info("settled answers of an owner that died", "answers", settled)
			}
			return nil
		}
	}
}

// settleLeft settles the claimed answers, several at a time, and returns how many.
func (se *settler) settleLeft(ctx context.Context) (settled int) {
	failed := make([]error, len(se.left))
	var working sync.WaitGroup
	next := make(chan int)
	for range min(settlers, len(se.left)) {
		working.Go(func() {
			for i := range next {
				limit, cancel := context.WithTimeout(ctx, settleLimit)
				failed[i] = background.Guarded(se.bg.Logger, "settling an answer", func() error { return se.settle(limit, se.left[i]) })
				cancel()
			}
		})
	}
	for i := range se.left {
		next <- i
	}
	close(next)
	working.Wait()
	var again []*claimed
	for i, o := range se.left {
		if failed[i] == nil {
			settled++
			continue
		}
		if o.tries == 0 && ctx.Err() == nil {
			se.bg.Logger.Warn("settle an answer of a dead owner; it is tried again", "message", o.Message.ID, "err", failed[i])
		}
		o.tries++
		if CodeOf(failed[i]) == CodeInternal && !errors.Is(failed[i], context.Canceled) && !errors.Is(failed[i], context.DeadlineExceeded) {
			o.broken++
		}
		again = append(again, o)
	}
	se.left = again
	return settled
}

// settle ends one orphan.
func (se *settler) settle(ctx context.Context, o *claimed) error {
	m := o.Message
	c, seq, err := se.peers.takeOver(ctx, o.Orphan, o.tries)
	switch {
	case errors.Is(err, ErrFenced):
		return nil // somebody has claimed it from us
	case err != nil:
		return err
	}
	end := AnswerEnd{
		Session: m.SessionID, ID: m.ID, Epoch: m.Epoch, Seq: seq,
		Reason: ReasonInterrupted, At: time.Now().UTC().Truncate(time.Microsecond), User: o.User,
	}
	for i := range c.Parts {
		c.Parts[i].Text = []byte(plain.Clean(string(c.Parts[i].Text)))
	}
	end.Said, end.Notices = saidIn(c)
	end.Seq += int64(len(endCalls(end.Parts, end.Reason))) // viewers are sent a snapshot that has how these ended
	if o.broken < unbilledFrom {
		if err := se.billOrphan(ctx, o.Orphan, &end); err != nil {
			return err
		}
	}
	if o.broken >= wordlessFrom {
		se.bg.Logger.Error("an answer of a dead owner cannot be stored; it ends without its text", "message", m.ID)
		end.Said, end.Reason, end.Error = Said{}, ReasonError, brokenHere
	}
	version, err := se.store.EndAnswer(ctx, end)
	if errors.Is(err, ErrFenced) {
		return nil
	}
	if err != nil {
		return err
	}
	finish := end.finish(m.Model, version)
	se.peers.tellEnd(m.SessionID, endNote{Stream: m.ID, Epoch: m.Epoch, Seq: end.Seq, Version: version, Finish: encode(finish)})
	return nil
}

// billOrphan estimates what the answer of a dead owner has used.
func (se *settler) billOrphan(ctx context.Context, o Orphan, end *AnswerEnd) error {
	var input int64
	if o.Message.ParentID != nil {
		branch, _, err := se.store.Branch(ctx, Own(o.User), *o.Message.ParentID, promptMax)
		if err != nil && CodeOf(err) != CodeNotFound { // deleted meanwhile, and the answer with it
			return err
		}
		for _, m := range branch {
			input += estimateMessage(m)
		}
	}
	v, _, err := se.catalogue.providerOf(ctx, o.User, "model", o.Message.Model)
	if CodeOf(err) == CodeUnavailable {
		return err // a provider that is gone has no price
	}
	end.Usage = se.catalogue.account(ctx, v, o.Message.Model, nil, false, input, estimate(end.Content)+estimate(end.Reasoning))
	return nil
}

// disownDoubtful gives up the answers that the database has as this replica's and that it does
// not run, so that they are settled as those of a dead owner. There are such answers, as a
// transaction may be committed although its caller was told of an error.
func (se *settler) disownDoubtful(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	owned, err := se.peers.owned(ctx)
	if err != nil {
		return fmt.Errorf("read what is owned: %w", err)
	}
	claims := map[MessageID]bool{}
	for _, o := range se.left {
		claims[o.Message.ID] = true
	}
	ids := se.streams.notRun(owned, claims)
	if len(ids) == 0 {
		return nil
	}
	if err := se.store.Disown(ctx, se.replica, ids); err != nil {
		return fmt.Errorf("disown answers that nobody runs: %w", err)
	}
	se.streams.certain(ids)
	return nil
}

// settleDoubtful settles what this replica may have stored and does not run.
func (se *settler) settleDoubtful(ctx context.Context) {
	if !se.streams.doubts() && len(se.left) == 0 {
		return
	}
	err := se.disownDoubtful(ctx)
	if err == nil {
		err = se.settleOrphans(ctx, 0)
	}
	if err != nil && ctx.Err() == nil {
		se.bg.Logger.Warn("settle answers that nobody runs", "err", err)
	}
}
