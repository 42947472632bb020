package hub

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/eventlog"
	"github.com/omnichat/omnichat/hub/plain"
	"github.com/omnichat/omnichat/hub/room"
)

// AnswerMax is the most that [Options.AnswerBytes] may be.
const AnswerMax = 64 << 20

// Reasons for which the context of an answer ends.
var (
	errStopped  = errors.New("stopped by a person")
	errDeleted  = errors.New("message deleted")
	errShutdown = errors.New("the replica goes away")

	errFencedOut    = errors.New("another replica owns the answer")
	errBeingSettled = errors.New("another replica settles the answer")
)

// queue is the [committer], as a stream needs it.
type queue interface {
	// mark says that the stream has something pending.
	mark(st *stream)
}

// A stream is an answer that this replica owns, from before its question is stored until a
// while after its end. All methods may be called concurrently, but for those that the
// committer alone calls: drain, show and join; and checkpoint, which is ledger.keep's.
type stream struct {
	id      MessageID
	ctx     context.Context // of the provider's call
	cancel  context.CancelCauseFunc
	ready   chan struct{} // closed once log is set or the stream is given up
	commits queue
	bg      *background.Group
	limit   int64              // bytes that the answer may have
	held    *room.Room[UserID] // of all answers

	// These are set before ready is closed. Only the last three change later. The contents
	// of log are guarded by feed.mu.
	user    UserID
	session SessionID
	epoch   int64
	feed    *feed
	log     *liveLog
	head    []byte      // begins the stream's log on the bus; nil without a bus
	saved   int64       // the seq up to which checkpoints are stored; ledger.keep's alone
	ending  atomic.Bool // the answer's end is being stored
	over    atomic.Bool // the end is stored, or another replica owns the answer

	refs    int       // the asks that have reserved the id; guarded by the lock of the streams
	endedAt time.Time // zero while it runs; guarded by the lock of the streams

	mu       sync.Mutex
	pending  []eventlog.Delta // deltas that were pushed and that the committer has not taken
	usual    int              // how many there were the last time it took them
	unopened bool             // the stream's log is to be begun
	recheck  bool             // the log may be lost: the committer is to look
	fenced   bool             // another replica owns the answer: nothing more is shown
	inflight int              // chunks that were taken and not shown yet
	pushed   int64            // the seq of the newest delta that was taken
	size     int              // bytes that were pushed, but for notices
	beside   int              // bytes of what the answer has beside them
	lent     int64            // bytes reserved of held
	input    int64            // about how many tokens the prompt has
	price    *Price           // of the model that is asked; nil if it is not known
	closed   bool             // no more deltas are taken
	quiet    chan struct{}    // closed when nothing is pending or in flight; nil if nobody waits
}

// say adds text or reasoning, as push does.
func (st *stream) say(kind eventlog.Kind, text string) bool {
	if text = plain.Clean(text); text == "" {
		return true
	}
	return st.push(eventlog.Delta{Kind: kind, Text: text})
}

// push adds deltas that are of one moment. It never waits. It returns false if the answer may
// not grow further.
func (st *stream) push(deltas ...eventlog.Delta) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, d := range deltas {
		if st.closed || !st.fits(len(d.Text)) {
			return false
		}
		if d.Kind == eventlog.Notice {
			st.beside += len(d.Text)
		} else {
			st.size += len(d.Text)
		}
		st.add(d)
	}
	return true
}

// add has the committer take a delta. The caller holds st.mu.
func (st *stream) add(d eventlog.Delta) {
	if st.pending == nil {
		st.pending = make([]eventlog.Delta, 0, st.usual+1)
	}
	st.pending = append(st.pending, d)
	if len(st.pending) == 1 && !st.unopened && !st.recheck {
		st.commits.mark(st)
	}
}

// keep counts bytes that the answer has beside its text, such as calls of tools, and says
// whether there is room for them.
func (st *stream) keep(n int) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.fits(n) {
		return false
	}
	st.beside += n
	return true
}

// fits says whether the answer may have n bytes more. Answers are bounded since each is in
// memory several times over, until a while after its end. The caller ends an answer that may
// not with reason length, and holds st.mu.
func (st *stream) fits(n int) bool {
	size := int64(st.size + st.beside + n)
	if size > st.limit {
		return false
	}
	for size > st.lent+answerLump {
		if !st.held.Try(st.user, answerLump) {
			return false
		}
		st.lent += answerLump
	}
	return true
}

// giveBack returns what the answer has reserved.
func (st *stream) giveBack() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.held.Leave(st.user, st.lent)
	st.lent = 0
}

// pristine says whether nothing was pushed yet.
func (st *stream) pristine() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.size == 0
}

// asks notes the size of the prompt, in tokens, and the price of the model, nil if that is
// not known.
func (st *stream) asks(tokens int64, price *Price) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.input, st.price = tokens, price
}

// drain takes what is pending; nil if there is nothing.
func (st *stream) drain() *chunk {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.pending) == 0 && !st.unopened && !st.recheck {
		return nil
	}
	k := &chunk{stream: st, deltas: st.pending, open: st.unopened, from: st.pushed}
	st.usual = len(st.pending)
	st.pending, st.unopened, st.recheck = nil, false, false
	st.inflight++
	st.pushed += int64(len(k.deltas))
	k.last = st.pushed
	return k
}

