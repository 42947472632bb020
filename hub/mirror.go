package hub

import (
	"context"
	"encoding/json"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/eventlog"
)

// mirror brings into the feeds of this replica what happens in the same feeds of the
// others: their streams, changes and numbers of viewers. All methods may be called
// concurrently.
type mirror struct {
	replica string
	bus     Bus
	store   Store
	feeds   *feeds
	streams *streams
	outbox  *outbox
	bg      *background.Group
}

// awaitMax is how long a subscriber waits for the bus. After that it is served with what
// this replica knows.
const awaitMax = 2 * time.Second

// listen is peers': it subscribes the feed to its topic.
func (mi *mirror) listen(f *feed) {
	if f.listening {
		return
	}
	f.listening, f.joined, f.synced = true, false, make(chan struct{})
	mi.bus.Listen(f.topic())
}

// unlisten is peers'.
func (mi *mirror) unlisten(f *feed) {
	if !f.listening || len(f.subs) > 0 {
		return
	}
	f.listening, f.backlog, f.again, f.stale = false, nil, false, false
	clear(f.others)
	for id, l := range f.streams {
		if l.remote {
			delete(f.streams, id)
		}
	}
	if f.session != "" && f.sent > 0 {
		f.sent, f.shown = 0, 0
		mi.outbox.tell(f.topic(), kindPresence, presenceNote{Replica: mi.replica})
	}
	mi.bus.Leave(f.topic())
}

