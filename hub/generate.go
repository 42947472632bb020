package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/eventlog"
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
	room      *room.Room[UserID] // by prompts
	bg        *background.Group
	observers []observer
	// tool makes a call, and returns how it ended. It is nil while there are no tools.
	tool func(ctx context.Context, user UserID, c Call) Call
}

// An observer is told how answers go. Its methods are called by the goroutine that
// generates the answer.
type observer interface {
	// ending completes the end of an answer before it is stored.
	ending(g *generation)
	// ended is told that the end is stored.
	ended(g *generation)
}

// A generation is one answer while it is generated: rounds, each a request to the
// provider, with the calls of tools between them. It is for one goroutine.
type generation struct {
	*generator
	st  *stream
	job job
	end AnswerEnd

	model    string // that is asked, "provider/model"
	vendor   Vendor // whose it is; it answered, or failed
	rounds   []round
	turns    []Turn // of the rounds before
	told     int    // how many bytes of the text are theirs
	calls    calling
	began    time.Time // when the first text or thought of the round came
	thinking time.Time // when the thoughts began that come now; zero while none come
	thoughts []int64   // how long each stretch of thoughts took, in milliseconds
	before   int       // how many of them are of the rounds before
}

// round is one request to the provider, as it is billed.
type round struct {
	vendor Vendor
	model  string
	usage  *Usage // as reported; nil if it was not
	input  int64  // tokens of the prompt, estimated; 0 if there was none
	output int64  // tokens of what the model said, estimated
	whole  bool   // it came to its end
}

// roundsMax is how many rounds an answer may have.
const roundsMax = 10

// generate runs an answer from its prompt to its stored end.
func (g *generator) generate(st *stream, j job) {
	defer j.admission.Release()
	defer st.cancel(nil)
	gen := &generation{generator: g, st: st, job: j, model: j.model, vendor: j.provider}
	gen.calls = calling{st: st, shown: g.peers.format() >= formatParts}
	if background.Guarded(g.bg.Logger, "generating an answer", func() error { gen.answer(); return nil }) == nil {
		return
	}
	// What could not be counted or priced is not tried again: what was shown is kept.
	g.bg.Guard("ending an answer", func() {
		gen.end = AnswerEnd{Reason: ReasonError, Error: brokenHere}
		if gen.whole() {
			gen.storeEnd()
		}
	})
}

// brokenHere is what everyone sees of a fault of ours.
var brokenHere = &Failure{Code: CodeInternal, Detail: "Something went wrong here."}

// answer reads an answer and stores its end.
func (g *generation) answer() {
	g.consume()
	if !g.whole() {
		return // Close: the next start settles it from the journal
	}
	for _, o := range g.observers {
		o.ending(g)
	}
	g.storeEnd()
	for _, o := range g.observers {
		o.ended(g)
	}
}

// whole completes an end with all that was shown. It returns false if the hub is
// closed before all is.
func (g *generation) whole() bool {
	st, end := g.st, &g.end
	if !st.close(g.bg.Context(), end.Reason == ReasonStopped) {
		return false
	}
	if g.calls.shown && len(g.calls.all) > 0 {
		said, _ := g.said()
		var ended []eventlog.Delta
		for _, c := range endCalls(said.Parts, end.Reason) { // everyone sees how
			ended = append(ended, callDelta(c))
		}
		st.append(ended)
		if !st.flush(g.bg.Context()) {
			return false
		}
	}
	st.ending.Store(true)
	var seq int64
	end.Said, seq = g.said()
	if !g.calls.shown {
		for _, c := range g.calls.all {
			end.Parts = append(end.Parts, Part{Type: KindCall, Call: c})
		}
		endCalls(end.Parts, end.Reason)
	}
	g.timeThoughts()
	end.Session, end.ID, end.Epoch, end.Seq, end.User = st.session, st.id, st.epoch, seq+1, st.user
	return true
}

// said is what viewers were shown, and the seq of the last of it.
func (g *generation) said() (Said, int64) {
	g.st.feed.mu.Lock()
	defer g.st.feed.mu.Unlock()
	c := g.st.log.Content()
	said, _ := saidIn(c)
	return said, c.Seq
}

// timeThoughts notes how long the thoughts among the parts took.
func (g *generation) timeThoughts() {
	g.thought()
	var thoughts []*Part
	for i := range g.end.Parts {
		if p := &g.end.Parts[i]; p.Type == KindReasoning {
			thoughts = append(thoughts, p)
		}
	}
	for i, ms := range g.thoughts {
		g.end.ThinkingMS += ms
		if len(thoughts) == len(g.thoughts) {
			thoughts[i].MS = ms
		}
	}
}

// thought ends a stretch of thoughts.
func (g *generation) thought() {
	if !g.thinking.IsZero() {
		g.thoughts = append(g.thoughts, max(1, time.Since(g.thinking).Milliseconds()))
		g.thinking = time.Time{}
	}
}

