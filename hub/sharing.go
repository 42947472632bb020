package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/eventlog"
)

// sharing is what a hub does for the other replicas and with them: it keeps a
// lease on its answers and settles those of replicas that have died, publishes what
// happens here, and has in its feeds what happens there. It is [peers] and
// [BusClient], safe for concurrent use.
type sharing struct {
	replica string
	bus     Bus
	leases  Leases
	ttl     time.Duration // of the lease
	store   Store
	feeds   *feeds
	streams *streams
	settler *settler
	limits  *limits
	revoked *revoked
	bg      *background.Group

	lease  lease
	acks   acks
	outbox chan message
}

var (
	_ peers     = (*sharing)(nil)
	_ BusClient = (*sharing)(nil)
)

// message is what is to be published.
type message struct {
	topic   Topic
	payload []byte
	end     *endNote
}

// start is peers'.
func (sh *sharing) start(ctx context.Context) error {
	if err := sh.renew(ctx); err != nil {
		return err
	}
	if err := sh.dropLost(ctx); err != nil {
		return err
	}
	sh.bus.Listen(AllReplicas)
	sh.bg.Go(func() { sh.listenToBus(sh.bg.Context()) })
	sh.bg.Go(func() { sh.keepLease(sh.bg.Context()) })
	sh.bg.Go(func() { sh.reap(sh.bg.Context()) })
	sh.bg.Go(func() { sh.sendOutbox(sh.bg.Context()) })
	sh.bg.Go(func() { sh.watchSilence(sh.bg.Context()) })
	return nil
}

// listenToBus has the bus deliver until ctx ends.
func (sh *sharing) listenToBus(ctx context.Context) {
	sh.bg.Retry(ctx, time.Second, time.Second, func() bool {
		sh.bg.Guard("listening to the bus", func() { sh.bus.Run(ctx, sh) })
		return ctx.Err() != nil // before that, only a panic comes here
	})
}

// tell is peers'. What the others miss, versions heal.
func (sh *sharing) tell(t Topic, kind byte, v any) {
	sh.post(message{topic: t, payload: note(kind, v)})
}

// tellEnd is peers'.
func (sh *sharing) tellEnd(session SessionID, n endNote) {
	sh.post(message{topic: Topic{Session: session}, payload: note(kindEnd, n), end: &n})
}

func (sh *sharing) post(m message) {
	select {
	case sh.outbox <- m:
	default: // the bus is away or far behind
	}
}

// sendOutbox publishes until ctx ends, and then what is left, for a second.
func (sh *sharing) sendOutbox(ctx context.Context) {
	out := func(ctx context.Context, m message) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := background.Guarded(sh.bg.Logger, "publishing", func() (err error) {
			if m.end != nil {
				return sh.bus.End(ctx, m.topic.Session, m.end.Stream, m.payload)
			}
			_, err = sh.bus.Publish(ctx, m.topic, m.payload)
			return err
		})
		if err != nil {
			sh.bg.Logger.Debug("publish", "err", err)
		}
	}
	for {
		select {
		case m := <-sh.outbox:
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
		case m := <-sh.outbox:
			out(last, m)
		default:
			return
		}
	}
}

// ackAfter is how long the owner of an answer may take to say that it stops it.
const ackAfter = 250 * time.Millisecond

