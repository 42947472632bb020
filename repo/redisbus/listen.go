package redisbus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
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

// Listen is hub.Bus's.
func (b *Bus) Listen(t hub.Topic) { b.want(t, true) }

// Leave is hub.Bus's.
func (b *Bus) Leave(t hub.Topic) { b.want(t, false) }

func (b *Bus) want(t hub.Topic, wanted bool) {
	b.mu.Lock()
	if wanted {
		b.wanted[t] = true
	} else {
		delete(b.wanted, t)
	}
	b.mu.Unlock()
	b.ring()
}

func (b *Bus) ring() {
	select {
	case b.bell <- struct{}{}:
	default:
	}
}

// listener is one connection to one node that only listens.
type listener struct {
	bus    *Bus
	node   *redis.Client
	sub    *redis.PubSub
	topics map[hub.Topic]bool // what it was told to listen to; Run's
	done   chan struct{}      // closed once it has ended
}

// Run is hub.Bus's. Each node that has a topic has a listener; one that fails
// is replaced, and its topics are looked up anew.
func (b *Bus) Run(ctx context.Context, c hub.BusClient) {
	serial := &serialClient{client: c}
	listeners := map[string]*listener{}
	var all sync.WaitGroup
	defer all.Wait()
	defer func() {
		for _, l := range listeners {
			_ = l.sub.Close()
		}
	}()
	retry := time.NewTimer(0)
	defer retry.Stop()
	wait := 50 * time.Millisecond
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.bell:
		case <-retry.C:
		}
		for addr, l := range listeners {
			select {
			case <-l.done:
				delete(listeners, addr)
			default:
			}
		}
		started, err := b.arrange(ctx, listeners)
		for _, l := range started {
			all.Go(func() { l.run(ctx, serial) })
		}
		if err == nil {
			wait = 50 * time.Millisecond
			continue
		}
		b.down(err)
		retry.Reset(wait/2 + rand.N(wait/2))
		wait = min(2*wait, time.Second)
	}
}

// down notes that the bus is away.
func (b *Bus) down(err error) {
	text := err.Error()
	if b.state.Swap(&text) == nil {
		b.log.Warn("Redis is away", "err", err)
	}
}

// arrange makes the listeners listen to what is wanted, and returns new ones.
func (b *Bus) arrange(ctx context.Context, listeners map[string]*listener) (started []*listener, err error) {
	b.mu.Lock()
	wanted := make(map[hub.Topic]bool, len(b.wanted))
	for t := range b.wanted {
		wanted[t] = true
	}
	b.mu.Unlock()
	for _, l := range listeners {
		for t := range l.topics {
			if wanted[t] {
				delete(wanted, t)
				continue
			}
			delete(l.topics, t)
			if err := l.sub.SUnsubscribe(ctx, channel(t)); err != nil {
				_ = l.sub.Close() // its run ends, and it is replaced
			}
		}
	}
	for t := range wanted {
		node, err := b.nodeOf(ctx, channel(t))
		if err != nil {
			return started, err
		}
		addr := node.Options().Addr
		l := listeners[addr]
		if l == nil {
			l = &listener{bus: b, node: node, sub: node.SSubscribe(ctx), topics: map[hub.Topic]bool{}, done: make(chan struct{})}
			listeners[addr] = l
			started = append(started, l)
		}
		l.topics[t] = true
		limit, cancel := context.WithTimeout(ctx, 2*time.Second)
		err = l.sub.SSubscribe(limit, channel(t)) // one by one: a cluster takes no two slots at once
		cancel()
		if err != nil {
			_ = l.sub.Close()
			return started, fmt.Errorf("subscribe: %w", err)
		}
	}
	return started, nil
}

// nodeOf is the node that a channel lives on.
func (b *Bus) nodeOf(ctx context.Context, channel string) (*redis.Client, error) {
	if b.cluster == nil {
		single, _ := b.client.(*redis.Client)
		return single, nil
	}
	node, err := b.cluster.MasterForKey(ctx, channel)
	if err != nil {
		return nil, fmt.Errorf("find the node of a channel: %w", err)
	}
	return node, nil
}

// run delivers until the connection fails.
func (l *listener) run(ctx context.Context, c *serialClient) {
	err := l.receive(ctx, c)
	_ = l.sub.Close()
	close(l.done)
	if ctx.Err() != nil {
		return
	}
	l.bus.down(err)
	if l.bus.cluster != nil {
		l.bus.cluster.ReloadState(ctx)
	}
	t := time.NewTimer(20*time.Millisecond + rand.N(80*time.Millisecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
		l.bus.ring()
	}
}

func (l *listener) receive(ctx context.Context, c *serialClient) error {
	heard, fresh := time.Now(), true
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
			if m.Kind != "ssubscribe" {
				continue
			}
			if fresh {
				fresh = false
				l.bus.state.Store(nil)
				c.reconnected()
			}
			c.joined(topicOf(m.Channel))
		case *redis.Message:
			c.receive(topicOf(m.Channel), []byte(m.Payload))
		}
	}
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