// consume reads the provider's answer into the stream, round by round, and notes how it
// ended.
func (g *generation) consume() {
	st, end := g.st, &g.end
	defer func() {
		if r := recover(); r != nil {
			_ = background.Panicked(g.bg.Logger, "provider of answer "+string(st.id), r) // it is logged
			end.Reason, end.Error = ReasonError, brokenHere
		}
	}()
	failed := g.ask()
	if failed != nil && end.Reason == "" && st.ctx.Err() == nil && st.pristine() {
		failed = g.fallBack(failed)
	}
	for failed == nil && end.Reason == ReasonToolCalls && g.makeCalls() {
		failed = g.ask()
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
		end.Reason, end.Error = ReasonError, g.catalogue.failure(st.user, g.vendor, failed)
	case end.Reason == "":
		end.Reason = ReasonError
		end.Error = &Failure{Code: CodeProviderTruncated, Detail: "The answer broke off before its end."}
	}
}

// ask makes one request to the provider and pushes what it says into the stream.
func (g *generation) ask() error {
	st := g.st
	asked := g.catalogue.modelOf(st.ctx, g.vendor, g.model)
	held := textMax(asked) + g.prompts.imageBytes // until it is known
	if err := g.room.Enter(st.ctx, st.user, held); err != nil {
		return err
	}
	defer func() { g.room.Leave(st.user, held) }()
	p, notices, err := g.prompts.make(st.ctx, Own(st.user), g.job, asked, g.vendor.Images)
	if err != nil {
		return err
	}
	p.Turns = append(p.Turns, g.turns...)
	g.room.Leave(st.user, held-p.size())
	held = p.size()
	if len(g.turns) == 0 { // else they were told with the first round
		g.notice(notices...)
	}
	r := round{vendor: g.vendor, model: g.model, input: estimatePrompt(p)}
	input := r.input
	for _, before := range g.rounds {
		if before.whole {
			input += before.input
		}
	}
	st.asks(input, g.catalogue.price(st.ctx, g.vendor, g.model))
	wait := &waiting{peers: g.peers, stream: st}
	g.calls.begin()
	g.began, g.before = time.Time{}, len(g.thoughts)
	defer func() {
		g.end.Notices = append(g.end.Notices, wait.notices()...)
		g.rounds = append(g.rounds, r)
	}()
	for d, err := range g.vendor.Stream(withTell(st.ctx, wait.tell), p) {
		wait.over()
		if err != nil {
			return err
		}
		if d.Usage != nil {
			r.usage = d.Usage
		}
		if d.Finish != "" {
			g.end.Reason = d.Finish
		}
		if !g.take(d) {
			g.end.Reason = ReasonLength
			break
		}
	}
	g.thought()
	if n, short := inputShort(p, r.usage); short {
		g.end.Notices = append(g.end.Notices, n)
	}
	return nil
}

// take pushes one delta of the provider into the stream. It returns false if the answer may
// not grow further.
func (g *generation) take(d Delta) bool {
	st := g.st
	if d.Opaque != nil {
		if !st.keep(len(d.Opaque)) {
			return false
		}
		g.end.Opaque = append(g.end.Opaque, d.Opaque)
	}
	if g.began.IsZero() && (d.Text != "" || d.Reasoning != "") {
		g.began = time.Now()
	}
	switch {
	case d.Reasoning != "" && g.thinking.IsZero():
		g.thinking = time.Now()
	case d.Text != "" || d.Tool != nil:
		g.thought()
	}
	if d.Past != "" && !g.move(d.Past) {
		return false
	}
	if d.Tool != nil && !g.calls.write(*d.Tool) {
		return false
	}
	return st.say(eventlog.Reasoning, d.Reasoning) && st.say(eventlog.Text, d.Text)
}

// move makes all that was said so far thoughts, or text. Where a replica lives
// that cannot read that, text stays text, and thoughts are told again as text.
func (g *generation) move(to Kind) bool {
	g.thought()
	switch {
	case to == KindReasoning && g.calls.shown:
		g.thoughts = g.thoughts[:g.before]
		if !g.began.IsZero() {
			g.thoughts = append(g.thoughts, max(1, time.Since(g.began).Milliseconds()))
		}
		return g.st.push(eventlog.Delta{Kind: eventlog.AsReasoning})
	case to == KindReasoning:
		return true
	case g.calls.shown:
		g.thoughts = g.thoughts[:g.before]
		return g.st.push(eventlog.Delta{Kind: eventlog.AsText})
	case !g.st.flush(g.st.ctx):
		return true // it ends
	}
	said, _ := g.said()
	return g.st.say(eventlog.Text, said.Reasoning)
}