// hastenStop is peers'. The owner is told twice. One that hears nothing reads it
// from the database, with its lease.
func (sh *sharing) hastenStop(ctx context.Context, id MessageID) {
	heard := sh.acks.expect(id)
	defer sh.acks.drop(id, heard)
	for range 2 {
		limit, cancel := context.WithTimeout(ctx, ackAfter)
		_, err := sh.bus.Publish(limit, AllReplicas, note(kindStop, stopNote{Message: id}))
		if err != nil {
			cancel()
			sh.bg.Logger.Debug("hasten a stop", "err", err)
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

// revoke is peers'.
func (sh *sharing) revoke(ctx context.Context, grants []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishLimit)
	defer cancel()
	if _, err := sh.bus.Publish(ctx, AllReplicas, note(kindRevoked, revokeNote{Grants: grants})); err != nil {
		sh.bg.Logger.Warn("tell the other replicas what is revoked", "err", err)
	}
}

// publishLimit is how long it may take to tell the other replicas what is revoked.
const publishLimit = 500 * time.Millisecond

// Joined is BusClient's.
func (sh *sharing) Joined(t Topic) {
	if t == AllReplicas {
		sh.revoked.tell(nil)
		return
	}
	if f := sh.feeds.of(t); f != nil {
		sh.sync(f)
	}
}

// Reconnected is BusClient's: the logs may be gone.
func (sh *sharing) Reconnected() { sh.streams.touchAll() }

// Receive is BusClient's.
func (sh *sharing) Receive(t Topic, payload []byte) {
	if len(payload) == 0 {
		return
	}
	if t == AllReplicas {
		sh.bg.Guard("message from the bus", func() { sh.control(payload) })
		return
	}
	f := sh.feeds.of(t)
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	sh.apply(f, payload)
}

// control takes a message that all replicas get.
func (sh *sharing) control(payload []byte) {
	if payload[0] == kindRevoked {
		sh.receiveRevoked(payload[1:])
		return
	}
	var n stopNote
	if json.Unmarshal(payload[1:], &n) != nil {
		return
	}
	switch {
	case payload[0] == kindStopped:
		sh.acks.tell(n.Message)
	case payload[0] != kindStop:
	case n.Session != "":
		sh.streams.cancelSession(n.Session)
	default:
		st := sh.streams.of(n.Message)
		switch {
		case st == nil:
		case n.Deleted:
			sh.streams.delete(n.Message)
		default:
			st.cancel(errStopped)
			sh.tell(AllReplicas, kindStopped, n)
		}
	}
}

// receiveRevoked takes what another replica has revoked, or this one.
func (sh *sharing) receiveRevoked(payload []byte) {
	var n revokeNote
	if json.Unmarshal(payload, &n) == nil && len(n.Grants) > 0 {
		sh.revoked.tell(n.Grants)
	}
}

// takeOverMost is how often a log is tried to be read before the journal must do.
const takeOverMost = 3

// takeOver is peers': what the log has counts, if it has all that the journal has.
func (sh *sharing) takeOver(ctx context.Context, o Orphan, tries int, end *AnswerEnd) error {
	l, err := sh.readLog(ctx, o.Message)
	switch {
	case err == nil && l.Last() >= o.Seq:
		var seq int64
		end.Content, end.Reasoning, seq = l.Contents()
		end.Seq = seq + 1
	case errors.Is(err, ErrFenced):
		return err
	case err == nil, errors.Is(err, ErrLogLost), sh.bus.Up() != nil, tries >= takeOverMost:
		end.Seq += lostJump
	default:
		return &Error{Code: CodeUnavailable, Msg: "the log does not answer", Err: err}
	}
	return nil
}

// readLog fences the old owner out of the log and returns what it has.
func (sh *sharing) readLog(ctx context.Context, m Message) (*liveLog, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	tail, err := sh.bus.Takeover(ctx, m.SessionID, m.ID, m.Epoch)
	if err != nil {
		return nil, fmt.Errorf("take over the log: %w", err)
	}
	if tail.Lost {
		return nil, ErrLogLost
	}
	l := newLog(m)
	for _, p := range tail.Payloads {
		if b, err := eventlog.DecodeBatch(p); err != nil || !l.Extend(b) {
			return nil, ErrLogLost
		}
	}
	return l, nil
}

// owned is peers'.
func (sh *sharing) owned(ctx context.Context) ([]Ownership, error) {
	return sh.leases.Owned(ctx, sh.replica)
}

// used is peers'.
func (sh *sharing) used(ctx context.Context, user UserID) (Used, error) {
	return sh.leases.UsedElsewhere(ctx, sh.replica, user)
}

// othersMayBeAhead is peers': who comes from another replica may be ahead of what this one
// shows yet, even of the owner, whom the bus answers after it has published.
func (sh *sharing) othersMayBeAhead() bool { return true }

// text is peers'.
func (sh *sharing) text(ctx context.Context, m *Message) {
	if f := sh.feeds.of(Topic{Session: m.SessionID}); f != nil {
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
	tail, err := sh.bus.Read(ctx, m.SessionID, m.ID, eventlog.FromStart)
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
