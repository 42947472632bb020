package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/plain"
	"github.com/omnichat/omnichat/hub/room"
)

// generator runs answers, from their prompts to their stored ends. It is safe for
// concurrent use.
type generator struct {
	store     Store
	streams   *streams
	catalogue *catalogue
	peers     peers
	prompts   *prompter
	titles    *titler
	room      *room.Room[UserID] // by prompts
	bg        *background.Group
}

// generate runs an answer from its prompt to its stored end.
func (g *generator) generate(st *stream, o order) {
	defer g.streams.dismiss(st.user)
	defer st.cancel(nil)
	if background.Guarded(g.bg.Logger, "generating an answer", func() error { g.answer(st, o); return nil }) == nil {
		return
	}
	// What could not be counted or priced is not tried again: what was shown is kept.
	g.bg.Guard("ending an answer", func() {
		end := AnswerEnd{Reason: ReasonError, Error: brokenHere}
		if g.whole(st, &end) {
			g.storeEnd(st, end)
		}
	})
}

// brokenHere is what everyone sees of a fault of ours.
var brokenHere = &Failure{Code: CodeInternal, Detail: "Something went wrong here."}

// answer reads an answer and stores its end.
func (g *generator) answer(st *stream, o order) {
	end := g.consume(st, o)
	if !g.whole(st, &end) {
		return // Close: the next start settles it from the journal
	}
	g.bill(st, o.model, &end)
	g.storeEnd(st, end)
	if o.title && end.Reason != ReasonError && end.Reason != ReasonInterrupted {
		g.bg.Go(func() { g.bg.Guard("making a title", func() { g.titles.make(st.user, o) }) })
	}
}

