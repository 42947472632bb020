package hub

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// generate runs an answer from its prompt to its stored end.
func (h *Hub) generate(st *stream, p Prompt, provider string) {
	defer h.dismiss(st.user)
	defer st.cancel(nil)
	end := h.consume(st, p, h.providers[provider])
	if !st.close(h.base, end.Reason == ReasonStopped) {
		return // Close: the next start settles it from the journal
	}
	st.ending.Store(true)
	st.feed.mu.Lock()
	end.Content, end.Reasoning, end.Seq = st.log.contents()
	st.feed.mu.Unlock()
	end.Session, end.ID, end.Epoch, end.Seq = st.session, st.id, st.epoch, end.Seq+1
	h.end(st, end)
}

// consume reads the provider's answer into the stream and says how it ended.
func (h *Hub) consume(st *stream, p Prompt, provider Provider) (end AnswerEnd) {
	defer func() {
		if r := recover(); r != nil {
			h.log.Error("provider panicked", "message", st.id, "panic", r, "stack", string(debug.Stack()))
			end.Reason, end.Error = ReasonError, &Failure{Code: CodeInternal, Detail: "Something went wrong here."}
		}
	}()
	var failed error
	for d, err := range provider.Stream(st.ctx, p) {
		if err != nil {
			failed = err
			break
		}
		if d.Usage != nil {
			end.Usage = d.Usage
		}
		if d.Finish != "" {
			end.Reason = d.Finish
		}
		if !st.push(d.Reasoning, true) || !st.push(d.Text, false) {
			end.Reason = ReasonLength
			break
		}
	}
	switch cause := context.Cause(st.ctx); {
	case errors.Is(cause, errStopped), errors.Is(cause, errDeleted):
		end.Reason = ReasonStopped
	case errors.Is(cause, errFencedOut):
		end.Reason = ReasonInterrupted
	case cause != nil && end.Reason == "":
		end.Reason = ReasonInterrupted
	case failed != nil && end.Reason == "":
		end.Reason, end.Error = ReasonError, h.failure(st, failed)
	case end.Reason == "":
		end.Reason = ReasonError
		end.Error = &Failure{Code: CodeProviderTruncated, Detail: "The answer broke off before its end."}
	}
	return end
}

// failure is what everyone may see of a provider's error.
func (h *Hub) failure(st *stream, err error) *Failure {
	h.log.Warn("answer failed", "message", st.id, "code", CodeOf(err), "err", err)
	var e *Error
	if errors.As(err, &e) {
		return &Failure{Code: e.Code, Detail: e.Msg}
	}
	return &Failure{Code: CodeProviderError, Detail: "The provider failed in an unexpected way."}
}

// end stores the end of an answer, however often it takes, and then tells it.
func (h *Hub) end(st *stream, end AnswerEnd) {
	end.At = time.Now().UTC().Truncate(time.Microsecond)
	var version int64
	err := h.insist(func(ctx context.Context) (err error) {
		version, err = h.store.EndAnswer(ctx, end)
		return err
	})
	switch {
	case err == nil:
		h.tellEnd(st, version, end)
	case errors.Is(err, ErrFenced):
		h.tellFenced(st, end)
	default:
		h.log.Error("store the end of an answer", "message", st.id, "err", err)
	}
}

// insist repeats a write until it succeeds, is fenced or the hub closes.
func (h *Hub) insist(write func(ctx context.Context) error) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		ctx, cancel := context.WithTimeout(h.base, 15*time.Second)
		err := write(ctx)
		cancel()
		if err == nil || errors.Is(err, ErrFenced) || h.base.Err() != nil {
			return err
		}
		h.log.Warn("write to the database; trying again", "err", err)
		if !pause(h.base, h.commits.jitter(wait)) {
			return err
		}
	}
}

// tellEnd sends finish to everyone.
func (h *Hub) tellEnd(st *stream, version int64, end AnswerEnd) {
	finish := finishEvent{Type: "finish", MessageID: st.id, Seq: end.Seq, Reason: end.Reason, Usage: end.Usage, Error: end.Error, Version: version}
	st.feed.mu.Lock()
	st.log.end(encode(finish))
	st.feed.add(entry{log: st.log, seq: st.log.last, version: version})
	st.feed.wake()
	st.feed.mu.Unlock()
	h.retire(st)
	h.tellOthersEnd(st.session, endNote{Stream: st.id, Epoch: st.epoch, Seq: end.Seq, Version: version, Finish: encode(finish)})
}

