package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// generate runs an answer from its prompt to its stored end.
func (h *Hub) generate(st *stream, o order) {
	defer h.dismiss(st.user)
	defer st.cancel(nil)
	if guarded(h.log, "generating an answer", func() error { h.answer(st, o); return nil }) == nil {
		return
	}
	// What could not be counted or priced is not tried again: what was shown is kept.
	h.guard("ending an answer", func() {
		end := AnswerEnd{Reason: ReasonError, Error: brokenHere}
		if h.whole(st, &end) {
			h.end(st, end)
		}
	})
}

// brokenHere is what everyone sees of a fault of ours.
var brokenHere = &Failure{Code: CodeInternal, Detail: "Something went wrong here."}

// answer reads an answer and stores its end.
func (h *Hub) answer(st *stream, o order) {
	end := h.consume(st, o)
	if !h.whole(st, &end) {
		return // Close: the next start settles it from the journal
	}
	h.bill(st, o.model, &end)
	h.end(st, end)
	if o.title && end.Reason != ReasonError && end.Reason != ReasonInterrupted {
		h.loops.Go(func() { h.guard("making a title", func() { h.makeTitle(st.user, o) }) })
	}
}

// whole completes an end with all that was shown. It returns false if the hub is
// closed before all is.
func (h *Hub) whole(st *stream, end *AnswerEnd) bool {
	if !st.close(h.base, end.Reason == ReasonStopped) {
		return false
	}
	st.ending.Store(true)
	st.feed.mu.Lock()
	defer st.feed.mu.Unlock()
	end.Content, end.Reasoning, end.Seq = st.log.Contents()
	end.Session, end.ID, end.Epoch, end.Seq, end.User = st.session, st.id, st.epoch, end.Seq+1, st.user
	return true
}

// bill completes the usage of an answer that is about to end.
func (h *Hub) bill(st *stream, model string, end *AnswerEnd) {
	failed := end.Reason == ReasonError && end.Content == "" && end.Reasoning == ""
	none := end.Usage == nil || *end.Usage == (Usage{})
	if none && (failed || st.input == 0) {
		return
	}
	if end.Model != "" {
		model = end.Model
	}
	output := estimate(end.Content) + estimate(end.Reasoning)
	for _, c := range end.ToolCalls {
		output += estimate(c.Name) + estimate(c.Arguments)
	}
	whole := end.Reason.Status() == StatusComplete
	ctx, cancel := context.WithTimeout(h.base, 2*time.Second)
	defer cancel()
	end.Usage = h.catalogue.account(ctx, end.vendor, model, end.Usage, whole, st.input, output)
}

// consume reads the provider's answer into the stream and says how it ended.
func (h *Hub) consume(st *stream, o order) (end AnswerEnd) {
	defer func() {
		if r := recover(); r != nil {
			_ = panicked(h.log, "provider of answer "+string(st.id), r) // it is logged
			end.Reason, end.Error = ReasonError, brokenHere
		}
	}()
	failed := h.read(st, o, o.model, o.provider, &end)
	if failed != nil && end.Reason == "" && st.ctx.Err() == nil && st.pristine() {
		failed = h.fallBack(st, o, failed, &end)
	}
	switch cause := context.Cause(st.ctx); {
	case errors.Is(cause, errStopped), errors.Is(cause, errDeleted):
		end.Reason = ReasonStopped
	case errors.Is(cause, errFencedOut):
		end.Reason = ReasonInterrupted
	case cause != nil && end.Reason == "":
		end.Reason = ReasonInterrupted
	case failed != nil && end.Reason == "":
		h.log.Warn("answer failed", "message", st.id, "code", CodeOf(failed), "err", failed)
		end.Reason, end.Error = ReasonError, h.catalogue.failure(st.user, end.vendor, failed)
	case end.Reason == "":
		end.Reason = ReasonError
		end.Error = &Failure{Code: CodeProviderTruncated, Detail: "The answer broke off before its end."}
	}
	return end
}

