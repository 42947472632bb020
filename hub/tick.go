package hub

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	tickEvery    = 250 * time.Millisecond // presence is told at most this often
	versionsEach = 20                     // ticks between two looks at the versions
	presenceEach = 10 * time.Second       // replicas repeat their count this often
)

// tick tells presence, compares versions with the database's, so that a lost
// event costs a viewer one request, and forgets logs whose time is over. Nothing
// of that waits for a database that does not answer.
func (h *Hub) tick(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	idle := make(chan struct{}, 1) // holds one while the database is not asked
	idle <- struct{}{}
	n := 0
	every(ctx, tickEvery, func(now time.Time) {
		h.guard("tick", func() {
			h.tellPresence(now)
			h.forgetEnded(now)
		})
		if n++; n%versionsEach != 0 {
			return
		}
		select {
		case <-idle:
			asking.Go(func() {
				defer func() { idle <- struct{}{} }()
				h.guard("telling versions", func() { h.tellVersions(ctx) })
			})
		default: // the database is slow
		}
	})
}

// every calls f again and again, until ctx ends.
func every(ctx context.Context, d time.Duration, f func(now time.Time)) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			f(now)
		}
	}
}

func (h *Hub) allFeeds() []*feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*feed, 0, len(h.feeds))
	for _, f := range h.feeds {
		all = append(all, f)
	}
	return all
}

// newcomers are the feeds that have members who were not told of presence yet.
// From here on they count as told.
func (h *Hub) newcomers() map[*feed]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	in := map[*feed]bool{}
	for s := range h.untold {
		s.feed.mu.Lock()
		if s.member { // others may be refused yet
			in[s.feed] = true
			delete(h.untold, s)
		}
		s.feed.mu.Unlock()
	}
	return in
}

func (h *Hub) tellPresence(now time.Time) {
	newcomers := h.newcomers()
	for _, f := range h.allFeeds() {
		if f.session != "" {
			h.guard("telling presence", func() { h.tellPresenceIn(f, now, newcomers[f]) })
		}
	}
}

// tellPresenceIn tells the viewers of a session how many they are.
func (h *Hub) tellPresenceIn(f *feed, now time.Time, newcomers bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.viewers()
	if n != f.sent || n > 0 && now.Sub(f.told) > presenceEach {
		f.sent, f.told = n, now
		h.peers.tell(f.topic(), kindPresence, presenceNote{Replica: h.opt.Replica, Viewers: n})
	}
	for replica, p := range f.others {
		if now.Sub(p.at) > 3*presenceEach {
			delete(f.others, replica)
			continue
		}
		n += p.viewers
	}
	if n != f.shown || newcomers { // who comes as another leaves changes no number
		f.shown = n
		f.add(entry{event: encode(presenceEvent{Type: "presence", SessionID: f.session, Viewers: n})})
	}
}

func (h *Hub) tellVersions(ctx context.Context) {
	byKey := map[Topic]*feed{}
	var sessions []SessionID
	var users []UserID
	for _, f := range h.allFeeds() {
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
	ofSessions, ofUsers, err := h.store.Versions(ctx, sessions, users)
	if err != nil {
		h.log.Warn("read versions", "err", err)
		return
	}
	for id, v := range ofSessions {
		byKey[Topic{Session: id}].catchUp(v)
	}
	for id, v := range ofUsers {
		byKey[Topic{User: id}].catchUp(v)
	}
}

// catchUp tells the viewers a version that is ahead of what they were sent.
func (f *feed) catchUp(v int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v > f.version {
		f.add(entry{event: f.versionEvent(v), version: v})
	}
}

// forgetEnded drops the logs that ended more than Keep ago.
func (h *Hub) forgetEnded(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	over := 0
	for ; over < len(h.ended) && now.Sub(h.ended[over].endedAt) >= h.opt.Keep; over++ {
		h.dropLocked(h.ended[over])
	}
	h.ended = slices.Delete(h.ended, 0, over) // it clears what is left behind them: a slice from there on would hold them
	for _, f := range h.feeds {
		f.forgetEnded(now.Add(-h.opt.Keep))
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
