// Package pace says when the readers of the providers' answers read on, and how long the
// hub rests between two appends to its ledger.
//
// After each append the hub rests, a little for each stream that has something to show.
// Up to about 4,000 tokens a second, or 1,200 where each stream's part of an append is
// a message of its own, nobody notices the rest. Beyond that it grows, and the readers
// work in shifts: those whose shift it is read all that has arrived, and what they have
// read is the next append. So a hub under load reads, appends and writes about 20 times
// a second for each stream, whatever the rate of its tokens, and each append is for as
// many streams as make it worth its cost without making the others wait.
package pace

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	restGroup = 12500 * time.Microsecond // the longest rest for each group whose shift it is
	restFull  = 16 * time.Millisecond    // the longest shift of a large group
	restMany  = 80 * time.Microsecond    // what a shift lasts for each stream of the group
	restLong  = 2 * time.Millisecond     // from this rest on readers work in shifts
	readMax   = 10 * time.Millisecond    // how long an append waits for the readers of a shift
	groups    = 4                        // of readers
	atOnce    = 250                      // so many streams are worth an append of their own
)

// Shifts says when the readers of providers read. At first they read at any time. The
// goroutine that appends calls Rest, Step, Stop, AllRead and Quiet; readers call the
// methods of their [Reader] alone.
type Shifts struct {
	groups  [groups]group
	at      int           // the group that had the last shift
	wide    int           // how many groups have the next shift together
	had     int           // how many groups had the last one
	period  time.Duration // from one shift to the next
	small   int           // appends in a row at so low a load that no shifts are needed
	seen    int           // streams in the appends since the last shift began
	past    [groups]past  // the shifts before it, newest first
	load    int           // about how many streams have something to say while every group has a shift
	current atomic.Pointer[shift]
	all     chan struct{} // holds one item when the readers of the current shift have read
}

// past is a shift that is over: how many groups had it, and how many streams were in
// the appends of that time.
type past struct{ wide, streams int }

// shift counts the readers of one shift that have not read yet.
type shift struct {
	shifts  *Shifts
	reading atomic.Int64
}

// group is readers that have their shift at the same time.
type group struct {
	working atomic.Bool // whether its readers work in shifts
	mu      sync.Mutex  // guards the rest
	next    *coming     // nil while they do not
	waiting int64       // readers that wait for next
}

// coming is a group's next shift. The field shift is set before come is closed.
type coming struct {
	come  chan struct{}
	shift *shift
}

// New returns shifts in which nobody works yet.
func New() *Shifts { return &Shifts{all: make(chan struct{}, 1), wide: groups} }

// Rest returns how long to rest after an append that had so many streams, each of which
// is worth a rest of each. It says whether readers work in shifts from now on: if so, the
// next append follows a shift.
func (s *Shifts) Rest(streams int, each time.Duration) (long time.Duration, paced bool) {
	if s.groups[0].working.Load() {
		// One append may have a part of a group, or several groups after a delay: the
		// shifts together tell the load, and it is taken to fall slowly.
		s.seen += streams
		s.load = max(streams, s.around(), s.load-s.load/4-1)
		if each*time.Duration(s.load) < restLong {
			if s.small++; s.small <= groups {
				return s.period, true
			}
		}
	} else {
		s.load = streams
	}
	s.small = 0
	part := s.load / groups
	for s.wide = groups; s.wide > 1 && part*s.wide > atOnce; {
		s.wide /= 2
	}
	long = min(restGroup*time.Duration(s.wide), each*time.Duration(s.load*s.wide/groups))
	s.period = max(long, min(restFull, restMany*time.Duration(part)))
	if long < restLong {
		s.Stop()
		return long, false
	}
	for i := range s.groups {
		s.groups[i].start()
	}
	return long, true
}

// AllRead receives an item when all readers of the current shift have read.
func (s *Shifts) AllRead() <-chan struct{} { return s.all }

// Quiet says whether every group has had a shift since something came, for so many idle
// shifts: then shifts are not needed.
func (s *Shifts) Quiet(idle int) bool { return idle > groups }

// around returns how many streams had something in the last shifts in which every group
// had one.
func (s *Shifts) around() (streams int) {
	wide := 0
	for _, p := range s.past {
		if wide < groups {
			wide += p.wide
			streams += p.streams
		}
	}
	return streams * groups / max(wide, groups)
}

// Step begins the next shift. It returns how long an append waits for its readers at
// most, and when the shift after it begins, however long the append takes.
func (s *Shifts) Step() (limit, next time.Duration) {
	select {
	case <-s.all: // left by a shift that no append has waited for
	default:
	}
	copy(s.past[1:], s.past[:])
	s.past[0] = past{s.had, s.seen}
	s.had, s.seen = s.wide, 0
	now := &shift{shifts: s}
	now.reading.Add(1) // until all readers have been told
	s.current.Store(now)
	for range s.wide {
		s.at = (s.at + 1) % groups
		s.groups[s.at].let(now, true)
	}
	now.back()
	return min(readMax, s.period/2), s.period
}

// back says that a reader of the shift has read.
func (t *shift) back() {
	if t.reading.Add(-1) == 0 && t.shifts.current.Load() == t {
		select {
		case t.shifts.all <- struct{}{}:
		default:
		}
	}
}

// Stop ends the shifts: all readers read at any time.
func (s *Shifts) Stop() {
	s.wide, s.had, s.seen, s.past = groups, 0, 0, [groups]past{}
	none := &shift{shifts: s} // no append waits for it
	for i := range s.groups {
		if s.groups[i].working.Load() {
			s.groups[i].let(none, false)
		}
	}
}

// start has the readers of the group wait for their shift from now on.
func (g *group) start() {
	if g.working.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = &coming{come: make(chan struct{})}
	g.working.Store(true)
}

// let gives the readers that wait a shift. Those that come later wait for another one if
// again is set, else they do not wait.
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
	g.working.Store(again)
}

type groupKey struct{}

// With returns a context for a provider's call: a [Reader] made with it works in the
// shifts of one of the groups. Calls with consecutive numbers are in different groups.
func With(ctx context.Context, t *Shifts, group uint64) context.Context {
	return context.WithValue(ctx, groupKey{}, &t.groups[group%groups])
}

// A Reader says when to read a provider's answer from the network: at any time on a hub
// with few streams, else in its group's shift, so that all that has arrived meanwhile is
// one read. The zero Reader reads at any time. It is for one goroutine at a time, but
// Back may be called concurrently.
type Reader struct {
	group *group
	shift atomic.Pointer[shift] // the one that waits for this reader; nil if none does
}

// Of returns the reader of the call that ctx is of; see [With].
func Of(ctx context.Context) *Reader {
	g, _ := ctx.Value(groupKey{}).(*group)
	return &Reader{group: g}
}

// Waits says whether Wait would wait now.
func (r *Reader) Waits() bool { return r.group != nil && r.group.working.Load() }

// Wait waits for the reader's next shift, a few milliseconds. Nothing but time ends the
// wait: it never depends on viewers, the ledger or the database.
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

// Back says that the reader has handed on all that there was, so that the append of the
// shift need not wait for it. Wait says so, too.
func (r *Reader) Back() {
	if t := r.shift.Swap(nil); t != nil {
		t.back()
	}
}