// read asks one model and pushes what it says into the stream.
func (h *Hub) read(st *stream, o order, model string, v Vendor, end *AnswerEnd) error {
	end.vendor = v
	asked := h.catalogue.modelOf(st.ctx, v, model)
	held := textMax(asked) + h.opt.PromptImageBytes // until it is known
	if err := h.prompts.enter(st.ctx, st.user, held); err != nil {
		return err
	}
	defer func() { h.prompts.leave(st.user, held) }()
	p, notices, err := h.prompt(st.ctx, st.user, o, asked, v.Images)
	if err != nil {
		return err
	}
	h.prompts.leave(st.user, held-p.size())
	held = p.size()
	end.Notices = append(end.Notices, notices...)
	st.asks(estimatePrompt(p), h.catalogue.price(st.ctx, v, model))
	wait := &waiting{hub: h, stream: st}
	defer func() { end.Notices = append(end.Notices, wait.notices()...) }()
	var thinking time.Time
	for d, err := range v.Stream(withTell(st.ctx, wait.tell), p) {
		wait.over()
		if err != nil {
			return err
		}
		if d.Usage != nil {
			end.Usage = d.Usage
		}
		if !st.keep(d.beside()) {
			end.Reason = ReasonLength
			break
		}
		if d.Tool != nil {
			end.ToolCalls = addToolCall(end.ToolCalls, *d.Tool)
		}
		if d.Opaque != nil {
			end.Opaque = append(end.Opaque, d.Opaque)
		}
		if d.Reasoning != "" && thinking.IsZero() {
			thinking = time.Now()
		}
		if d.Text != "" && !thinking.IsZero() && end.ThinkingMS == 0 {
			end.ThinkingMS = max(1, time.Since(thinking).Milliseconds())
		}
		if d.Finish != "" {
			end.Reason = d.Finish
		}
		if !st.push(d.Reasoning, true) || !st.push(d.Text, false) {
			end.Reason = ReasonLength
			break
		}
	}
	if !thinking.IsZero() && end.ThinkingMS == 0 {
		end.ThinkingMS = max(1, time.Since(thinking).Milliseconds())
	}
	if n, short := inputShort(p, end.Usage); short {
		end.Notices = append(end.Notices, n)
	}
	return nil
}

// fallBack asks the user's second model after the first one failed with
// nothing to show, if there is one.
func (h *Hub) fallBack(st *stream, o order, failed error, end *AnswerEnd) error {
	model := o.asked.Settings.FallbackModel
	if model == "" || model == o.model || CodeOf(failed) == CodeInternal || CodeOf(failed) == CodeUnavailable {
		return failed
	}
	provider, _, err := h.catalogue.providerOf(st.ctx, st.user, "fallback_model", model)
	if err != nil {
		return failed
	}
	h.log.Warn("answer failed; asking the fallback model", "message", st.id, "code", CodeOf(failed), "err", failed)
	first := end.vendor
	*end = AnswerEnd{Model: model, Notices: []Notice{{
		Code: NoticeFallback, Detail: fmt.Sprintf("%s did not answer (%s) %s was asked instead.", o.model, h.catalogue.failure(st.user, first, failed).Detail, model),
	}}}
	if err := h.read(st, o, model, provider, end); err != nil {
		if st.pristine() && st.ctx.Err() == nil { // the first failure is what the person should act on
			end.Model, end.vendor = "", first
			end.Notices = []Notice{{Code: NoticeFallbackFail, Detail: fmt.Sprintf("%s was asked instead, and failed, too: %s", model, h.catalogue.failure(st.user, provider, err).Detail)}}
			return failed
		}
		return err
	}
	return nil
}

// addToolCall adds a part of a call to those there are.
func addToolCall(calls []ToolCall, d ToolDelta) []ToolCall {
	if d.Index < 0 || d.Index > 1000 {
		return calls
	}
	for len(calls) <= d.Index {
		calls = append(calls, ToolCall{})
	}
	c := &calls[d.Index]
	// Some servers repeat both with each piece.
	c.ID, c.Name = cmp.Or(c.ID, clean(d.ID)), cmp.Or(c.Name, clean(d.Name))
	c.Arguments += clean(d.Arguments)
	return calls
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

// finish is the event that tells an answer's end, the same as finishOf makes of
// the stored message.
func (e AnswerEnd) finish(asked string, version int64) finishEvent {
	if e.Model == "" {
		e.Model = asked
	}
	return finishEvent{
		Type: "finish", MessageID: e.ID, Seq: e.Seq, Reason: e.Reason, Usage: e.Usage, Error: e.Error, Version: version,
		Model: e.Model, ToolCalls: e.ToolCalls, Notices: e.Notices, ThinkingMS: e.ThinkingMS,
	}
}

// tellEnd sends finish to everyone.
func (h *Hub) tellEnd(st *stream, version int64, end AnswerEnd) {
	finish := end.finish(st.log.Start().Model, version)
	func() {
		st.feed.mu.Lock()
		defer st.feed.mu.Unlock()
		st.log.End(encode(finish))
		st.feed.add(entry{log: st.log, seq: st.log.Last(), version: version})
		st.feed.wake()
	}()
	h.retire(st)
	h.peers.tellEnd(st.session, endNote{Stream: st.id, Epoch: st.epoch, Seq: end.Seq, Version: version, Finish: encode(finish)})
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
	st.over.Store(true)
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
	st.giveBack()
	if h.streams[st.id] == st {
		delete(h.streams, st.id)
	}
	st.feed.mu.Lock()
	defer st.feed.mu.Unlock()
	if st.feed.streams[st.id] == st.log {
		delete(st.feed.streams, st.id)
	}
	st.feed.letGo(st.log)
	h.forget(st.feed)
}
