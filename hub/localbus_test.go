package hub

import (
	"context"
	"slices"
	"sync"
)

// LocalBus is a [Bus] for several hubs in one process. Each hub has one of its
// own, from Client. It is as good as Redis but for surviving the process.
type LocalBus struct {
	mu      sync.Mutex
	members map[*localClient]struct{}
	logs    map[MessageID]*localLog
	ended   []MessageID
	send    func(to *localClient, d delivery) // brings a message to a member
}

// endedMax is how many logs are kept after their streams' ends.
const endedMax = 1024

type localLog struct {
	epoch    int64
	last     int64
	payloads [][]byte
	seqs     []int64 // the last of each payload
	lost     bool    // fenced without ever having been seen
}

// NewLocalBus returns a bus without members.
func NewLocalBus() *LocalBus {
	return &LocalBus{members: map[*localClient]struct{}{}, logs: map[MessageID]*localLog{}, send: (*localClient).push}
}

// Break loses what is on its way, and with logs set those too, as a Redis that
// comes back.
func (b *LocalBus) Break(logs bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if logs {
		clear(b.logs)
	}
	for m := range b.members {
		m.push(delivery{reconnected: true})
		for t := range m.topics {
			m.push(delivery{topic: t, joined: true})
		}
	}
}

// localClient is one member's end of the bus.
type localClient struct {
	bus    *LocalBus
	topics map[Topic]bool // guarded by bus.mu

	mu    sync.Mutex
	queue []delivery
	bell  chan struct{} // holds one
}

type delivery struct {
	topic       Topic
	joined      bool
	reconnected bool
	payload     []byte
}

// Client returns a new member's Bus.
func (b *LocalBus) Client() Bus {
	c := &localClient{bus: b, topics: map[Topic]bool{}, bell: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members[c] = struct{}{}
	return c
}

func (c *localClient) push(d delivery) {
	c.mu.Lock()
	c.queue = append(c.queue, d)
	c.mu.Unlock()
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

// Run is Bus's.
func (c *localClient) Run(ctx context.Context, to BusClient) {
	for {
		c.mu.Lock()
		queue := c.queue
		c.queue = nil
		c.mu.Unlock()
		for _, d := range queue {
			switch {
			case d.reconnected:
				to.Reconnected()
			case d.joined:
				to.Joined(d.topic)
			default:
				to.Receive(d.topic, d.payload)
			}
		}
		if len(queue) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			c.bus.mu.Lock()
			delete(c.bus.members, c)
			c.bus.mu.Unlock()
			return
		case <-c.bell:
		}
	}
}

// Listen is Bus's.
func (c *localClient) Listen(t Topic) {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	c.topics[t] = true
	c.push(delivery{topic: t, joined: true})
}

// Leave is Bus's.
func (c *localClient) Leave(t Topic) {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	delete(c.topics, t)
}

// publish sends to all members that listen. The caller holds b.mu.
func (b *LocalBus) publish(t Topic, payload []byte) (heard int) {
	for m := range b.members {
		if m.topics[t] {
			b.send(m, delivery{topic: t, payload: payload})
			heard++
		}
	}
	return heard
}

// Publish is Bus's.
func (c *localClient) Publish(_ context.Context, t Topic, payload []byte) (int, error) {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	return c.bus.publish(t, payload), nil
}

// Ship is Bus's.
func (c *localClient) Ship(_ context.Context, batches []Batch) ([]error, error) {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	refused := make([]error, len(batches))
	for i, x := range batches {
		refused[i] = c.bus.ship(x)
	}
	return refused, nil
}

func (b *LocalBus) ship(x Batch) error {
	l := b.logs[x.Stream]
	switch {
	case x.Open && l != nil && l.epoch > x.Epoch:
		return ErrFenced
	case x.Open:
		l = &localLog{epoch: x.Epoch}
		b.logs[x.Stream] = l
	case l == nil:
		return ErrLogLost
	case l.epoch != x.Epoch:
		return ErrFenced
	case x.Seq <= l.last:
		return nil
	case x.From != l.last:
		return ErrLogLost
	}
	l.last = x.Seq
	l.payloads, l.seqs = append(l.payloads, x.Payload), append(l.seqs, x.Seq)
	b.publish(Topic{Session: x.Session}, x.Payload)
	return nil
}

// Read is Bus's.
func (c *localClient) Read(_ context.Context, _ SessionID, id MessageID, after int64) (Tail, error) {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	l := c.bus.logs[id]
	if l == nil {
		return Tail{Lost: true}, nil
	}
	tail := Tail{Epoch: l.epoch}
	for i, p := range l.payloads {
		if l.seqs[i] > after {
			tail.Payloads = append(tail.Payloads, p)
		}
	}
	return tail, nil
}

// Takeover is Bus's.
func (c *localClient) Takeover(_ context.Context, _ SessionID, id MessageID, epoch int64) (Tail, error) {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	l := c.bus.logs[id]
	if l == nil {
		l = &localLog{last: -1, lost: true}
		c.bus.logs[id] = l
	}
	if l.epoch > epoch {
		return Tail{}, ErrFenced
	}
	l.epoch = epoch
	return Tail{Lost: l.lost, Epoch: epoch, Payloads: append([][]byte(nil), l.payloads...)}, nil
}

// End is Bus's.
func (c *localClient) End(_ context.Context, s SessionID, id MessageID, payload []byte) error {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	c.bus.ended = append(c.bus.ended, id)
	if len(c.bus.ended) > endedMax { // who comes later reads the stored message
		delete(c.bus.logs, c.bus.ended[0])
		c.bus.ended = slices.Delete(c.bus.ended, 0, 1)
	}
	c.bus.publish(Topic{Session: s}, payload)
	return nil
}

// Up is Bus's.
func (c *localClient) Up() error { return nil }
