package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// claimed is an answer of a dead owner that this replica is to settle.
type claimed struct {
	Orphan
	tries  int
	broken int // tries that failed for the answer's own sake: the database was there
}

const (
	settlers     = 8                // answers settled at a time
	settleLimit  = 5 * time.Second  // for one of them
	claimLimit   = 60 * time.Second // for all that are claimed at once
	unbilledFrom = 3                // tries that failed for the answer's own sake before it ends without a bill
	wordlessFrom = 6                // and before it ends without its text
)

// settleOrphans ends the answers that dead owners left streaming, with all
// that the log or the last checkpoint has of them. What it could not settle is
// in left, and is tried again by the next call: that is no error of the others.
func (h *Hub) settleOrphans(ctx context.Context, grace time.Duration) error {
	for settled := 0; ; {
		limit, cancel := context.WithTimeout(ctx, claimLimit)
		orphans, err := h.store.ClaimOrphans(limit, h.opt.Replica, grace)
		cancel()
		if err != nil {
			return fmt.Errorf("claim the answers of dead owners: %w", err)
		}
		for _, o := range orphans {
			h.left = append(h.left, &claimed{Orphan: o})
		}
		settled += h.settleLeft(ctx)
		if len(orphans) == 0 {
			if settled > 0 {
				h.log.Info("settled answers of an owner that died", "answers", settled)
			}
			return nil
		}
	}
}

// settleLeft settles what is claimed, several at a time. One that cannot be
// settled now keeps none of the others.
func (h *Hub) settleLeft(ctx context.Context) (settled int) {
	failed := make([]error, len(h.left))
	var working sync.WaitGroup
	next := make(chan int)
	for range min(settlers, len(h.left)) {
		working.Go(func() {
			for i := range next {
				limit, cancel := context.WithTimeout(ctx, settleLimit)
				failed[i] = guarded(h.log, "settling an answer", func() error { return h.settle(limit, h.left[i]) })
				cancel()
			}
		})
	}
	for i := range h.left {
		next <- i
	}
	close(next)
	working.Wait()
	var again []*claimed
	for i, o := range h.left {
		if failed[i] == nil {
			settled++
			continue
		}
		if o.tries == 0 && ctx.Err() == nil {
			h.log.Warn("settle an answer of a dead owner; it is tried again", "message", o.Message.ID, "err", failed[i])
		}
		o.tries++
		if CodeOf(failed[i]) == CodeInternal && !errors.Is(failed[i], context.Canceled) && !errors.Is(failed[i], context.DeadlineExceeded) {
			o.broken++
		}
		again = append(again, o)
	}
	h.left = again
	return settled
}

// settle ends one orphan.
func (h *Hub) settle(ctx context.Context, o *claimed) error {
	m := o.Message
	end := AnswerEnd{
		Session: m.SessionID, ID: m.ID, Epoch: m.Epoch, Seq: o.Seq + 1, Content: clean(o.Content), Reasoning: clean(o.Reasoning),
		Reason: ReasonInterrupted, At: time.Now().UTC().Truncate(time.Microsecond), User: o.User,
	}
	switch err := h.peers.takeOver(ctx, o, &end); {
	case errors.Is(err, ErrFenced):
		return nil // somebody has claimed it from us
	case err != nil:
		return err
	}
	if o.broken < unbilledFrom {
		if err := h.billOrphan(ctx, o.Orphan, &end); err != nil {
			return err
		}
	}
	if o.broken >= wordlessFrom {
		h.log.Error("an answer of a dead owner cannot be stored; it ends without its text", "message", m.ID)
		end.Content, end.Reasoning, end.Reason, end.Error = "", "", ReasonError, brokenHere
	}
	version, err := h.store.EndAnswer(ctx, end)
	if errors.Is(err, ErrFenced) {
		return nil
	}
	if err != nil {
		return err
	}
	finish := end.finish(m.Model, version)
	h.peers.tellEnd(m.SessionID, endNote{Stream: m.ID, Epoch: m.Epoch, Seq: end.Seq, Version: version, Finish: encode(finish)})
	return nil
}

// billOrphan estimates what a dead owner's answer has used.
func (h *Hub) billOrphan(ctx context.Context, o Orphan, end *AnswerEnd) error {
	var input int64
	if o.Message.ParentID != nil {
		branch, _, err := h.store.Branch(ctx, o.User, *o.Message.ParentID, promptMax)
		if err != nil && CodeOf(err) != CodeNotFound { // deleted meanwhile, and the answer with it
			return err
		}
		for _, m := range branch {
			input += estimateMessage(m)
		}
	}
	v, _, err := h.catalogue.providerOf(ctx, o.User, "model", o.Message.Model)
	if CodeOf(err) == CodeUnavailable {
		return err // a provider that is gone has no price
	}
	end.Usage = h.catalogue.account(ctx, v, o.Message.Model, nil, false, input, estimate(end.Content)+estimate(end.Reasoning))
	return nil
}

// doubt notes an answer whose Ask failed without saying whether it is stored.
func (h *Hub) doubt(id MessageID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doubtful[id] = true
}

// runs says whether an answer is asked for or under way here. The caller holds
// h.mu.
func (h *Hub) runs(id MessageID) bool {
	st := h.streams[id]
	return st != nil && st.endedAt.IsZero()
}

// disownDoubtful gives up what the database has as this replica's and nobody
// runs, so that it is settled as a dead owner's: a commit may succeed and its
// answer be lost.
func (h *Hub) disownDoubtful(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	var ids []MessageID
	owned, err := h.peers.owned(ctx)
	if err != nil {
		return fmt.Errorf("read what is owned: %w", err)
	}
	claims := map[MessageID]bool{}
	for _, o := range h.left {
		claims[o.Message.ID] = true
	}
	h.mu.Lock()
	for _, o := range owned {
		if !h.runs(o.ID) && !claims[o.ID] {
			ids = append(ids, o.ID)
		}
	}
	for id := range h.doubtful {
		if !h.runs(id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	h.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	if err := h.store.Disown(ctx, h.opt.Replica, ids); err != nil {
		return fmt.Errorf("disown answers that nobody runs: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		delete(h.doubtful, id)
	}
	return nil
}

// settleDoubtful settles what this replica may have stored and does not run.
func (h *Hub) settleDoubtful(ctx context.Context) {
	h.mu.Lock()
	some := len(h.doubtful) > 0
	h.mu.Unlock()
	if !some && len(h.left) == 0 {
		return
	}
	err := h.disownDoubtful(ctx)
	if err == nil {
		err = h.settleOrphans(ctx, 0)
	}
	if err != nil && ctx.Err() == nil {
		h.log.Warn("settle answers that nobody runs", "err", err)
	}
}
