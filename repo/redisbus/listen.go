package redisbus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/omnichat/omnichat/hub"
)

const (
	pingEach = time.Second
	// deadAfter is how long a connection may be silent, pongs included. go-redis
	// itself never waits for a pong.
	deadAfter = 3 * time.Second
)

// listener is one connection to one node that only listens.
type listener struct {
	bus    *Bus
	sub    *redis.PubSub
	topics map[hub.Topic]uint64 // what it was told to listen to, by which Listen; Run's
	live   atomic.Bool          // the node has confirmed a topic
	done   chan struct{}        // closed once it has ended
	err    error                // why, then

	mu      sync.Mutex
	leaving map[hub.Topic]int // SUNSUBSCRIBEs that are not answered yet
	moved   []hub.Topic       // what the node has ended by itself: another has the slot
}

// listen subscribes, also to what it listens to: that is confirmed once more.
func (l *listener) listen(ctx context.Context, t hub.Topic, n uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	l.topics[t] = n
	if err := l.sub.SSubscribe(ctx, channel(t)); err != nil { // one by one: a cluster takes no two slots at once
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// giveUp has its run end, so that it is replaced.
func (l *listener) giveUp() {
	l.live.Store(false)
	_ = l.sub.Close()
}

func (l *listener) leave(ctx context.Context, t hub.Topic) {
	delete(l.topics, t)
	l.mu.Lock()
	l.leaving[t]++
	l.mu.Unlock()
	if err := l.sub.SUnsubscribe(ctx, channel(t)); err != nil {
		l.giveUp()
	}
}

// left takes the end of a subscription and says whether the node ended it by
// itself.
func (l *listener) left(t hub.Topic) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.leaving[t]; n == 0 {
		l.moved = append(l.moved, t)
		return true
	} else if n == 1 {
		delete(l.leaving, t)
	} else {
		l.leaving[t] = n - 1
	}
	return false
}

func (l *listener) takeMoved() []hub.Topic {
	l.mu.Lock()
	defer l.mu.Unlock()
	moved := l.moved
	l.moved = nil
	return moved
}

// run delivers until the connection fails.
func (l *listener) run(ctx context.Context, c *serialClient) {
	defer func() {
		if r := recover(); r != nil { // another listener replaces it
			l.err = fmt.Errorf("panic: %v", r)
			l.bus.log.Error("listener panicked", "panic", r, "stack", string(debug.Stack()))
		}
		_ = l.sub.Close()
		close(l.done)
		l.bus.ring()
	}()
	l.err = l.receive(ctx, c)
}

func (l *listener) receive(ctx context.Context, c *serialClient) error {
	heard := time.Now()
	for {
		got, err := l.sub.ReceiveTimeout(ctx, pingEach)
		var timeout net.Error
		switch {
		case err == nil:
			heard = time.Now()
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &timeout) || !timeout.Timeout():
			return fmt.Errorf("receive: %w", err)
		case time.Since(heard) > deadAfter:
			return errors.New("the connection is silent")
		default:
			if err := l.sub.Ping(ctx); err != nil {
				return fmt.Errorf("ping: %w", err)
			}
			continue
		}
		switch m := got.(type) {
		case *redis.Subscription:
			t := topicOf(m.Channel)
			switch m.Kind {
			case "ssubscribe":
				if !l.live.Swap(true) {
					c.reconnected()
					l.bus.ring()
				}
				c.joined(t)
			case "sunsubscribe":
				if l.left(t) {
					l.bus.ring()
				}
			}
		case *redis.Message:
			c.receive(topicOf(m.Channel), []byte(m.Payload))
		}
	}
}

// rest is how long a node that failed is left alone.
type rest struct {
	until time.Time
	next  time.Duration
}

// exchange keeps each wanted topic listened to at the node that has it.
type exchange struct {
	bus       *Bus
	client    *serialClient
	listeners map[string]*listener // by the node's address
	rests     map[string]*rest
	running   sync.WaitGroup
}

// Run is hub.Bus's. Each node that has a topic has a listener; one that fails
// is replaced, and its topics are looked up anew.
func (b *Bus) Run(ctx context.Context, c hub.BusClient) {
	x := &exchange{bus: b, client: &serialClient{client: c}, listeners: map[string]*listener{}, rests: map[string]*rest{}}
	defer x.running.Wait()
	defer func() {
		for _, l := range x.listeners {
			_ = l.sub.Close()
		}
	}()
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.bell:
		case <-retry.C:
		}
		if b.guessed {
			_ = b.identify(ctx) // if it does not answer, listening fails, too
		}
		x.sweep(ctx)
		if again := x.arrange(ctx); again > 0 {
			retry.Reset(again)
		}
	}
}

