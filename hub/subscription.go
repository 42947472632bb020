package hub

import (
	"slices"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// A sub is one viewer's cursors into one feed. The feed's lock guards it.
type sub struct {
	viewer *Viewer
	feed   *feed
	at     int    // its place in feed.subs; -1 once it has left
	left   bool   // it follows the feed no more; guarded by viewer.mu
	single bool   // follows one stream, as SSE does, and no changes
	held   bool   // what is new waits until the answer to the subscribe is ready
	member bool   // that was given once: the viewer counts
	asks   int32  // commands that have joined and are not answered yet; guarded by viewer.mu
	head   []byte // that answer
	next   int    // the next entry
	acked  int64  // changes up to this version are in the answer
	owing  *owing // nil if it is owed nothing
	places []place
	first  [1]place // where places begins
}

// place is a cursor into one stream.
type place struct {
	log   *liveLog
	pos   int64
	fresh bool  // to be sent before any entry
	until int64 // what is missing up to here is sent merged
}

// advance cuts what comes next, up to and with limit.
func (p *place) advance(f eventlog.Framing, limit int64) (out eventlog.Piece) {
	merge := p.pos < p.until
	if merge && p.pos >= eventlog.FromStart {
		limit = min(limit, p.until)
	}
	out, p.pos = p.log.Take(f, p.pos, limit, merge)
	return out
}

// astray says that the place is beyond the stream's end.
func (p *place) astray() bool { return p.log.Ended() && p.pos > p.log.Last() }

// find returns the sub's place in a stream, made if there is none yet. A
// viewer without a place has seen all that came before it: it stands at from.
func (s *sub) find(l *liveLog, from int64) *place {
	for i := range s.places {
		if s.places[i].log == l {
			return &s.places[i]
		}
	}
	if s.places == nil {
		s.places = s.first[:0]
	}
	s.places = append(s.places, place{log: l, pos: from})
	if len(s.places) > len(s.first) {
		clear(s.first[:]) // they lie elsewhere now
	}
	return &s.places[len(s.places)-1]
}

// snapshotAll gives the sub a snapshot of every stream in flight that it has
// no place in. The caller holds the feed's lock.
func (s *sub) snapshotAll() {
	for _, l := range s.feed.streams {
		if !l.Ended() {
			if p := s.find(l, eventlog.NoPosition); p.pos == eventlog.NoPosition {
				p.fresh = true
			}
		}
	}
}

// assemble cuts what the viewer is to be sent next; more says that there may be
// something behind it. Small changes are joined in dst, which is empty; a
// piece of a stream is given out by itself. The caller holds the feed's lock.
func (s *sub) assemble(dst []byte) (out []byte, p eventlog.Piece, more bool) {
	if s.held {
		return dst, eventlog.Piece{}, false
	}
	if s.head != nil {
		dst = append(dst, s.head...)
		s.head = nil
		return dst, eventlog.Piece{}, true
	}
	framing := s.viewer.framing
	for i := range s.places {
		if pl := &s.places[i]; pl.fresh {
			p = pl.advance(framing, pl.log.Last())
			pl.fresh = false
			return dst, p, true
		}
	}
	if s.single {
		if dst = s.tellAbout(dst); len(dst) > 0 {
			return dst, eventlog.Piece{}, true
		}
	}
	if s.next < s.feed.base {
		s.next = s.feed.head()
		s.snapshotAll()
		return eventlog.AppendFrame(dst, framing, -1, s.feed.versionEvent(s.feed.version)), eventlog.Piece{}, true
	}
	for s.next < s.feed.head() {
		e := s.feed.entries[s.next-s.feed.base]
		if e.log != nil {
			if pl := s.find(e.log, e.seq-1); pl.pos < e.seq || pl.astray() {
				if len(dst) > 0 {
					return dst, eventlog.Piece{}, true
				}
				return dst, pl.advance(framing, e.seq), true
			}
		} else if e.event != nil && (e.version == 0 || e.version > s.acked) {
			dst = eventlog.AppendFrame(dst, framing, -1, e.event)
		}
		s.next++
		if len(dst) > eventlog.BatchMax/2 {
			return dst, eventlog.Piece{}, true
		}
	}
	if len(dst) > 0 {
		return dst, eventlog.Piece{}, true
	}
	for i := 0; i < len(s.places); i++ {
		pl := &s.places[i]
		if pl.pos < pl.log.Last() || pl.astray() {
			return dst, pl.advance(framing, pl.log.Last()), true
		}
		if pl.log.Ended() && !s.single {
			s.places = slices.Delete(s.places, i, i+1)
			i--
		}
	}
	if len(s.places) == 0 {
		s.places = nil
	}
	s.payOwed()
	return dst, eventlog.Piece{}, false
}

// done says that a single stream has been sent whole.
func (s *sub) done() bool {
	return s.single && s.places[0].log.Ended() && s.places[0].pos == s.places[0].log.Last()
}

// nextBatch is assemble under the feed's lock, and whether a single stream has been sent
// whole.
func (s *sub) nextBatch() (out []byte, p eventlog.Piece, more, done bool) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	out, p, more = s.assemble(nil)
	return out, p, more, s.done()
}

// release gives the viewer the answer and then what was held back. The caller
// holds the feed's lock.
func (s *sub) release(answer []byte) {
	s.head = eventlog.AppendFrame(s.head, s.viewer.framing, -1, answer)
	s.held, s.member = false, true
	s.viewer.signal()
}

// even says which of the positions are just what the viewer was sent: from these
// on it is sent all that comes until the answer, and needs nothing again.
func (s *sub) even(positions map[MessageID]int64) map[MessageID]bool {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	var out map[MessageID]bool
	for i := range s.places {
		p := &s.places[i]
		if pos, ok := positions[p.log.id]; ok && !s.held && pos == p.pos && pos >= 0 {
			if out == nil {
				out = map[MessageID]bool{}
			}
			out[p.log.id] = true
		}
	}
	return out
}

// place sets the viewer's cursor in a stream to where it says it stands. The
// caller holds the feed's lock.
func (s *sub) place(l *liveLog, pos int64) {
	// Who is ahead of what is known here waits for it, if it may come.
	if pos < eventlog.FromStart || pos > l.Last() && (l.Ended() || !s.viewer.feeds.peers.othersMayBeAhead()) {
		pos = eventlog.NoPosition
	}
	p := s.find(l, pos)
	sent := p.pos
	p.pos, p.fresh, p.until = pos, pos < l.Last(), l.Last()
	if pos == eventlog.NoPosition {
		p.until = 0
	} else if sent > pos {
		// It was sent more than it says it has, perhaps after it had said so. The
		// merged delta ends there: who has it all drops it, who has a hole needs it.
		p.until = min(sent, l.Last())
	}
}

// tellAbout sends a single viewer of one stream what is told about that beside its
// events. The caller holds the feed's lock.
func (s *sub) tellAbout(dst []byte) []byte {
	for _, e := range s.feed.entries[max(0, s.next-s.feed.base):] {
		if e.about != nil && slices.ContainsFunc(s.places, func(p place) bool { return p.log == e.about }) {
			dst = eventlog.AppendFrame(dst, s.viewer.framing, -1, e.event)
		}
	}
	s.next = s.feed.head()
	return dst
}
