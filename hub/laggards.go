package hub

import (
	"context"
	"time"

	"github.com/omnichat/omnichat/hub/background"
)

const (
	againEach   = 50 * time.Millisecond // how often those are looked for whose wait is over
	againSoon   = 50 * time.Millisecond // the first wait of a stream
	againLate   = time.Second           // the longest
	againAtOnce = 64                    // streams that are tried again together: they may be opened whole
	againLimit  = 3 * time.Second       // for a try
)

// laggards is the streams whose own logs do not have all that they should: one
// refused what it was given, or what it had not taken in time was kept in the
// database and shown. What such a stream says goes on to be kept and shown so.
// Each is tried again after waits of its own, with nothing new: its log has all
// then, or it is opened once more, whole. So nothing is held that was shown, and
// no stream waits for another one's log. It is the committer's run's.
type laggards struct {
	streams map[*stream]*laggard
	chunks  []*chunk // theirs, in order, that were not shown yet
	trying  bool     // a trial is under way, which reads chunks
	awaited bool     // the timer of the next look is set
	stood   time.Time
	jitter  func(time.Duration) time.Duration
}

// laggard is one of them.
type laggard struct {
	wait  time.Duration // before the try after the next
	again time.Time     // the next try
	last  int64         // seq of the newest delta that it has said
}

// trial tries some again.
type trial struct {
	looks   []*chunk // with nothing new
	chunks  map[*stream][]*chunk
	refused map[*stream]error
	err     error
	took    time.Duration
}

func newLaggards(jitter func(time.Duration) time.Duration) *laggards {
	return &laggards{streams: map[*stream]*laggard{}, jitter: jitter}
}

// answered says that the log has taken something.
func (t *trial) answered() bool { return t.err == nil && len(t.refused) < len(t.looks) }

func (b *laggards) some() bool { return len(b.streams) > 0 }

// add takes a stream in with a chunk that its log does not have.
func (b *laggards) add(k *chunk) {
	l := b.streams[k.stream]
	if l == nil {
		l = &laggard{wait: againSoon, again: time.Now().Add(b.jitter(againSoon))}
		b.streams[k.stream] = l
	}
	b.keep(l, k)
}

func (b *laggards) keep(l *laggard, k *chunk) {
	l.last = max(l.last, k.last)
	if !k.shown {
		b.chunks = append(b.chunks, k)
	}
}

// sift keeps what is the streams' of a batch, and returns the rest of it.
func (b *laggards) sift(batch []*chunk) []*chunk {
	if !b.some() {
		return batch
	}
	rest := batch[:0]
	for _, k := range batch {
		switch l := b.streams[k.stream]; {
		case l == nil:
			rest = append(rest, k)
		case len(k.deltas) == 0: // the bus is there again: it is tried at once
			l.wait, l.again = againSoon, time.Now()
			k.stream.show(k)
		default:
			b.keep(l, k)
		}
	}
	clear(batch[len(rest):])
	return rest
}

// instead takes the streams in whose part of a batch was kept and shown, while the
// log does not answer, and returns the rest of it.
func (b *laggards) instead(batch []*chunk) []*chunk {
	for _, k := range batch {
		if k.shown {
			b.add(k)
		}
	}
	return b.sift(unshown(batch))
}

// drop lets go what was shown.
func (b *laggards) drop() { b.chunks = unshown(b.chunks) }

// join makes what one stream has said one chunk, if nobody reads them.
func (b *laggards) join() {
	if !b.trying {
		b.chunks = joined(b.chunks)
	}
}

// rested says whether it is time to store a checkpoint again that failed.
func (b *laggards) rested(now time.Time) bool {
	if now.Sub(b.stood) < checkpointEach {
		return false
	}
	b.stood = now
	return true
}

// due begins a trial of those whose wait is over; nil if there are none, or one
// is under way. Those that have ended are forgotten.
func (b *laggards) due(now time.Time) *trial {
	b.awaited = false
	if b.trying {
		return nil
	}
	t := &trial{chunks: map[*stream][]*chunk{}}
	for st, l := range b.streams {
		if st.over.Load() {
			delete(b.streams, st)
		} else if !l.again.After(now) && len(t.looks) < againAtOnce {
			t.looks = append(t.looks, &chunk{stream: st, from: l.last, last: l.last})
			t.chunks[st] = nil
		}
	}
	if len(t.looks) == 0 {
		return nil
	}
	for _, k := range b.chunks {
		if _, ok := t.chunks[k.stream]; ok {
			t.chunks[k.stream] = append(t.chunks[k.stream], k)
		}
	}
	b.trying = true
	return t
}

// came ends a trial. It returns what the streams have said since that are behind
// no more.
func (b *laggards) came(t *trial) (next []*chunk) {
	b.trying = false
	since := map[*stream][]*chunk{} // it began, of those whose logs have what was said before
	for _, k := range t.looks {
		l := b.streams[k.stream]
		if t.err != nil || t.refused[k.stream] != nil {
			l.wait = min(2*l.wait, againLate)
			l.again = time.Now().Add(b.jitter(l.wait))
			continue
		}
		since[k.stream] = []*chunk{}
		show(t.chunks[k.stream])
	}
	b.drop()
	for _, k := range b.chunks {
		if s, ok := since[k.stream]; ok {
			since[k.stream] = append(s, k)
		}
	}
	for _, look := range t.looks {
		s, ok := since[look.stream]
		if !ok {
			continue
		}
		l, at := b.streams[look.stream], look.last
		for _, k := range s {
			if k.from == at {
				at = k.last
			}
		}
		if at == l.last {
			delete(b.streams, look.stream)
			next = append(next, s...)
		} else { // some was kept in the database and shown meanwhile
			l.again = time.Now()
		}
	}
	if len(next) > 0 {
		kept := b.chunks[:0]
		for _, k := range b.chunks {
			if b.streams[k.stream] != nil {
				kept = append(kept, k)
			}
		}
		clear(b.chunks[len(kept):])
		b.chunks = kept
	}
	return next
}

// tryAgain gives the logs of a trial's streams what they lack.
func (c *committer) tryAgain(ctx context.Context, t *trial) *trial {
	ctx, cancel := context.WithTimeout(ctx, againLimit)
	defer cancel()
	began := time.Now()
	t.err = background.Guarded(c.bg.Logger, "opening logs again", func() (err error) {
		t.refused, err = c.ship(ctx, t.looks, func(st *stream) []*chunk { return t.chunks[st] })
		return err
	})
	t.took = time.Since(began)
	return t
}

// joined is chunks of which those that one stream has said one after the other
// are one, if all or none of them was shown: their number does not grow with the
// time for which nobody takes them.
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
