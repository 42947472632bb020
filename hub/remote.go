package hub

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// awaitMax is how long a subscriber waits for the bus before it is served with
// what is known here.
const awaitMax = 2 * time.Second

// message is what is to be published.
type message struct {
	topic   Topic
	payload []byte
	end     *endNote
}

// startSharing joins the other replicas.
func (h *Hub) startSharing(ctx context.Context) error {
	if err := h.renewLease(ctx); err != nil {
		return err
	}
	if err := h.dropLost(ctx); err != nil {
		return err
	}
	h.opt.Bus.Listen(Topic{})
	h.loops.Go(func() { h.listenToBus(h.base) })
	h.loops.Go(func() { h.keepLease(h.base) })
	h.loops.Go(func() { h.reap(h.base) })
	h.loops.Go(func() { h.sendOutbox(h.base) })
	return nil
}

// listenToBus has the bus deliver until ctx ends.
func (h *Hub) listenToBus(ctx context.Context) {
	for ctx.Err() == nil {
		h.guard("listening to the bus", func() { h.opt.Bus.Run(ctx, h) })
		pause(ctx, time.Second) // only a panic comes here before ctx ends
	}
}

// send publishes to the other replicas, some time. What they miss, versions
// heal.
func (h *Hub) send(t Topic, kind byte, v any) {
	if h.opt.Bus != nil {
		h.post(message{topic: t, payload: note(kind, v)})
	}
}

// tellOthersEnd tells the other replicas a stream's end.
func (h *Hub) tellOthersEnd(session SessionID, n endNote) {
	if h.opt.Bus != nil {
		h.post(message{topic: Topic{Session: session}, payload: note(kindEnd, n), end: &n})
	}
}

func (h *Hub) post(m message) {
	select {
	case h.outbox <- m:
	default: // the bus is away or far behind
	}
}

// sendOutbox publishes until ctx ends, and then what is left, for a second.
func (h *Hub) sendOutbox(ctx context.Context) {
	out := func(ctx context.Context, m message) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := guarded(h.log, "publishing", func() (err error) {
			if m.end != nil {
				return h.opt.Bus.End(ctx, m.topic.Session, m.end.Stream, m.payload)
			}
			_, err = h.opt.Bus.Publish(ctx, m.topic, m.payload)
			return err
		})
		if err != nil {
			h.log.Debug("publish", "err", err)
		}
	}
	for {
		select {
		case m := <-h.outbox:
			out(ctx, m)
			continue
		case <-ctx.Done():
		}
		break
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for last.Err() == nil {
		select {
		case m := <-h.outbox:
			out(last, m)
		default:
			return
		}
	}
}

// ackAfter is how long the owner of an answer may take to say that it stops it.
const ackAfter = 250 * time.Millisecond

// hastenStop tells the owner, wherever it is, of a stop that is stored, and
// waits until it says that it has heard; it is told twice. An owner that hears
// nothing reads it from the database, with its lease.
func (h *Hub) hastenStop(ctx context.Context, id MessageID) {
	if h.opt.Bus == nil {
		return
	}
	heard := h.acks.expect(id)
	defer h.acks.drop(id, heard)
	for range 2 {
		limit, cancel := context.WithTimeout(ctx, ackAfter)
		_, err := h.opt.Bus.Publish(limit, Topic{}, note(kindStop, stopNote{Message: id}))
		if err != nil {
			cancel()
			h.log.Debug("hasten a stop", "err", err)
			return
		}
		select {
		case <-heard:
			cancel()
			return
		case <-limit.Done():
			cancel()
		}
	}
}

// acks is who waits for an owner to have heard of a stop.
type acks struct {
	mu      sync.Mutex
	waiting map[MessageID][]chan struct{}
}

func (a *acks) expect(id MessageID) chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = map[MessageID][]chan struct{}{}
	}
	c := make(chan struct{}, 1)
	a.waiting[id] = append(a.waiting[id], c)
	return c
}

func (a *acks) drop(id MessageID, c chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[id] = slices.DeleteFunc(a.waiting[id], func(w chan struct{}) bool { return w == c })
	if len(a.waiting[id]) == 0 {
		delete(a.waiting, id)
	}
}

// tell wakes who waits.
func (a *acks) tell(id MessageID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.waiting[id] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// listen subscribes a feed to its topic when somebody is in it. The caller
// holds the hub's and the feed's lock.
func (h *Hub) listen(f *feed) {
	if h.opt.Bus == nil || f.listening {
		return
	}
	f.listening, f.joined, f.synced = true, false, make(chan struct{})
	h.opt.Bus.Listen(f.topic())
}

// unlisten ends that when nobody is. The caller holds the hub's and the feed's
// lock.
func (h *Hub) unlisten(f *feed) {
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
		h.send(f.topic(), kindPresence, presenceNote{Replica: h.opt.Replica})
	}
	h.opt.Bus.Leave(f.topic())
}