// await is peers'. It waits no longer than until the bus must be away.
func (mi *mirror) await(ctx context.Context, f *feed) error {
	f.mu.Lock()
	synced, listening := f.synced, f.listening
	f.mu.Unlock()
	if !listening {
		return nil
	}
	select {
	case <-synced:
		return nil
	default:
	}
	limit := awaitMax
	if mi.bus.Up() != nil {
		limit = awaitMax / 10
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-synced:
	case <-t.C:
		f.mu.Lock()
		f.stale = true
		f.mu.Unlock()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// elsewhere is peers'.
func (mi *mirror) elsewhere(f *feed, m Message) *liveLog {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.streams[m.ID]
	if l == nil {
		l = f.begin(m)
		f.stale = true
	}
	return l
}

// begin adds a stream that another replica owns. The caller holds f.mu.
func (f *feed) begin(m Message) *liveLog {
	l := newLog(m)
	l.remote, l.epoch = true, m.Epoch
	f.streams[m.ID] = l
	l.heard = time.Now()
	f.add(entry{log: l, seq: 0, version: m.Added})
	return l
}

// sync reads what a feed has missed, on a goroutine of its own.
func (mi *mirror) sync(f *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	mi.syncLocked(f)
}

// syncLocked is sync for a caller that holds f.mu.
func (mi *mirror) syncLocked(f *feed) {
	f.stale = false
	if f.syncing {
		f.again = true
		return
	}
	if !f.listening || mi.bg.Ended() {
		return
	}
	f.syncing = true
	mi.bg.Go(func() {
		for {
			ctx, cancel := context.WithTimeout(mi.bg.Context(), 5*time.Second)
			err := background.Guarded(mi.bg.Logger, "reading what was missed", func() error { return mi.readMissed(ctx, f) })
			cancel()
			if err != nil && !mi.bg.Ended() {
				mi.bg.Logger.Warn("read what was missed", "session", f.session, "err", err)
			}
			if mi.synced(f, err) {
				return
			}
		}
	})
}

// synced ends a sync, and says whether it is over: it is not if another one was asked for
// meanwhile.
func (mi *mirror) synced(f *feed, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	again := f.again
	f.again = false
	held := f.backlog
	f.backlog = nil
	f.syncing = false
	for _, p := range held {
		mi.apply(f, p)
	}
	if err == nil && !f.joined {
		f.joined = true
		close(f.synced)
	}
	f.stale = f.stale || err != nil
	if again && err == nil && f.listening && !mi.bg.Ended() {
		f.syncing = true
		return false
	}
	return true
}

// readMissed brings a feed to where the database and the logs are.
func (mi *mirror) readMissed(ctx context.Context, f *feed) error {
	if f.session == "" {
		v, err := mi.feeds.userVersion(ctx, f.user)
		if err == nil {
			f.catchUp(v)
		}
		return err
	}
	var known []MessageID
	f.mu.Lock()
	for id, l := range f.streams {
		if l.remote && !l.Ended() {
			known = append(known, id)
		}
	}
	f.mu.Unlock()
	answers, err := mi.store.Answers(ctx, f.session, known)
	if err != nil {
		return err
	}
	for _, m := range answers {
		if mi.streams.of(m.ID) != nil {
			continue
		}
		// A log that cannot be read does not hold up the others. It is tried again.
		if err := background.Guarded(mi.bg.Logger, "reading a log", func() error { return mi.readMissedOf(ctx, f, m) }); err != nil {
			mi.bg.Logger.Warn("read the log of an answer elsewhere", "message", m.ID, "err", err)
			f.mu.Lock()
			f.stale = true
			f.mu.Unlock()
		}
	}
	versions, _, err := mi.store.Versions(ctx, []SessionID{f.session}, nil)
	if v, ok := versions[f.session]; err == nil && ok {
		f.mu.Lock()
		first := !f.joined
		f.mu.Unlock()
		if !first {
			f.catchUp(v)
		}
	}
	// Those that were known and are neither streaming nor stored were deleted.
	found := map[MessageID]bool{}
	for _, m := range answers {
		found[m.ID] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range known {
		if l := f.streams[id]; l != nil && !found[id] && !l.Ended() {
			f.cutOff(l)
		}
	}
	return err
}

// readLimit is how long it may take to read one log.
const readLimit = time.Second

// readMissedOf brings the log of an answer elsewhere to where the bus has it, or
// the database, if it has ended.
func (mi *mirror) readMissedOf(ctx context.Context, f *feed, m Message) error {
	l, after := f.missing(m)
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	tail, err := mi.bus.Read(ctx, f.session, m.ID, after)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range tail.Payloads {
		if b, err := eventlog.DecodeBatch(p); err == nil && !l.Ended() {
			f.extend(l, b)
		}
	}
	f.wake()
	return nil
}

// missing returns the log of an answer elsewhere of which there may be more, and the seq from
// which it is to be read; nil if there is none. An answer that has ended is settled.
func (f *feed) missing(m Message) (*liveLog, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.streams[m.ID]
	switch {
	case m.Status != StatusStreaming:
		if l != nil {
			f.settle(l, m)
		}
		return nil, 0
	case l == nil && f.listening:
		l = f.begin(m)
	case l == nil || !l.remote || l.Ended():
		return nil, 0
	}
	l.epoch = max(l.epoch, m.Epoch)
	return l, l.Last()
}

// cutOff ends the log of an answer whose message was deleted. The caller holds f.mu.
func (f *feed) cutOff(l *liveLog) {
	l.End(encode(finishEvent{Type: "finish", MessageID: l.id, Seq: l.Last() + 1, Reason: ReasonStopped}))
	l.endedAt = time.Now()
	f.add(entry{log: l, seq: l.Last()})
	f.wake()
}

// watchSilence reads anew the feeds of streams that have been silent for a while, until ctx
// ends.
func (mi *mirror) watchSilence(ctx context.Context) {
	background.Every(ctx, time.Second, func(now time.Time) {
		mi.bg.Guard("watching streams elsewhere", func() { mi.syncStale(now) })
	})
}

// syncStale syncs the feeds whose last sync failed, and those with a stream elsewhere that
// has been silent.
func (mi *mirror) syncStale(now time.Time) {
	for _, f := range mi.feeds.all() {
		f.mu.Lock()
		silent := false
		for _, l := range f.streams {
			if l.remote && !l.Ended() && now.Sub(l.heard) > 3*time.Second {
				silent, l.heard = true, now
			}
		}
		if f.listening && !f.syncing && (f.stale || silent) {
			mi.syncLocked(f)
		}
		f.mu.Unlock()
	}
}

// backlogMax is how many messages wait while a feed is synced. If more come, it is synced
// once more.
const backlogMax = 4096

// apply takes a message from the bus. The caller holds f.mu.
func (mi *mirror) apply(f *feed, payload []byte) {
	defer func() {
		if r := recover(); r != nil {
			_ = background.Panicked(mi.bg.Logger, "message from the bus", r) // it is logged
			f.stale = true
		}
	}()
	if !f.listening {
		return
	}
	kind := payload[0]
	if f.syncing && kind != kindPresence && !mi.follows(f, payload) {
		if len(f.backlog) < backlogMax {
			f.backlog = append(f.backlog, payload)
		} else {
			f.again = true
		}
		return
	}
	if batch, _ := eventlog.IsBatch(payload); batch {
		b, err := eventlog.DecodeBatch(payload)
		if err != nil {
			mi.bg.Logger.Warn("message from the bus", "err", err)
			return
		}
		mi.applyBatch(f, b)
		return
	}
	switch kind {
	case kindEnd:
		var n endNote
		if json.Unmarshal(payload[1:], &n) == nil {
			mi.applyEnd(f, n)
		}
	case kindChange:
		var n changeNote
		if json.Unmarshal(payload[1:], &n) == nil {
			f.applyChange(n)
		}
	case kindPresence:
		var n presenceNote
		if json.Unmarshal(payload[1:], &n) != nil || n.Replica == mi.replica {
			return
		}
		if _, known := f.others[n.Replica]; !known {
			f.told = time.Time{} // it is new here and does not know our count
		}
		f.others[n.Replica] = present{viewers: n.Viewers, at: time.Now()}
	}
}

// follows says whether a message is the next batch of a stream that is known here. Such a
// message need not wait until the sync is over. The caller holds f.mu.
func (mi *mirror) follows(f *feed, payload []byte) bool {
	if batch, open := eventlog.IsBatch(payload); !batch || open {
		return false
	}
	b, err := eventlog.DecodeBatch(payload)
	l := f.streams[MessageID(b.Stream)]
	return err == nil && l != nil && l.remote && !l.Ended() && b.Epoch == l.epoch && b.From <= l.Last()
}

// applyChange adds a change that was made elsewhere. This replica's own changes come back
// from the bus, too, and are known by their versions.
func (f *feed) applyChange(n changeNote) {
	about := f.streams[n.About]
	if about != nil && !about.remote {
		return
	}
	for i := len(f.entries) - 1; i >= 0 && i >= len(f.entries)-64; i-- {
		if n.Version > 0 && f.entries[i].version == n.Version {
			return
		}
	}
	if n.Version > 0 && n.Version <= f.version && len(f.entries) == 0 {
		return
	}
	f.add(entry{event: n.Event, version: n.Version, about: about})
}

// applyBatch takes events of a stream elsewhere. The caller holds f.mu.
func (mi *mirror) applyBatch(f *feed, b eventlog.Batch) {
	l := f.streams[MessageID(b.Stream)]
	switch {
	case l != nil && (!l.remote || l.Ended() || b.Epoch < l.epoch):
		return
	case l == nil && b.Head == nil:
		mi.syncLocked(f) // its beginning was missed
		return
	case l == nil:
		var head openHead
		if err := json.Unmarshal(b.Head, &head); err != nil {
			mi.bg.Logger.Warn("message from the bus", "err", err)
			return
		}
		if q := head.Question; q != nil {
			f.add(entry{event: encode(messageEvent{Type: "message", Version: q.Version, Message: *q}), version: q.Version})
		}
		m := head.Answer
		m.Added, m.Epoch = m.Version, b.Epoch // they are not in its JSON
		l = f.begin(m)
	}
	l.epoch = b.Epoch
	l.heard = time.Now()
	if !f.extend(l, b) {
		mi.syncLocked(f)
		return
	}
	f.wake()
}

// extend adds what a batch has to a log, and returns false at a hole. What the log has of
// an owner that was followed by another one, and that the other does not have, is
// taken back. The caller holds f.mu.
func (f *feed) extend(l *liveLog, b eventlog.Batch) bool {
	if b.Epoch > l.wrote {
		l.wrote = b.Epoch
		if at := l.Agrees(b); at < l.Last() {
			l.Forget(at)
			f.sendAgain(l, at)
		}
	}
	return l.Extend(b)
}

// sendAgain has viewers sent a snapshot who have seen more of a stream than there is after
// a seq. The caller holds f.mu.
func (f *feed) sendAgain(l *liveLog, after int64) {
	for _, s := range f.subs {
		for i := range s.places {
			if p := &s.places[i]; p.log == l && p.pos > after {
				p.pos, p.until = eventlog.NoPosition, 0
			}
		}
	}
}

// applyEnd takes the end of a stream elsewhere. The caller holds f.mu.
func (mi *mirror) applyEnd(f *feed, n endNote) {
	l := f.streams[n.Stream]
	switch {
	case l == nil:
		if n.Version > f.version {
			f.add(entry{event: f.versionEvent(n.Version), version: n.Version})
		}
	case !l.remote || l.Ended() || n.Epoch < l.epoch:
	case l.Last()+1 == n.Seq && l.epoch == n.Epoch:
		l.End(n.Finish)
		l.endedAt = time.Now()
		f.add(entry{log: l, seq: l.Last(), version: n.Version})
		f.wake()
	default: // the stored message is right
		mi.syncLocked(f)
	}
}

// othersMayBeAhead is peers'. A client that comes from another replica may have seen more
// than this one shows yet. That is so even if this replica owns the answer, as the bus
// publishes a batch before it answers the owner.
func (mi *mirror) othersMayBeAhead() bool { return true }

// text is peers'.
func (mi *mirror) text(ctx context.Context, m *Message) {
	if f := mi.feeds.of(Topic{Session: m.SessionID}); f != nil {
		f.mu.Lock()
		l := f.streams[m.ID]
		if l != nil && l.remote && !l.Ended() && f.joined {
			m.sayLog(l.Content())
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	tail, err := mi.bus.Read(ctx, m.SessionID, m.ID, eventlog.FromStart)
	if err != nil {
		return
	}
	l := newLog(*m)
	for _, p := range tail.Payloads {
		if b, err := eventlog.DecodeBatch(p); err == nil {
			l.Extend(b)
		}
	}
	m.sayLog(l.Content())
}