// tellFenced ends a stream that somebody else has ended or deleted.
func (h *Hub) tellFenced(st *stream, end AnswerEnd) {
	var m Message
	err := h.insist(func(ctx context.Context) (err error) {
		m, err = h.store.Message(ctx, st.user, st.id)
		if CodeOf(err) == CodeNotFound {
			return ErrFenced
		}
		if err == nil && m.Status == StatusStreaming {
			return errBeingSettled
		}
		return err
	})
	if errors.Is(err, ErrFenced) {
		end.Reason, end.Error = ReasonStopped, nil
		h.tellEnd(st, 0, end)
		h.drop(st)
		return
	}
	if err != nil {
		return
	}
	st.feed.mu.Lock()
	st.feed.settle(st.log, m)
	st.feed.mu.Unlock()
	h.retire(st)
}

// retire has the stream forgotten after a while.
func (h *Hub) retire(st *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	st.endedAt = time.Now()
	h.ended = append(h.ended, st)
}

// drop forgets a stream whose message was deleted. Who follows it still gets its
// end.
func (h *Hub) drop(st *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropLocked(st)
}

func (h *Hub) dropLocked(st *stream) {
	if h.streams[st.id] == st {
		delete(h.streams, st.id)
	}
	st.feed.mu.Lock()
	defer st.feed.mu.Unlock()
	if st.feed.streams[st.id] == st.log {
		delete(st.feed.streams, st.id)
	}
	h.forget(st.feed)
}

// lostJump is how far the seq of an answer's end jumps where its log was lost:
// further than anyone may have been shown.
const lostJump = 1_000_000

// claimed is an answer of a dead owner that this replica is to settle.
type claimed struct {
	Orphan
	tries int
}

const (
	settlers     = 8                // answers settled at a time
	settleLimit  = 5 * time.Second  // for one of them
	claimLimit   = 60 * time.Second // for all that are claimed at once
	takeOverMost = 3                // tries to read a log before the journal must do
)

// settleOrphans ends the answers that dead owners left streaming, with all
// that the log or the last checkpoint has of them. What it could not settle is
// in left, and is tried again by the next call.
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
		n, err := h.settleLeft(ctx)
		if settled += n; err != nil {
			return err
		}
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
func (h *Hub) settleLeft(ctx context.Context) (settled int, err error) {
	failed := make([]error, len(h.left))
	var working sync.WaitGroup
	next := make(chan int)
	for range min(settlers, len(h.left)) {
		working.Go(func() {
			for i := range next {
				limit, cancel := context.WithTimeout(ctx, settleLimit)
				failed[i] = h.settle(limit, h.left[i])
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
		o.tries++
		again = append(again, o)
		err = fmt.Errorf("settle answer %s: %w", o.Message.ID, failed[i])
	}
	h.left = again
	return settled, err
}

// settle ends one orphan.
func (h *Hub) settle(ctx context.Context, o *claimed) error {
	m := o.Message
	end := AnswerEnd{
		Session: m.SessionID, ID: m.ID, Epoch: m.Epoch, Seq: o.Seq + 1, Content: o.Content, Reasoning: o.Reasoning,
		Reason: ReasonInterrupted, At: time.Now().UTC().Truncate(time.Microsecond),
	}
	if h.opt.Bus != nil {
		l, err := h.takeOver(ctx, m)
		switch {
		case err == nil && l.last >= o.Seq:
			var seq int64
			end.Content, end.Reasoning, seq = l.contents()
			end.Seq = seq + 1
		case errors.Is(err, ErrFenced):
			return nil // somebody has claimed it from us
		case err == nil, errors.Is(err, ErrLogLost), h.opt.Bus.Up() != nil, o.tries >= takeOverMost:
			end.Seq += lostJump
		default:
			return err
		}
	}
	version, err := h.store.EndAnswer(ctx, end)
	if errors.Is(err, ErrFenced) {
		return nil
	}
	if err != nil {
		return err
	}
	finish := finishEvent{Type: "finish", MessageID: m.ID, Seq: end.Seq, Reason: end.Reason, Version: version}
	h.tellOthersEnd(m.SessionID, endNote{Stream: m.ID, Epoch: m.Epoch, Seq: end.Seq, Version: version, Finish: encode(finish)})
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
	if h.opt.Bus != nil {
		owned, err := h.opt.Leases.Owned(ctx, h.opt.Replica)
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
		h.mu.Unlock()
	}
	h.mu.Lock()
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

// takeOver fences the old owner out of the log and returns what it has.
func (h *Hub) takeOver(ctx context.Context, m Message) (*log, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	tail, err := h.opt.Bus.Takeover(ctx, m.SessionID, m.ID, m.Epoch)
	if err != nil {
		return nil, fmt.Errorf("take over the log: %w", err)
	}
	if tail.Lost {
		return nil, ErrLogLost
	}
	l := newLog(m)
	for _, p := range tail.Payloads {
		if b, err := decodeBatch(p); err != nil || !l.extend(b) {
			return nil, ErrLogLost
		}
	}
	return l, nil
}