// await waits until all that is in flight elsewhere is known here, or for so
// long that the bus must be away.
func (h *Hub) await(ctx context.Context, f *feed) error {
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
	if h.opt.Bus.Up() != nil {
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

// elsewhere returns the log of a stream that another replica owns. If none is
// known yet, one is begun, for the bus to fill.
func (f *feed) elsewhere(m Message) *liveLog {
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

// Joined is BusClient's.
func (h *Hub) Joined(t Topic) {
	if t == (Topic{}) {
		h.tellRevoked(nil)
		return
	}
	h.mu.Lock()
	f := h.feeds[t]
	h.mu.Unlock()
	if f != nil {
		h.sync(f)
	}
}

// Reconnected is BusClient's: the logs may be gone.
func (h *Hub) Reconnected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, st := range h.streams {
		if st.log != nil && st.endedAt.IsZero() {
			st.touch()
		}
	}
}

// sync reads what a feed has missed, in a goroutine of its own.
func (h *Hub) sync(f *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h.syncLocked(f)
}

// syncLocked is sync for who holds f.mu.
func (h *Hub) syncLocked(f *feed) {
	f.stale = false
	if f.syncing {
		f.again = true
		return
	}
	if !f.listening || h.base.Err() != nil {
		return
	}
	f.syncing = true
	h.loops.Go(func() {
		for {
			ctx, cancel := context.WithTimeout(h.base, 5*time.Second)
			err := guarded(h.log, "reading what was missed", func() error { return h.readMissed(ctx, f) })
			cancel()
			if err != nil && h.base.Err() == nil {
				h.log.Warn("read what was missed", "session", f.session, "err", err)
			}
			if h.synced(f, err) {
				return
			}
		}
	})
}

// synced ends a sync, unless another is wanted.
func (h *Hub) synced(f *feed, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	again := f.again
	f.again = false
	held := f.backlog
	f.backlog = nil
	f.syncing = false
	for _, p := range held {
		h.apply(f, p)
	}
	if err == nil && !f.joined {
		f.joined = true
		close(f.synced)
	}
	f.stale = f.stale || err != nil
	if again && err == nil && f.listening && h.base.Err() == nil {
		f.syncing = true
		return false
	}
	return true
}

// readMissed brings a feed to where the database and the logs are.
func (h *Hub) readMissed(ctx context.Context, f *feed) error {
	if f.session == "" {
		v, err := h.userVersion(ctx, f.user)
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
	answers, err := h.store.Answers(ctx, f.session, known)
	if err != nil {
		return err
	}
	for _, m := range answers {
		if h.stream(m.ID) != nil {
			continue
		}
		// One whose log cannot be read keeps none of the others: it is tried again.
		if err := guarded(h.log, "reading a log", func() error { return h.readMissedOf(ctx, f, m) }); err != nil {
			h.log.Warn("read the log of an answer elsewhere", "message", m.ID, "err", err)
			f.mu.Lock()
			f.stale = true
			f.mu.Unlock()
		}
	}
	versions, _, err := h.store.Versions(ctx, []SessionID{f.session}, nil)
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
func (h *Hub) readMissedOf(ctx context.Context, f *feed, m Message) error {
	l, after := f.missing(m)
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	tail, err := h.opt.Bus.Read(ctx, f.session, m.ID, after)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range tail.Payloads {
		if b, err := eventlog.DecodeBatch(p); err == nil && !l.Ended() {
			l.Extend(b)
		}
	}
	f.wake()
	return nil
}

// missing returns the log of an answer elsewhere that is to be read on, and from
// where; nil if there is none. One that has ended is settled.
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

// cutOff ends the log of a message that was deleted. The caller holds f.mu.
func (f *feed) cutOff(l *liveLog) {
	l.End(encode(finishEvent{Type: "finish", MessageID: l.id, Seq: l.Last() + 1, Reason: ReasonStopped}))
	l.endedAt = time.Now()
	f.add(entry{log: l, seq: l.Last()})
	f.wake()
}

// syncStale reads for feeds whose last sync failed, and for those with a
// stream elsewhere that has been silent.
func (h *Hub) syncStale(now time.Time) {
	for _, f := range h.allFeeds() {
		f.mu.Lock()
		silent := false
		for _, l := range f.streams {
			if l.remote && !l.Ended() && now.Sub(l.heard) > 3*time.Second {
				silent, l.heard = true, now
			}
		}
		if f.listening && !f.syncing && (f.stale || silent) {
			h.syncLocked(f)
		}
		f.mu.Unlock()
	}
}

// Receive is BusClient's.
func (h *Hub) Receive(t Topic, payload []byte) {
	if len(payload) == 0 {
		return
	}
	if t == (Topic{}) {
		h.guard("message from the bus", func() { h.control(payload) })
		return
	}
	h.mu.Lock()
	f := h.feeds[t]
	h.mu.Unlock()
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	h.apply(f, payload)
}

// backlogMax bounds what is held while a feed is synced, in messages.
const backlogMax = 4096

// apply takes a message from the bus. The caller holds f.mu.
func (h *Hub) apply(f *feed, payload []byte) {
	defer func() {
		if r := recover(); r != nil {
			_ = panicked(h.log, "message from the bus", r) // it is logged
			f.stale = true
		}
	}()
	if !f.listening {
		return
	}
	kind := payload[0]
	if f.syncing && kind != kindPresence && !h.follows(f, payload) {
		if len(f.backlog) < backlogMax {
			f.backlog = append(f.backlog, payload)
		} else {
			f.again = true
		}
		return
	}
	switch kind {
	case eventlog.KindBatch, eventlog.KindOpen:
		b, err := eventlog.DecodeBatch(payload)
		if err != nil {
			h.log.Warn("message from the bus", "err", err)
			return
		}
		h.applyBatch(f, b)
	case kindEnd:
		var n endNote
		if json.Unmarshal(payload[1:], &n) == nil {
			h.applyEnd(f, n)
		}
	case kindChange:
		var n changeNote
		if json.Unmarshal(payload[1:], &n) == nil {
			f.applyChange(n)
		}
	case kindPresence:
		var n presenceNote
		if json.Unmarshal(payload[1:], &n) != nil || n.Replica == h.opt.Replica {
			return
		}
		if _, known := f.others[n.Replica]; !known {
			f.told = time.Time{} // it is new here and does not know our count
		}
		f.others[n.Replica] = present{viewers: n.Viewers, at: time.Now()}
	}
}

// follows says that a payload is the next of a stream that is known here: it need
// not wait until the database has said what else was missed. The caller holds f.mu.
func (h *Hub) follows(f *feed, payload []byte) bool {
	if payload[0] != eventlog.KindBatch {
		return false
	}
	b, err := eventlog.DecodeBatch(payload)
	l := f.streams[MessageID(b.Stream)]
	return err == nil && l != nil && l.remote && !l.Ended() && b.Epoch == l.epoch && b.From <= l.Last()
}

// applyChange adds a change that was made elsewhere; our own come back too.
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
func (h *Hub) applyBatch(f *feed, b eventlog.Batch) {
	l := f.streams[MessageID(b.Stream)]
	switch {
	case l != nil && (!l.remote || l.Ended() || b.Epoch < l.epoch):
		return
	case l == nil && b.Head == nil:
		h.syncLocked(f) // its beginning was missed
		return
	case l == nil:
		var head openHead
		if err := json.Unmarshal(b.Head, &head); err != nil {
			h.log.Warn("message from the bus", "err", err)
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
	if !l.Extend(b) {
		h.syncLocked(f)
		return
	}
	f.wake()
}

// applyEnd takes the end of a stream elsewhere. The caller holds f.mu.
func (h *Hub) applyEnd(f *feed, n endNote) {
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
		h.syncLocked(f)
	}
}

// control takes a message that all replicas get.
func (h *Hub) control(payload []byte) {
	if payload[0] == kindRevoked {
		h.receiveRevoked(payload[1:])
		return
	}
	var n stopNote
	if json.Unmarshal(payload[1:], &n) != nil {
		return
	}
	switch {
	case payload[0] == kindStopped:
		h.acks.tell(n.Message)
	case payload[0] != kindStop:
	case n.Session != "":
		h.cancelSession(n.Session)
	default:
		st := h.stream(n.Message)
		switch {
		case st == nil:
		case n.Deleted:
			h.mu.Lock()
			h.cancelDeleted(st)
			h.mu.Unlock()
		default:
			st.cancel(errStopped)
			h.send(Topic{}, kindStopped, n)
		}
	}
}

// readElsewhere completes a message in flight elsewhere with its text so far.
func (h *Hub) readElsewhere(ctx context.Context, m *Message) {
	h.mu.Lock()
	f := h.feeds[Topic{Session: m.SessionID}]
	h.mu.Unlock()
	if f != nil {
		f.mu.Lock()
		l := f.streams[m.ID]
		if l != nil && l.remote && !l.Ended() && f.joined {
			m.Content, m.Reasoning, m.Seq = l.Contents()
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	tail, err := h.opt.Bus.Read(ctx, m.SessionID, m.ID, eventlog.FromStart)
	if err != nil {
		return
	}
	l := newLog(*m)
	for _, p := range tail.Payloads {
		if b, err := eventlog.DecodeBatch(p); err == nil {
			l.Extend(b)
		}
	}
	m.Content, m.Reasoning, m.Seq = l.Contents()
}