// sweep takes away what has ended: listeners, and what nodes have ended of
// them. Then the cluster has changed.
func (x *exchange) sweep(ctx context.Context) {
	changed := false
	for addr, l := range x.listeners {
		for _, t := range l.takeMoved() {
			delete(l.topics, t)
			changed = true
		}
		select {
		case <-l.done:
			delete(x.listeners, addr)
			changed = true
			if len(l.topics) > 0 && ctx.Err() == nil {
				x.fail(addr, l.err)
			}
		default:
			if l.live.Load() {
				delete(x.rests, addr)
			}
		}
	}
	for addr, r := range x.rests {
		if time.Since(r.until) > 10*time.Second { // it has nothing to say, or is gone
			delete(x.rests, addr)
		}
	}
	cluster := x.bus.servers.Load().cluster
	if !changed || cluster == nil {
		return
	}
	// What has moved was missed, and its log may have stayed behind.
	x.client.reconnected()
	limit, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = cluster.ForEachMaster(limit, func(context.Context, *redis.Client) error { return nil }) // the state is read anew for it, and at once
}

// fail leaves a node alone for a while.
func (x *exchange) fail(addr string, err error) {
	x.bus.down(err)
	r := x.rests[addr]
	if r == nil {
		r = &rest{next: 50 * time.Millisecond}
		x.rests[addr] = r
	}
	r.until = time.Now().Add(r.next/2 + rand.N(r.next/2))
	r.next = min(2*r.next, time.Second)
}

// arrange makes the listeners listen to what is wanted. It says when it is to
// be called again, if anything is missing; else the bus is up.
func (x *exchange) arrange(ctx context.Context) (again time.Duration) {
	wanted := x.bus.topics()
	for _, l := range x.listeners {
		for t, n := range l.topics {
			switch now, ok := wanted[t]; {
			case !ok:
				l.leave(ctx, t)
			case now == n:
				delete(wanted, t)
			default: // it was left meanwhile, and is to be confirmed again
				delete(wanted, t)
				if err := l.listen(ctx, t, now); err != nil {
					l.giveUp()
				}
			}
		}
	}
	missing := false
	wait := func(addr string) {
		missing = true
		if d := max(time.Until(x.rests[addr].until), time.Millisecond); again == 0 || d < again {
			again = d
		}
	}
	for t, n := range wanted {
		node, addr, err := x.bus.nodeOf(ctx, channel(t))
		if r := x.rests[addr]; r != nil && time.Now().Before(r.until) {
			wait(addr)
			continue
		}
		if err == nil {
			err = x.listenAt(ctx, node, addr, t, n)
		}
		if err != nil {
			x.fail(addr, err)
			wait(addr)
		}
	}
	for _, l := range x.listeners {
		missing = missing || !l.live.Load() && len(l.topics) > 0 // it rings
	}
	if !missing {
		x.bus.up()
	}
	return again
}

// listenAt listens to a topic at a node, with a listener of its own if the node
// has none yet.
func (x *exchange) listenAt(ctx context.Context, node *redis.Client, addr string, t hub.Topic, n uint64) error {
	if l := x.listeners[addr]; l != nil {
		err := l.listen(ctx, t, n)
		if err != nil {
			l.giveUp()
		}
		return err
	}
	l := &listener{
		bus: x.bus, sub: node.SSubscribe(ctx), topics: map[hub.Topic]uint64{}, leaving: map[hub.Topic]int{}, done: make(chan struct{}),
	}
	if err := l.listen(ctx, t, n); err != nil {
		_ = l.sub.Close()
		return err
	}
	x.listeners[addr] = l
	x.running.Go(func() { l.run(ctx, x.client) })
	return nil
}

// serialClient makes the calls of several listeners one at a time.
type serialClient struct {
	mu     sync.Mutex
	client hub.BusClient
}

func (c *serialClient) joined(t hub.Topic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client.Joined(t)
}

func (c *serialClient) receive(t hub.Topic, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client.Receive(t, payload)
}

func (c *serialClient) reconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client.Reconnected()
}
