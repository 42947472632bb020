package hub

import (
	"slices"
	"sync"
	"time"
)

// entriesMax bounds the changes that a feed keeps for viewers that are behind;
// who is further behind is told the version and fetches.
const entriesMax = 1024

// A feed is a topic that clients subscribe to: a session's, or a user's own.
// The streams of a session live in its feed and share its lock, so that what a
// viewer takes is always a cut of one moment.
type feed struct {
	flusher *flusher
	session SessionID // empty in a user's feed
	user    UserID    // empty in a session's feed

	mu        sync.Mutex // guards everything below, and the logs and subs of the feed
	entries   []entry
	base      int   // index of entries[0] since the feed began
	forgotten int   // index of the first entry that is kept whole
	version   int64 // the highest that was sent
	streams   map[MessageID]*liveLog
	subs      []*sub
	lent      bool // the flusher reads subs: nothing that is in it is changed in place
	queued    bool // the flusher has the feed still to take
	shown     int  // viewers told by the last presence event

	// With a bus only.
	listening bool
	synced    chan struct{} // closed once what was there before the first Joined is known
	joined    bool          // synced is closed
	syncing   bool          // a goroutine reads logs; what comes meanwhile is held in backlog
	again     bool          // it is to do so once more
	stale     bool          // the last sync failed
	backlog   [][]byte
	told      time.Time // of the last presence note
	sent      int       // the viewers in it
	others    map[string]present
}

// present is another replica's viewers.
type present struct {
	viewers int
	at      time.Time
}

// entry is one change: a JSON event, or the mark that a log's event belongs
// here in the order of versions.
type entry struct {
	event   []byte
	version int64 // 0 for what has none
	log     *liveLog
	seq     int64
	about   *liveLog // the stream that the event is about, for those who follow that alone
}

func newFeed(of Topic, by *flusher) *feed {
	return &feed{flusher: by, session: of.Session, user: of.User, streams: map[MessageID]*liveLog{}, others: map[string]present{}}
}

func (f *feed) topic() Topic { return Topic{Session: f.session, User: f.user} }

// settle ends a log as the stored message has ended. Who has seen all of it
// before gets the finish alone. The caller holds f.mu.
func (f *feed) settle(l *liveLog, m Message) {
	if l.Ended() {
		return
	}
	content, reasoning, seq := l.Contents()
	if seq+1 == m.Seq && content == m.Content && reasoning == m.Reasoning {
		l.End(finishOf(m))
	} else {
		l.replace(m)
	}
	l.endedAt = time.Now()
	f.add(entry{log: l, seq: l.Last(), version: m.Version})
	f.wake()
}

// add appends changes and wakes the viewers. The caller holds f.mu.
func (f *feed) add(entries ...entry) {
	for _, e := range entries {
		f.version = max(f.version, e.version)
	}
	if len(f.subs) == 0 {
		return // whoever joins later begins with the version
	}
	if len(f.entries) > entriesMax {
		half := len(f.entries) / 2
		f.entries = append([]entry(nil), f.entries[half:]...)
		f.base += half
	}
	f.entries = append(f.entries, entries...)
	f.wake()
}

// letGo keeps nothing of a log that is forgotten. Who follows it has it still;
// who has not come to its entries yet is told the versions, and fetches. The
// caller holds f.mu.
func (f *feed) letGo(l *liveLog) {
	for i, e := range f.entries {
		if e.log == l {
			f.entries[i] = entry{version: e.version}
			if e.version > 0 {
				f.entries[i].event = f.versionEvent(e.version)
			}
		}
	}
}

// forgetSeen keeps of the changes that every viewer has taken the versions alone,
// by which one that comes twice is known. The caller holds f.mu.
func (f *feed) forgetSeen() {
	if f.forgotten == f.head() {
		return
	}
	seen := f.head()
	for _, s := range f.subs {
		seen = min(seen, s.next)
	}
	for i := max(f.forgotten, f.base); i < seen; i++ {
		e := &f.entries[i-f.base]
		*e = entry{version: e.version}
	}
	f.forgotten = max(f.forgotten, seen)
}

// publish is add for who does not hold the lock.
func (f *feed) publish(e entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(e)
}

// wake has every viewer sent what is new. The caller holds f.mu.
func (f *feed) wake() {
	if len(f.subs) > 0 && !f.queued {
		f.queued = true
		f.flusher.add(flush{feed: f})
	}
}

// lend returns the subs for reading without the lock.
func (f *feed) lend() []*sub {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queued, f.lent = false, true
	return f.subs
}

// enter adds a sub. The caller holds f.mu.
func (f *feed) enter(s *sub) {
	s.feed, s.next, s.at = f, f.head(), len(f.subs)
	f.subs = append(f.subs, s)
}

// exit takes a sub out. The caller holds f.mu.
func (f *feed) exit(s *sub) {
	if f.lent {
		f.subs, f.lent = slices.Clone(f.subs), false
	}
	last := len(f.subs) - 1
	f.subs[last].at = s.at
	f.subs[s.at] = f.subs[last]
	f.subs[last] = nil
	f.subs = f.subs[:last]
	s.at = -1
	if last == 0 { // nobody comes back to what has been
		f.base, f.entries = f.head(), nil
	}
}

func (f *feed) head() int { return f.base + len(f.entries) }

// viewers counts the connections whose subscribe was granted. The caller holds f.mu.
func (f *feed) viewers() int {
	n := 0
	for _, s := range f.subs {
		if s.member {
			n++
		}
	}
	return n
}

// versionEvent says where the feed stands.
func (f *feed) versionEvent(v int64) []byte {
	return encode(versionEvent{Type: "version", SessionID: f.session, UserID: f.user, Version: v})
}

// catchUp tells the viewers a version that is ahead of what they were sent.
func (f *feed) catchUp(v int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v > f.version {
		f.add(entry{event: f.versionEvent(v), version: v})
	}
}

// forgetEnded drops the logs of streams elsewhere that ended before a time, and
// what every viewer has taken.
func (f *feed) forgetEnded(before time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, l := range f.streams {
		if l.remote && l.Ended() && !l.endedAt.After(before) {
			delete(f.streams, id)
			f.letGo(l)
		}
	}
	f.forgetSeen()
}
