// Package pace says when those who read from providers read on, and how long the
// hub rests between two appends to its log.
//
// After an append the hub rests, so long for each stream that has something to
// show. At up to about 4,000 tokens a second, or 1,200 where every stream's part
// of an append is a message of its own, the rest is not felt. Beyond, it grows,
// and the readers of the providers take turns: those whose turn it is read all
// that there is, and what they have read is the next append. So a loaded hub
// reads, appends and writes for each stream some 20 times a second, whatever the
// rate of its tokens, and for so many streams at a time as pay for it and delay
// nobody else.
package pace

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	restGroup = 12500 * time.Microsecond // for each group whose turn it is
	restFull  = 16 * time.Millisecond    // the same, when many are in it
	restMany  = 80 * time.Microsecond    // for each of those
	restLong  = 2 * time.Millisecond     // from here on readers take turns
	readMax   = 10 * time.Millisecond    // how long an append waits for them
	groups    = 4
	atOnce    = 250 // streams that are worth an append of their own
)

// Turns is when the readers of providers read. At first they do at any time. Rest,
// Step and Stop are for one goroutine, the one that appends; readers call nothing
// but the methods of their [Reader].
type Turns struct {
	groups  [groups]group
	at      int           // the group that had the last turn
	wide    int           // groups that have the next one together
	had     int           // groups that had that last turn
	period  time.Duration // from one turn to the next
	small   int           // appends in a row at so low a load that readers need take no turns
	seen    int           // streams in the appends since the last turn began
	past    [groups]past  // the turns before it, newest first
	load    int           // about how many streams have something in as many turns as there are groups
	current atomic.Pointer[turn]
	all     chan struct{} // holds one: those of the current turn have read
}

// past is a turn that is over: how many groups had it, and how many streams
// were in its appends.
type past struct{ wide, streams int }

// turn is who reads in one.
type turn struct {
	turns   *Turns
	reading atomic.Int64
}

// group is readers that have their turn together.
type group struct {
	taking  atomic.Bool // whether they take turns
	mu      sync.Mutex
	next    *coming // nil if they take none
	waiting int64   // for next
}

// coming is a group's next turn, which is set before it comes.
type coming struct {
	come chan struct{}
	turn *turn
}

// New returns turns that nobody takes yet.
func New() *Turns { return &Turns{all: make(chan struct{}, 1), wide: groups} }

// Rest returns how long to rest after an append for so many streams, of which each
// one is worth a rest so long, and whether readers take turns from now on: if so,
// the next append is after a turn.
func (t *Turns) Rest(streams int, each time.Duration) (long time.Duration, paced bool) {
	if t.groups[0].taking.Load() {
		// One append may have a part of a group, or all of them after a wait: it is
		// the turns that tell, and no load falls at once.
		t.seen += streams
		t.load = max(streams, t.around(), t.load-t.load/4-1)
		if each*time.Duration(t.load) < restLong {
			if t.small++; t.small <= groups {
				return t.period, true
			}
		}
	} else {
		t.load = streams
	}
	t.small = 0
	part := t.load / groups
	for t.wide = groups; t.wide > 1 && part*t.wide > atOnce; {
		t.wide /= 2
	}
	long = min(restGroup*time.Duration(t.wide), each*time.Duration(t.load*t.wide/groups))
	t.period = max(long, min(restFull, restMany*time.Duration(part)))
	if long < restLong {
		t.Stop()
		return long, false
	}
	for i := range t.groups {
		t.groups[i].start()
	}
	return long, true
}

// AllRead receives when all have read whose turn it is.
func (t *Turns) AllRead() <-chan struct{} { return t.all }

// Quiet says that after so many turns in which nothing came all groups have had
// one, and there is nothing to take turns for.
func (t *Turns) Quiet(idle int) bool { return idle > groups }

// around is how many streams had something in the last turns in which every
// group had one.
func (t *Turns) around() (streams int) {
	wide := 0
	for _, p := range t.past {
		if wide < groups {
			wide += p.wide
			streams += p.streams
		}
	}
	return streams * groups / max(wide, groups)
}

// Step lets the next groups read, and returns how long an append waits for them
// at most, and when it is the others' turn, however long the log takes.
func (t *Turns) Step() (limit, next time.Duration) {
	select {
	case <-t.all: // of a turn that was not awaited
	default:
	}
	copy(t.past[1:], t.past[:])
	t.past[0] = past{t.had, t.seen}
	t.had, t.seen = t.wide, 0
	now := &turn{turns: t}
	now.reading.Add(1) // until all have been told
	t.current.Store(now)
	for range t.wide {
		t.at = (t.at + 1) % groups
		t.groups[t.at].let(now, true)
	}
	now.back()
	return min(readMax, t.period/2), t.period
}

// back says that one has read.
func (t *turn) back() {
	if t.reading.Add(-1) == 0 && t.turns.current.Load() == t {
		select {
		case t.turns.all <- struct{}{}:
		default:
		}
	}
}

// Stop lets all read at any time.
func (t *Turns) Stop() {
	t.wide, t.had, t.seen, t.past = groups, 0, 0, [groups]past{}
	none := &turn{turns: t} // that nobody awaits
	for i := range t.groups {
		if t.groups[i].taking.Load() {
			t.groups[i].let(none, false)
		}
	}
}

// start has its readers wait for their turn from now on.
func (g *group) start() {
	if g.taking.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = &coming{come: make(chan struct{})}
	g.taking.Store(true)
}

// let has all read who wait, in a turn, and those who come later wait again or not.
func (g *group) let(t *turn, again bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		return
	}
	t.reading.Add(g.waiting)
	g.waiting = 0
	g.next.turn = t
	close(g.next.come)
	g.next = nil
	if again {
		g.next = &coming{come: make(chan struct{})}
	}
	g.taking.Store(again)
}

type groupKey struct{}

// With returns a context for a provider's call: what reads with it takes turns in
// one of the groups. Numbers that follow each other are of different groups.
func With(ctx context.Context, t *Turns, group uint64) context.Context {
	return context.WithValue(ctx, groupKey{}, &t.groups[group%groups])
}

// A Reader reads a provider's answer from the network: on a hub with few streams
// at any time, else when others do, so that all that came meanwhile is one read.
// The zero Reader reads at any time. It is for one goroutine, but for Back.
type Reader struct {
	group *group
	turn  atomic.Pointer[turn] // in which it has been let, and is waited for
}

// Of returns the reader of a provider's call, by its context.
func Of(ctx context.Context) *Reader {
	g, _ := ctx.Value(groupKey{}).(*group)
	return &Reader{group: g}
}

// Waits says that the reader would wait now.
func (r *Reader) Waits() bool { return r.group != nil && r.group.taking.Load() }

// Wait waits until it is worth while to read on, for a few ms. It ends by time
// alone, whatever the viewers, the log and the database do.
func (r *Reader) Wait() {
	r.Back()
	if !r.Waits() {
		return
	}
	g := r.group
	g.mu.Lock()
	next := g.next
	if next != nil {
		g.waiting++
	}
	g.mu.Unlock()
	if next == nil {
		return
	}
	<-next.come
	r.turn.Store(next.turn)
}

// Back says that the reader has handed on all that there was: what others have
// read need not wait for it. Wait says so, too. Any goroutine may call it.
func (r *Reader) Back() {
	if t := r.turn.Swap(nil); t != nil {
		t.back()
	}
}
