package hub

import (
	"context"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub/background"
)

// feeds is the feeds of this replica. A feed exists for as long as a viewer or a stream is
// in it. All methods may be called concurrently. The lock of feeds is taken before that of
// a feed.
type feeds struct {
	replica string
	store   Store
	flusher *flusher
	peers   peers
	bg      *background.Group

	mu      sync.Mutex // guards the rest
	byTopic map[Topic]*feed
	untold  map[*sub]bool // subscriptions to sessions that were not told the number of viewers yet
}

// join subscribes s to a feed, which is made if there is none.
func (fs *feeds) join(s *sub, key Topic) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.made(key)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enter(s)
	if f.session != "" && !s.single {
		fs.untold[s] = true
	}
	fs.peers.listen(f)
}

// leave ends a subscription, and the feed if nothing needs it any more.
func (fs *feeds) leave(s *sub) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.untold, s)
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.feed.exit(s)
	fs.peers.unlisten(s.feed)
	fs.forget(s.feed)
}

// made returns a feed, made if there is none. The caller holds fs.mu.
func (fs *feeds) made(key Topic) *feed {
	f := fs.byTopic[key]
	if f == nil {
		f = newFeed(key, fs.flusher)
		fs.byTopic[key] = f
	}
	return f
}

// with calls do under the lock of a feed, which is made if there is none.
func (fs *feeds) with(key Topic, do func(f *feed)) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.made(key)
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f)
}

// remove takes a stream's log out of its feed, and drops that if nothing needs it
// any more.
func (fs *feeds) remove(f *feed, l *liveLog) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.streams[l.id] == l {
		delete(f.streams, l.id)
	}
	f.letGo(l)
	fs.forget(f)
}

// of returns a topic's feed, nil if there is none.
func (fs *feeds) of(key Topic) *feed {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.byTopic[key]
}

// forget drops a feed that has neither viewers nor streams. The caller holds fs.mu and
// the feed's lock.
func (fs *feeds) forget(f *feed) {
	key := f.topic()
	if len(f.subs) == 0 && len(f.streams) == 0 && fs.byTopic[key] == f {
		delete(fs.byTopic, key)
	}
}

// publish tells a change to all who follow the topic, on all replicas.
func (fs *feeds) publish(key Topic, e entry) {
	fs.peers.tell(key, kindChange, changeNote{Version: e.version, Event: e.event})
	if f := fs.of(key); f != nil {
		f.publish(e)
	}
}

// publishSession tells a change of a session to those who follow its user, and, if of is
// set, to those who follow the session.
func (fs *feeds) publishSession(user UserID, s Session, userVersion int64, of bool) {
	event := encode(sessionEvent{Type: "session", UserVersion: userVersion, Session: s})
	if of {
		fs.publish(Topic{Session: s.ID}, entry{event: event, version: s.Version})
	}
	fs.publish(Topic{User: user}, entry{event: event, version: userVersion})
}

// userVersion reads the version of a user's list of sessions.
func (fs *feeds) userVersion(ctx context.Context, user UserID) (int64, error) {
	_, users, err := fs.store.Versions(ctx, nil, []UserID{user})
	return users[user], err
}

// connected returns the viewers that follow the user's own feed.
func (fs *feeds) connected(user UserID) []*Viewer {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.byTopic[Topic{User: user}]
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]*Viewer, 0, len(f.subs))
	for _, s := range f.subs {
		out = append(out, s.viewer)
	}
	return out
}

// all returns the feeds that there are now.
func (fs *feeds) all() []*feed {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	all := make([]*feed, 0, len(fs.byTopic))
	for _, f := range fs.byTopic {
		all = append(all, f)
	}
	return all
}

// newcomers returns the feeds with viewers that were not told the number of viewers yet.
// From here on they count as told.
func (fs *feeds) newcomers() map[*feed]bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	in := map[*feed]bool{}
	for s := range fs.untold {
		s.feed.mu.Lock()
		if s.member { // others may be refused yet
			in[s.feed] = true
			delete(fs.untold, s)
		}
		s.feed.mu.Unlock()
	}
	return in
}

// presenceEach is how often replicas repeat their count.
const presenceEach = 10 * time.Second

// tellPresence tells the viewers of each session how many they are, if that has
// changed.
func (fs *feeds) tellPresence(now time.Time) {
	newcomers := fs.newcomers()
	for _, f := range fs.all() {
		if f.session != "" {
			fs.bg.Guard("telling presence", func() { fs.tellPresenceIn(f, now, newcomers[f]) })
		}
	}
}

// tellPresenceIn tells the viewers of a session how many they are, on all replicas
// together, if that has changed or newcomers is set.
func (fs *feeds) tellPresenceIn(f *feed, now time.Time, newcomers bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.viewers()
	if n != f.sent || n > 0 && now.Sub(f.told) > presenceEach {
		f.sent, f.told = n, now
		fs.peers.tell(f.topic(), kindPresence, presenceNote{Replica: fs.replica, Viewers: n})
	}
	for replica, p := range f.others {
		if now.Sub(p.at) > 3*presenceEach {
			delete(f.others, replica)
			continue
		}
		n += p.viewers
	}
	if n != f.shown || newcomers { // one viewer may come as another leaves
		f.shown = n
		f.add(entry{event: encode(presenceEvent{Type: "presence", SessionID: f.session, Viewers: n})})
	}
}

// tellVersions compares the versions of what is watched with the database's, and
// tells viewers those that they have not heard of.
func (fs *feeds) tellVersions(ctx context.Context) {
	byKey := map[Topic]*feed{}
	var sessions []SessionID
	var users []UserID
	for _, f := range fs.all() {
		f.mu.Lock()
		watched := len(f.subs) > 0
		f.mu.Unlock()
		if !watched {
			continue
		}
		byKey[f.topic()] = f
		if f.session != "" {
			sessions = append(sessions, f.session)
		} else {
			users = append(users, f.user)
		}
	}
	if len(byKey) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	ofSessions, ofUsers, err := fs.store.Versions(ctx, sessions, users)
	if err != nil {
		fs.bg.Logger.Warn("read versions", "err", err)
		return
	}
	for id, v := range ofSessions {
		byKey[Topic{Session: id}].catchUp(v)
	}
	for id, v := range ofUsers {
		byKey[Topic{User: id}].catchUp(v)
	}
}

// forgetEnded drops the logs of streams elsewhere that ended before a time, and
// what every viewer has taken.
func (fs *feeds) forgetEnded(before time.Time) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.byTopic {
		f.forgetEnded(before)
	}
}

// count is how many feeds there are, and how many subscriptions of clients.
func (fs *feeds) count() (feeds, subs int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.byTopic {
		f.mu.Lock()
		subs += len(f.subs)
		f.mu.Unlock()
	}
	return len(fs.byTopic), subs
}
