package hub

import (
	"slices"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// A sub is one viewer's subscription to one feed: its cursors in the entries and in the
// streams. The feed's lock guards it, but for the fields that say otherwise.
type sub struct {
	viewer *Viewer
	feed   *feed
	at     int      // its index in feed.subs; -1 once it has left
	left   bool     // it has left the feed; guarded by viewer.mu
	single bool     // it follows one stream, as SSE does, and not the feed's changes
	held   bool     // nothing is sent before the answer to the subscribe
	member bool     // a subscribe was granted: the viewer counts for presence
	asks   int32    // commands that have joined and are not answered yet; guarded by viewer.mu
	head   []byte   // answers to commands, which are sent before all else
	next   int      // the index of the next entry, counted as in the feed
	acked  int64    // changes up to this version are not sent: the client fetches them
	owing  *owing   // ended answers that it is still to be sent; nil if there are none
	places []place  // its cursors in streams
	first  [1]place // the memory where places begins
}

// A place is a cursor into one stream.
type place struct {
	log   *liveLog
	pos   int64 // the seq of the last event that was sent
	fresh bool  // the stream is to be sent before any entry of the feed
	until int64 // events up to this seq are merged into one
}

// advance cuts what comes next out of the stream, up to and including the seq limit.
func (p *place) advance(f eventlog.Framing, limit int64) (out eventlog.Piece) {
	merge := p.pos < p.until
	if merge && p.pos >= eventlog.FromStart {
		limit = min(limit, p.until)
	}
	out, p.pos = p.log.Take(f, p.pos, limit, merge)
	return out
}

// astray says whether the place is beyond the stream's end.
func (p *place) astray() bool { return p.log.Ended() && p.pos > p.log.Last() }

// find returns the sub's place in a stream. If there is none yet it makes one, at from: a
// viewer without a place has seen all that came before.
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

// snapshotAll has the sub sent a snapshot of every stream in flight in which it has no
// place. The caller holds the feed's lock.
func (s *sub) snapshotAll() {
	for _, l := range s.feed.streams {
		if !l.Ended() {
			if p := s.find(l, eventlog.NoPosition); p.pos == eventlog.NoPosition {
				p.fresh = true
			}
		}
	}
}

// assemble returns what the viewer is to be sent next, and whether there may be more behind
// it. Small changes are joined in dst, which is empty at first; a piece of a stream is
// returned by itself. The caller holds the feed's lock.
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
		return framing.Beside(dst, s.feed.versionEvent(s.feed.version)), eventlog.Piece{}, true
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
			if event := s.viewer.who.told(e.event); event != nil {
				dst = framing.Beside(dst, event)
			}
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

// done says whether the viewer follows one stream alone and has been sent all of it.
func (s *sub) done() bool {
	return s.single && s.places[0].log.Ended() && s.places[0].pos == s.places[0].log.Last()
}

// nextBatch is assemble for a caller that does not hold the feed's lock. It says as well
// whether the sub is done.
func (s *sub) nextBatch() (out []byte, p eventlog.Piece, more, done bool) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	out, p, more = s.assemble(nil)
	return out, p, more, s.done()
}

// release has the viewer sent the answer to a command, and then what was held back until
// it. The caller holds the feed's lock.
func (s *sub) release(answer []byte) {
	s.head = s.viewer.framing.Beside(s.head, answer)
	s.held, s.member = false, true
	s.viewer.signal()
}

// even returns those of a client's positions that are just what it was sent. In these
// streams it is sent all that comes until the command is answered, and needs nothing again.
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

// place sets the viewer's cursor in a stream to the position that its client gives. The
// caller holds the feed's lock.
func (s *sub) place(l *liveLog, pos int64) {
	// A client that is ahead of what is known here waits for it, if it may come.
	if pos < eventlog.FromStart || pos > l.Last() && (l.Ended() || !s.viewer.feeds.peers.othersMayBeAhead()) {
		pos = eventlog.NoPosition
	}
	p := s.find(l, pos)
	sent := p.pos
	p.pos, p.fresh, p.until = pos, pos < l.Last(), l.Last()
	if pos == eventlog.NoPosition {
		p.until = 0
	} else if sent > pos {
		// The client was sent more than it says it has, perhaps after it had said so. The
		// merged delta ends where that ended: a client that has it all drops the delta, and
		// one with a hole needs it.
		p.until = min(sent, l.Last())
	}
}

// tellAbout appends what is told about the stream beside its events, for a viewer that
// follows it alone. The caller holds the feed's lock.
func (s *sub) tellAbout(dst []byte) []byte {
	for _, e := range s.feed.entries[max(0, s.next-s.feed.base):] {
		if e.about != nil && slices.ContainsFunc(s.places, func(p place) bool { return p.log == e.about }) {
			dst = s.viewer.framing.Beside(dst, e.event)
		}
	}
	s.next = s.feed.head()
	return dst
}