// notice tells something beside the answer, at once where every replica can read that.
func (g *generation) notice(notices ...Notice) {
	g.end.Notices = append(g.end.Notices, notices...)
	if !g.calls.shown {
		return
	}
	var told []eventlog.Delta
	for _, n := range notices {
		told = append(told, eventlog.Delta{Kind: eventlog.Notice, Text: string(encode(n))})
	}
	g.st.push(told...) // where there is no room, they are told with the end
}

// fallBack asks the user's second model after the first one failed with
// nothing to show, if there is one.
func (g *generation) fallBack(failed error) error {
	model, st := g.job.asked.Settings.FallbackModel, g.st
	if model == "" || model == g.model || CodeOf(failed) == CodeInternal || CodeOf(failed) == CodeUnavailable {
		return failed
	}
	provider, _, err := g.catalogue.providerOf(st.ctx, st.user, "fallback_model", model)
	if err != nil {
		return failed
	}
	g.bg.Logger.Warn("answer failed; asking the fallback model", "message", st.id, "code", CodeOf(failed), "err", failed)
	first := g.vendor
	why := g.catalogue.failure(st.user, first, failed).Detail
	g.vendor, g.model, g.end = provider, model, AnswerEnd{Model: model}
	g.notice(Notice{Code: NoticeFallback, Detail: fmt.Sprintf("%s did not answer (%s) %s was asked instead.", g.job.model, why, model)})
	err = g.ask()
	if err != nil && st.pristine() && st.ctx.Err() == nil { // the first failure is what the person should act on
		why := g.catalogue.failure(st.user, provider, err).Detail
		g.vendor, g.end.Model = first, ""
		g.end.Notices = []Notice{{Code: NoticeFallbackFail, Detail: fmt.Sprintf("%s was asked instead, and failed, too: %s", model, why)}}
		return failed
	}
	return err
}

// makeCalls makes the calls of a round, and prepares the next one. It returns false if
// nobody makes them, or if the answer ends. All that happened is in the log before the next
// round begins, so that a death costs one round at most.
func (g *generation) makeCalls() bool {
	calls := g.calls.written()
	if g.tool == nil || len(calls) == 0 || len(g.rounds) >= roundsMax {
		return false
	}
	var working sync.WaitGroup
	places := make(chan struct{}, callsAtOnce)
	for _, c := range calls {
		c.Status = CallRunning
		if !g.calls.show(c) {
			return false
		}
		working.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if g.bg.Guard("calling a tool", func() { *c = g.tool(g.st.ctx, g.st.user, *c) }); !c.ended() {
				c.Status, c.Error = CallFailed, brokenHere
			}
		})
	}
	working.Wait()
	at := time.Now().UTC().Truncate(time.Millisecond)
	for _, c := range calls {
		if c.Result != nil && c.Result.Files == nil {
			c.Result.Files = []File{}
		}
		if c.EndedAt = &at; !g.calls.show(c) {
			return false
		}
	}
	if !g.st.flush(g.st.ctx) {
		return false
	}
	said, _ := g.said()
	g.endRound(said, true)
	turn := Turn{Role: RoleOfAssistant, Content: said.Content[g.told:]}
	for _, c := range calls {
		turn.Calls = append(turn.Calls, *c)
	}
	g.turns, g.told, g.end.Reason = append(g.turns, turn), len(said.Content), ""
	return true
}

// callsAtOnce is how many calls of one round are made side by side.
const callsAtOnce = 8

// endRound notes what the model said in the newest round.
func (g *generation) endRound(said Said, whole bool) {
	if len(g.rounds) == 0 {
		return
	}
	output := estimate(said.Content) + estimate(said.Reasoning)
	for _, p := range said.Parts {
		if p.Call != nil {
			output += estimate(p.Call.Tool) + estimate(p.Call.Arguments)
		}
	}
	for _, r := range g.rounds {
		output -= r.output
	}
	last := &g.rounds[len(g.rounds)-1]
	last.output, last.whole = output, whole
}

// store stores the end of an answer, and tells it. It tries until that succeeds.
func (g *generation) storeEnd() {
	st, end := g.st, &g.end
	end.At = time.Now().UTC().Truncate(time.Microsecond)
	var version int64
	err := g.insist(func(ctx context.Context) (err error) {
		version, err = g.store.EndAnswer(ctx, *end)
		return err
	})
	switch {
	case err == nil:
		st.over.Store(true) // it is in the books: whoever sees its end may ask again at once
		g.showEnd(st, version, *end)
	case errors.Is(err, ErrFenced):
		g.showStoredEnd(st, *end)
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
		Model: e.Model, ToolCalls: toolCalls(e.Parts), Notices: e.Notices, ThinkingMS: e.ThinkingMS,
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
		m, err = g.store.Message(ctx, Own(st.user), st.id)
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
