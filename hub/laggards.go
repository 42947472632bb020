package hub

import (
	"time"
)

const (
	againEach   = 50 * time.Millisecond // how often laggards are looked at
	againSoon   = 50 * time.Millisecond // the first wait of a laggard before it is tried again
	againLate   = time.Second           // the longest wait
	againAtOnce = 64                    // laggards in one trial: each may need its whole log written
	againLimit  = 3 * time.Second       // for one trial

	// checkpointEach is how often a checkpoint is tried while the ledger is away.
	checkpointEach = 250 * time.Millisecond
)

// laggards are the streams whose own logs lack something: the log refused a chunk, or it
// had not taken it in time, so that the chunk was stored as a checkpoint and shown. What
// a laggard says from then on is stored as checkpoints and shown, beside the ledger. It
// is tried again after waits of its own, with a chunk that has nothing new: either its
// log has everything then, or the log is begun anew with the whole answer. So nothing
// that was shown is held in memory, and no stream waits for the log of another one.
//
// Laggards are a commitLoop's, and of its goroutine alone.
type laggards struct {
	streams map[*stream]*laggard
	chunks  []*chunk  // what they have said and viewers have not seen, in order
	trying  bool      // a trial is under way, which reads chunks
	awaited bool      // the timer for the next look is set
	stood   time.Time // when a checkpoint was last repeated
	jitter  func(time.Duration) time.Duration
}

// laggard is one of them.
type laggard struct {
	wait  time.Duration // before the trial after the next one
	again time.Time     // when the next trial may be
	last  int64         // the seq of the newest delta that the stream has said
}

// A trial gives some laggards to the ledger again.
type trial struct {
	looks   []*chunk             // one for each of them, with nothing new
	chunks  map[*stream][]*chunk // what they have said and viewers have not seen
	refused map[*stream]error    // those that the ledger refuses still
	err     error                // nothing is known of any of them
	took    time.Duration
}

func newLaggards(jitter func(time.Duration) time.Duration) *laggards {
	return &laggards{streams: map[*stream]*laggard{}, jitter: jitter}
}

// answered says whether the ledger has taken something.
func (t *trial) answered() bool { return t.err == nil && len(t.refused) < len(t.looks) }

func (b *laggards) some() bool { return len(b.streams) > 0 }

// add makes a stream a laggard, with a chunk that its log lacks.
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

// sift keeps the chunks of a batch that are laggards', and returns the others.
func (b *laggards) sift(batch []*chunk) []*chunk {
	if !b.some() {
		return batch
	}
	rest := batch[:0]
	for _, k := range batch {
		switch l := b.streams[k.stream]; {
		case l == nil:
			rest = append(rest, k)
		case len(k.deltas) == 0: // the bus is back: the laggard is tried at once
			l.wait, l.again = againSoon, time.Now()
			k.stream.show(k)
		default:
			b.keep(l, k)
		}
	}
	clear(batch[len(rest):])
	return rest
}

// instead makes laggards of the streams whose chunks of a batch were stored beside the
// ledger and shown, while the ledger does not answer, and returns the other chunks.
func (b *laggards) instead(batch []*chunk) []*chunk {
	for _, k := range batch {
		if k.shown {
			b.add(k)
		}
	}
	return b.sift(unshown(batch))
}

// drop forgets the chunks that viewers have seen.
func (b *laggards) drop() { b.chunks = unshown(b.chunks) }

// join makes one chunk of those that a stream said one after the other, unless a trial
// reads them.
func (b *laggards) join() {
	if !b.trying {
		b.chunks = joined(b.chunks)
	}
}

// rested says whether it is time to repeat a checkpoint that failed.
func (b *laggards) rested(now time.Time) bool {
	if now.Sub(b.stood) < checkpointEach {
		return false
	}
	b.stood = now
	return true
}

// due begins a trial of the laggards whose wait is over. It returns nil if there are
// none or if another trial is under way. Laggards whose answers have ended are
// forgotten.
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

// came ends a trial. It returns what the streams that are no laggards any more have
// said since it began.
func (b *laggards) came(t *trial) (next []*chunk) {
	b.trying = false
	since := map[*stream][]*chunk{} // of the streams whose logs have caught up: what they have said since the trial began
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
		} else { // meanwhile some of it was stored as a checkpoint and shown
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