// show appends a chunk's deltas to the log, where viewers see them, unless another replica
// owns the answer.
func (st *stream) show(k *chunk) {
	defer st.join()
	st.mu.Lock()
	fenced := st.fenced
	st.mu.Unlock()
	st.feed.mu.Lock()
	defer st.feed.mu.Unlock()
	k.shown = true
	defer func() {
		if r := recover(); r != nil {
			st.cancel(background.Panicked(st.bg.Logger, "showing an answer", r))
		}
	}()
	if !fenced {
		for _, d := range k.deltas {
			st.log.Append(d)
		}
		st.feed.wake()
	}
}

// join takes a chunk off the count of those in flight: it was shown, or it has become a part
// of another chunk.
func (st *stream) join() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.inflight--
	st.rest()
}

// fence ends a stream whose answer another replica owns now.
func (st *stream) fence() {
	st.mu.Lock()
	st.fenced, st.closed, st.pending, st.unopened, st.recheck = true, true, nil, false, false
	st.rest()
	st.mu.Unlock()
	st.cancel(errFencedOut)
}

// touch has the committer look whether the stream's log is still there.
func (st *stream) touch() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.fenced && len(st.pending) == 0 && !st.unopened && !st.recheck {
		st.recheck = true
		st.commits.mark(st)
	}
}

// whole returns a batch that begins the stream's log anew: all that was shown, and what the
// chunks add to it.
func (st *stream) whole(chunks []*chunk) Batch {
	st.feed.mu.Lock()
	defer st.feed.mu.Unlock()
	deltas := st.log.Deltas()
	for _, k := range chunks {
		if !k.shown {
			deltas = append(deltas, k.deltas...)
		}
	}
	return Batch{
		Session: st.session, Stream: st.id, Epoch: st.epoch, Open: true, Seq: int64(len(deltas)),
		Payload: eventlog.Batch{Head: st.head, Stream: string(st.id), Epoch: st.epoch, Deltas: deltas}.Encode(),
	}
}

// rest closes quiet if nothing is pending or in flight. The caller holds st.mu.
func (st *stream) rest() {
	if st.inflight == 0 && len(st.pending) == 0 && !st.unopened && !st.recheck && st.quiet != nil {
		close(st.quiet)
		st.quiet = nil
	}
}

// append adds deltas to a stream that takes no more.
func (st *stream) append(deltas []eventlog.Delta) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.fenced {
		return
	}
	for _, d := range deltas {
		st.add(d)
	}
}

// close takes no more deltas, and returns true once all that there are have been shown. With
// drop set, those that the committer has not taken are forgotten. It returns false if ctx
// ends first.
func (st *stream) close(ctx context.Context, drop bool) bool {
	st.mu.Lock()
	st.closed = true
	if drop {
		st.pending = nil
	}
	st.mu.Unlock()
	return st.flush(ctx)
}

// flush returns true once all deltas that there are have been shown. It returns false if ctx
// ends first.
func (st *stream) flush(ctx context.Context) bool {
	st.mu.Lock()
	if st.inflight == 0 && len(st.pending) == 0 && !st.unopened && !st.recheck {
		st.mu.Unlock()
		return true
	}
	quiet := make(chan struct{})
	st.quiet = quiet
	st.mu.Unlock()
	select {
	case <-quiet:
		return true
	case <-ctx.Done():
		return false
	}
}

// answerLump is how many bytes an answer reserves at a time of what the user's answers may
// hold. The first lump is not counted.
const answerLump = 64 << 10

// A chunk is what one stream says in one batch.
type chunk struct {
	stream *stream
	deltas []eventlog.Delta
	open   bool  // the stream's log is to be begun
	shown  bool  // viewers see it; guarded by the feed's lock, and set by stream.show alone
	from   int64 // the seq before the first delta
	last   int64 // the seq of the last delta
}

// unshown returns the chunks of batches that viewers have not seen; never nil.
func unshown(batches ...[]*chunk) []*chunk {
	out := []*chunk{}
	for _, batch := range batches {
		for _, k := range batch {
			if !k.shown {
				out = append(out, k)
			}
		}
	}
	return out
}

// show shows the chunks of a batch that viewers have not seen.
func show(batch []*chunk) {
	for _, k := range batch {
		if !k.shown {
			k.stream.show(k)
		}
	}
}

// joined returns chunks in which those that one stream said one after the other are one
// chunk, if viewers have seen all or none of them. So the number of chunks does not grow
// for as long as nobody takes them.
func joined(chunks []*chunk) []*chunk {
	newest := map[*stream]*chunk{}
	out := chunks[:0]
	for _, k := range chunks {
		before := newest[k.stream]
		if before == nil || before.shown != k.shown || before.last != k.from {
			newest[k.stream] = k
			out = append(out, k)
			continue
		}
		before.deltas, before.last = append(before.deltas, k.deltas...), k.last
		if !k.shown {
			k.stream.join()
		}
	}
	clear(chunks[len(out):])
	return out
}
