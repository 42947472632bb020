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
	*outbox // what is published
	*mirror // what the others publish
	*keeper // what nobody else may run
	revoked *revoked
	acks    acks
	bus     Bus
	bg      *background.Group
}

var (
	_ peers     = (*sharing)(nil)
	_ BusClient = (*sharing)(nil)
)

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
	sh.bg.Go(func() { sh.run(sh.bg.Context()) })
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

// ackAfter is how long the owner of an answer may take to say that it stops it.
const ackAfter = 250 * time.Millisecond

// hastenStop is peers'. The owner is told, and told again if it does not answer in time. If it
// hears neither, it reads of the stop in the database when it next renews its lease.
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

// acks is the callers that wait until an answer's owner has heard of a stop.
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

// tell wakes the callers that wait for an answer's owner.
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

// Joined is BusClient's. After a break of the bus, grants may have been revoked of which
// nothing was heard here.
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
func (sh *sharing) Reconnected() { sh.keeper.streams.touchAll() }

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

// control handles a message to all replicas.
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
		sh.keeper.streams.cancelSession(n.Session)
	default:
		st := sh.keeper.streams.of(n.Message)
		switch {
		case st == nil:
		case n.Deleted:
			sh.keeper.streams.delete(n.Message)
		default:
			st.cancel(errStopped)
			sh.tell(AllReplicas, kindStopped, n)
		}
	}
}

// receiveRevoked handles grants that this replica or another one has revoked.
func (sh *sharing) receiveRevoked(payload []byte) {
	var n revokeNote
	if json.Unmarshal(payload, &n) == nil && len(n.Grants) > 0 {
		sh.revoked.tell(n.Grants)
	}
}

// takeOverMost is how often reading a log is tried before the journal is used alone.
const takeOverMost = 3

// takeOver is peers': what the log has counts, if it has all that the journal has.
func (sh *sharing) takeOver(ctx context.Context, o Orphan, tries int) (eventlog.Content, int64, error) {
	l, err := sh.readLog(ctx, o.Message)
	switch {
	case err == nil && l.Last() >= o.Said.Seq:
		c := l.Content()
		return c, c.Seq + 1, nil
	case errors.Is(err, ErrFenced):
		return o.Said, 0, err
	case err == nil, errors.Is(err, ErrLogLost), sh.bus.Up() != nil, tries >= takeOverMost:
		return o.Said, o.Said.Seq + 1 + lostJump, nil
	}
	return o.Said, 0, &Error{Code: CodeUnavailable, Msg: "the log does not answer", Err: err}
}

// readLog takes a log over, so that its old owner can append no more, and returns it.
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
	return sh.leases.Owned(ctx, sh.keeper.replica)
}

// used is peers'.
func (sh *sharing) used(ctx context.Context, user UserID) (Used, error) {
	return sh.leases.UsedElsewhere(ctx, sh.keeper.replica, user)
}
