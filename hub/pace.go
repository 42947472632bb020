package hub

import (
	"context"
	"sync/atomic"
	"time"
)

// After an append a committer rests, so long for each stream that had something
// in it. Up to about 4,000 tokens a second, or 1,200 with a bus, where every
// stream's part is a message of its own, the rest is not felt. Beyond, it grows,
// and the readers of the providers take turns: at the end of a rest those whose
// turn it is read all that there is. So a loaded hub reads, appends and writes
// for each stream some 25 times a second, whatever the rate of its tokens, and
// for so many streams at a time as pay for it and delay nobody else.
const (
	restEach    = 250 * time.Microsecond
	restEachBus = 800 * time.Microsecond
	restGroup   = 10 * time.Millisecond // for each group whose turn it is
	restLong    = 2 * time.Millisecond  // from here on readers take turns
	readEach    = 10 * time.Microsecond // what one may need to read what there is
	groups      = 4
	atOnce      = 250 // streams that are worth an append of their own
)

// turns is when the readers of providers read. The zero value lets them read at
// any time.
type turns struct {
	groups [groups]Pace
	at     int // the group that had the last turn
	wide   int // groups that have it together
}

// rest returns how long to rest after an append for so many streams, and when
// in it readers are to be told by step; 0 if they may read at any time.
func (t *turns) rest(streams int, each time.Duration) (long, read time.Duration) {
	t.wide = max(1, t.wide)
	group := streams / t.wide
	for t.wide = groups; t.wide > 1 && group*t.wide > atOnce; {
		t.wide /= 2
	}
	long = min(restGroup*time.Duration(t.wide), each*time.Duration(streams))
	if long < restLong {
		t.stop()
		return long, 0
	}
	t.start()
	return long, long - min(long/2, max(long/8, readEach*time.Duration(streams)))
}

// start has all readers wait for their turn from now on.
func (t *turns) start() {
	for i := range t.groups {
		t.groups[i].next.CompareAndSwap(nil, new(make(chan struct{})))
	}
}

// step lets the next groups read, and says when the others may at the latest,
// however long the log takes.
func (t *turns) step() (next time.Duration) {
	for range t.wide {
		t.at = (t.at + 1) % groups
		if was := t.groups[t.at].next.Swap(new(make(chan struct{}))); was != nil {
			close(*was)
		}
	}
	return restGroup * time.Duration(t.wide)
}

// stop lets all read at any time.
func (t *turns) stop() {
	for i := range t.groups {
		if was := t.groups[i].next.Swap(nil); was != nil {
			close(*was)
		}
	}
}

type paceKey struct{}

// withTurns has what reads with the context take turns in one of the groups.
func withTurns(ctx context.Context, t *turns, group uint64) context.Context {
	return context.WithValue(ctx, paceKey{}, &t.groups[group%groups])
}

// A Pace is when who reads a provider's answer from the network reads on: on a
// hub with few streams at any time, else when others do, so that all that came
// meanwhile is one read. A nil Pace is at any time.
type Pace struct {
	next atomic.Pointer[chan struct{}] // closed when it comes; nil: it is always
}

// PaceOf returns the pace of a provider's call, by the call's context.
func PaceOf(ctx context.Context) *Pace {
	p, _ := ctx.Value(paceKey{}).(*Pace)
	return p
}

// Now says that nobody need wait.
func (p *Pace) Now() bool { return p == nil || p.next.Load() == nil }

// Wait waits until it is worth while to read on, for a few ms. It ends by time
// alone, or with ctx, whatever the viewers, the log and the database do.
func (p *Pace) Wait(ctx context.Context) {
	if p == nil {
		return
	}
	if next := p.next.Load(); next != nil {
		select {
		case <-*next:
		case <-ctx.Done():
		}
	}
}