// whole completes an end with all that was shown. It returns false if the hub is
// closed before all is.
func (g *generator) whole(st *stream, end *AnswerEnd) bool {
	if !st.close(g.bg.Context(), end.Reason == ReasonStopped) {
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
func (g *generator) bill(st *stream, model string, end *AnswerEnd) {
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
	ctx, cancel := context.WithTimeout(g.bg.Context(), 2*time.Second)
	defer cancel()
	end.Usage = g.catalogue.account(ctx, end.vendor, model, end.Usage, whole, st.input, output)
}

// consume reads the provider's answer into the stream and says how it ended.
func (g *generator) consume(st *stream, o order) (end AnswerEnd) {
	defer func() {
		if r := recover(); r != nil {
			_ = background.Panicked(g.bg.Logger, "provider of answer "+string(st.id), r) // it is logged
			end.Reason, end.Error = ReasonError, brokenHere
		}
	}()
	failed := g.read(st, o, o.model, o.provider, &end)
	if failed != nil && end.Reason == "" && st.ctx.Err() == nil && st.pristine() {
		failed = g.fallBack(st, o, failed, &end)
	}
	switch cause := context.Cause(st.ctx); {
	case errors.Is(cause, errStopped), errors.Is(cause, errDeleted):
		end.Reason = ReasonStopped
	case errors.Is(cause, errFencedOut):
		end.Reason = ReasonInterrupted
	case cause != nil && end.Reason == "":
		end.Reason = ReasonInterrupted
	case failed != nil && end.Reason == "":
		g.bg.Logger.Warn("answer failed", "message", st.id, "code", CodeOf(failed), "err", failed)
		end.Reason, end.Error = ReasonError, g.catalogue.failure(st.user, end.vendor, failed)
	case end.Reason == "":
		end.Reason = ReasonError
		end.Error = &Failure{Code: CodeProviderTruncated, Detail: "The answer broke off before its end."}
	}
	return end
}

// read asks one model and pushes what it says into the stream.
func (g *generator) read(st *stream, o order, model string, v Vendor, end *AnswerEnd) error {
	end.vendor = v
	asked := g.catalogue.modelOf(st.ctx, v, model)
	held := textMax(asked) + g.prompts.imageBytes // until it is known
	if err := g.room.Enter(st.ctx, st.user, held); err != nil {
		return err
	}
	defer func() { g.room.Leave(st.user, held) }()
	p, notices, err := g.prompts.make(st.ctx, st.user, o, asked, v.Images)
	if err != nil {
		return err
	}
	g.room.Leave(st.user, held-p.size())
	held = p.size()
	end.Notices = append(end.Notices, notices...)
	st.asks(estimatePrompt(p), g.catalogue.price(st.ctx, v, model))
	wait := &waiting{peers: g.peers, stream: st}
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
func (g *generator) fallBack(st *stream, o order, failed error, end *AnswerEnd) error {
	model := o.asked.Settings.FallbackModel
	if model == "" || model == o.model || CodeOf(failed) == CodeInternal || CodeOf(failed) == CodeUnavailable {
		return failed
	}
	provider, _, err := g.catalogue.providerOf(st.ctx, st.user, "fallback_model", model)
	if err != nil {
		return failed
	}
	g.bg.Logger.Warn("answer failed; asking the fallback model", "message", st.id, "code", CodeOf(failed), "err", failed)
	first := end.vendor
	*end = AnswerEnd{Model: model, Notices: []Notice{{
		Code: NoticeFallback, Detail: fmt.Sprintf("%s did not answer (%s) %s was asked instead.", o.model, g.catalogue.failure(st.user, first, failed).Detail, model),
	}}}
	if err := g.read(st, o, model, provider, end); err != nil {
		if st.pristine() && st.ctx.Err() == nil { // the first failure is what the person should act on
			end.Model, end.vendor = "", first
			end.Notices = []Notice{{Code: NoticeFallbackFail, Detail: fmt.Sprintf("%s was asked instead, and failed, too: %s", model, g.catalogue.failure(st.user, provider, err).Detail)}}
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
	c.ID, c.Name = cmp.Or(c.ID, plain.Clean(d.ID)), cmp.Or(c.Name, plain.Clean(d.Name))
	c.Arguments += plain.Clean(d.Arguments)
	return calls
}

// storeEnd stores the end of an answer, and tells it. It tries until that succeeds.
func (g *generator) storeEnd(st *stream, end AnswerEnd) {
	end.At = time.Now().UTC().Truncate(time.Microsecond)
	var version int64
	err := g.insist(func(ctx context.Context) (err error) {
		version, err = g.store.EndAnswer(ctx, end)
		return err
	})
	switch {
	case err == nil:
		st.over.Store(true) // it is in the books: whoever sees its end may ask again at once
		g.showEnd(st, version, end)
	case errors.Is(err, ErrFenced):
		g.showStoredEnd(st, end)
	default:
		g.bg.Logger.Error("store the end of an answer", "message", st.id, "err", err)
	}
}

// insist repeats a write until it succeeds, is fenced or the hub closes.
func (g *generator) insist(write func(ctx context.Context) error) (err error) {
	g.bg.Retry(g.bg.Context(), 100*time.Millisecond, 2*time.Second, func() bool {
		ctx, cancel := context.WithTimeout(g.bg.Context(), 15*time.Second)
		defer cancel()
		if err = write(ctx); err == nil || errors.Is(err, ErrFenced) || g.bg.Ended() {
			return true
		}
		g.bg.Logger.Warn("write to the database; trying again", "err", err)
		return false
	})
	return err
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

// showEnd tells all viewers, on all replicas, that an answer has ended.
func (g *generator) showEnd(st *stream, version int64, end AnswerEnd) {
	finish := end.finish(st.log.Start().Model, version)
	func() {
		st.feed.mu.Lock()
		defer st.feed.mu.Unlock()
		st.log.End(encode(finish))
		st.feed.add(entry{log: st.log, seq: st.log.Last(), version: version})
		st.feed.wake()
	}()
	g.streams.retire(st)
	g.peers.tellEnd(st.session, endNote{Stream: st.id, Epoch: st.epoch, Seq: end.Seq, Version: version, Finish: encode(finish)})
}

// showStoredEnd ends a stream whose answer another replica has ended, or that was deleted.
func (g *generator) showStoredEnd(st *stream, end AnswerEnd) {
	var m Message
	err := g.insist(func(ctx context.Context) (err error) {
		m, err = g.store.Message(ctx, st.user, st.id)
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
		g.showEnd(st, 0, end)
		g.streams.drop(st)
		return
	}
	if err != nil {
		return
	}
	st.feed.mu.Lock()
	st.feed.settle(st.log, m)
	st.feed.mu.Unlock()
	g.streams.retire(st)
}
