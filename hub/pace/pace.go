// Package pace says when those who read from providers read on, and how long the
// hub rests between two appends to its log.
//
// After an append the hub rests, so long for each stream that has something to
// show. At up to about 4,000 tokens a second, or 1,200 where every stream's part
// of an append is a message of its own, the rest is not felt. Beyond, it grows,
// and the readers of the providers take shifts: those whose shift it is read all
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
	restGroup = 12500 * time.Microsecond // for each group whose shift it is
	restFull  = 16 * time.Millisecond    // the same, when many are in it
	restMany  = 80 * time.Microsecond    // for each of those
	restLong  = 2 * time.Millisecond     // from here on readers take shifts
	readMax   = 10 * time.Millisecond    // how long an append waits for them
	groups    = 4
	atOnce    = 250 // streams that are worth an append of their own
)

// Shifts is when the readers of providers read. At first they do at any time. Rest,
// Step and Stop are for one goroutine, the one that appends; readers call nothing
// but the methods of their [Reader].
type Shifts struct {
	groups  [groups]group
	at      int           // the group that had the last shift
	wide    int           // groups that have the next one together
	had     int           // groups that had that last shift
	period  time.Duration // from one shift to the next
	small   int           // appends in a row at so low a load that readers need take no shifts
	seen    int           // streams in the appends since the last shift began
	past    [groups]past  // the shifts before it, newest first
	load    int           // about how many streams have something in as many shifts as there are groups
	current atomic.Pointer[shift]
	all     chan struct{} // holds one: those of the current shift have read
}

// past is a shift that is over: how many groups had it, and how many streams
// were in its appends.
type past struct{ wide, streams int }

// shift is who reads in one.
type shift struct {
	shifts  *Shifts
	reading atomic.Int64
}

// group is readers that have their shift together.
type group struct {
	taking  atomic.Bool // whether they take shifts
	mu      sync.Mutex
	next    *coming // nil if they take none
	waiting int64   // for next
}

// coming is a group's next shift, which is set before it comes.
type coming struct {
	come  chan struct{}
	shift *shift
}

// New returns shifts that nobody takes yet.
func New() *Shifts { return &Shifts{all: make(chan struct{}, 1), wide: groups} }

// Rest returns how long to rest after an append for so many streams, of which each
// one is worth a rest so long, and whether readers take shifts from now on: if so,
// the next append is after a shift.
func (t *Shifts) Rest(streams int, each time.Duration) (long time.Duration, paced bool) {
	if t.groups[0].taking.Load() {
		// One append may have a part of a group, or all of them after a wait: it is
		// the shifts that tell, and no load falls at once.
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

// AllRead receives when all have read whose shift it is.
func (t *Shifts) AllRead() <-chan struct{} { return t.all }

// Quiet says that after so many shifts in which nothing came all groups have had
// one, and there is nothing to take shifts for.
func (t *Shifts) Quiet(idle int) bool { return idle > groups }

// around is how many streams had something in the last shifts in which every
// group had one.
func (t *Shifts) around() (streams int) {
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
// at most, and when it is the others' shift, however long the log takes.
func (t *Shifts) Step() (limit, next time.Duration) {
	select {
	case <-t.all: // of a shift that was not awaited
	default:
	}
	copy(t.past[1:], t.past[:])
	t.past[0] = past{t.had, t.seen}
	t.had, t.seen = t.wide, 0
	now := &shift{shifts: t}
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
func (t *shift) back() {
	if t.reading.Add(-1) == 0 && t.shifts.current.Load() == t {
		select {
		case t.shifts.all <- struct{}{}:
		default:
		}
	}
}

// Stop lets all read at any time.
func (t *Shifts) Stop() {
	t.wide, t.had, t.seen, t.past = groups, 0, 0, [groups]past{}
	none := &shift{shifts: t} // that nobody awaits
	for i := range t.groups {
		if t.groups[i].taking.Load() {
			t.groups[i].let(none, false)
		}
	}
}

// start has its readers wait for their shift from now on.
func (g *group) start() {
	if g.taking.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = &coming{come: make(chan struct{})}
	g.taking.Store(true)
}

// let has all read who wait, in a shift, and those who come later wait again or not.
func (g *group) let(t *shift, again bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		return
	}
	t.reading.Add(g.waiting)
	g.waiting = 0
	g.next.shift = t
	close(g.next.come)
	g.next = nil
	if again {
		g.next = &coming{come: make(chan struct{})}
	}
	g.taking.Store(again)
}

type groupKey struct{}

// With returns a context for a provider's call: what reads with it takes shifts in
// one of the groups. Numbers that follow each other are of different groups.
func With(ctx context.Context, t *Shifts, group uint64) context.Context {
	return context.WithValue(ctx, groupKey{}, &t.groups[group%groups])
}

// A Reader reads a provider's answer from the network: on a hub with few streams
// at any time, else when others do, so that all that came meanwhile is one read.
// The zero Reader reads at any time. It is for one goroutine, but for Back.
type Reader struct {
	group *group
	shift atomic.Pointer[shift] // in which it has been let, and is waited for
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
	r.shift.Store(next.shift)
}

// Back says that the reader has handed on all that there was: what others have
// read need not wait for it. Wait says so, too. Any goroutine may call it.
func (r *Reader) Back() {
	if t := r.shift.Swap(nil); t != nil {
		t.back()
	}
}
