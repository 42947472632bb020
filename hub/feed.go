package hub

import (
	"slices"
	"sync"
	"time"
)

// entriesMax is how many changes a feed keeps for viewers that are behind. A viewer that
// is further behind is told the feed's version instead, and its client fetches the rest.
const entriesMax = 1024

// A feed is what happens in one topic, a session or a user, in the order in which its
// subscribers are told. The streams of a session are in its feed and share its lock, so
// that everything which a viewer is sent at a time is of one moment.
type feed struct {
	flusher *flusher
	session SessionID // empty in a user's feed
	user    UserID    // empty in a session's feed

	mu        sync.Mutex // guards everything below, and the logs and subs of the feed
	entries   []entry
	base      int   // the index of entries[0], counted from the feed's first entry
	forgotten int   // the index of the first entry that still has its event
	version   int64 // the highest version that was sent
	streams   map[MessageID]*liveLog
	subs      []*sub
	lent      bool // the flusher reads subs without the lock: it may only be replaced
	queued    bool // the feed waits in the flusher's queue
	shown     int  // the number of viewers in the last presence event

	// The rest is about the other replicas. All but told and sent is the mirror's.
	listening bool          // the feed is subscribed to its topic on the bus
	synced    chan struct{} // closed once the feed has what was in flight when it began to listen
	joined    bool          // synced is closed
	syncing   bool          // a goroutine reads what was missed; other messages wait in backlog
	again     bool          // that goroutine is to read once more
	stale     bool          // the last reading failed
	backlog   [][]byte
	told      time.Time // when this replica last told the others its number of viewers
	sent      int       // that number
	others    map[string]present
}

// present is how many viewers another replica has, and when it said so.
type present struct {
	viewers int
	at      time.Time
}

// An entry is one change in a feed: a JSON event, or the place that an event of a stream
// has among the changes.
type entry struct {
	event   []byte   // nil if log is set
	version int64    // 0 if the change has none
	log     *liveLog // of the stream
	seq     int64    // of the stream's event
	about   *liveLog // the stream that an event without seq is about, for its own followers
}

func newFeed(of Topic, by *flusher) *feed {
	return &feed{flusher: by, session: of.Session, user: of.User, streams: map[MessageID]*liveLog{}, others: map[string]present{}}
}

func (f *feed) topic() Topic { return Topic{Session: f.session, User: f.user} }

// settle ends a stream's log as its stored message has ended. Viewers that have seen all
// of the text are sent the finish alone. The caller holds f.mu.
func (f *feed) settle(l *liveLog, m Message) {
	if l.Ended() {
		return
	}
	c := l.Content()
	if said, _ := saidIn(c); c.Seq+1 == m.Seq && sameParts(said.Parts, m.Parts) {
		l.End(finishOf(m))
	} else {
		l.replace(m)
	}
	l.endedAt = time.Now()
	f.add(entry{log: l, seq: l.Last(), version: m.Version})
	f.wake()
}

// add appends changes, and has the viewers sent them. The caller holds f.mu.
func (f *feed) add(entries ...entry) {
	for _, e := range entries {
		f.version = max(f.version, e.version)
	}
	if len(f.subs) == 0 {
		return // a viewer that joins later begins at the version
	}
	if len(f.entries) > entriesMax {
		half := len(f.entries) / 2
		f.entries = append([]entry(nil), f.entries[half:]...)
		f.base += half
	}
	f.entries = append(f.entries, entries...)
	f.wake()
}

// letGo drops a log that is forgotten from the entries. Viewers that follow the stream
// keep its log; a viewer that has not reached those entries is told their versions, and
// its client fetches. The caller holds f.mu.
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

// forgetSeen drops the events that every viewer has been sent. Their versions stay, by
// which a change that arrives twice is recognised. The caller holds f.mu.
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

// publish is add for a caller that does not hold the lock.
func (f *feed) publish(e entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(e)
}

// wake has every viewer sent what is new. It does not wait for that. The caller holds
// f.mu.
func (f *feed) wake() {
	if len(f.subs) > 0 && !f.queued {
		f.queued = true
		f.flusher.add(flush{feed: f})
	}
}

// lend returns the subs, to be read without the lock.
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
	if last == 0 { // nobody needs the entries any more
		f.base, f.entries = f.head(), nil
	}
}

func (f *feed) head() int { return f.base + len(f.entries) }

// viewers counts the subscriptions that were granted. The caller holds f.mu.
func (f *feed) viewers() int {
	n := 0
	for _, s := range f.subs {
		if s.member {
			n++
		}
	}
	return n
}

// versionEvent tells a version of the feed.
func (f *feed) versionEvent(v int64) []byte {
	return encode(versionEvent{Type: "version", SessionID: f.session, UserID: f.user, Version: v})
}

// catchUp tells the viewers a version, if it is higher than what they were sent.
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
