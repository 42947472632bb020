package redisbus

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/omnichat/omnichat/hub"
)

// rememberFor is for how long a script that failed counts against the bus,
// unless one succeeds.
const rememberFor = 5 * time.Second

// failures are the last of each node's scripts: it may be heard well and take
// nothing, when it is full or was made a replica.
type failures struct {
	any    atomic.Bool // spares those that succeed the rest
	mu     sync.Mutex
	byNode map[string]failure
	rest   time.Duration // for how long a cluster's node that failed is not asked
}

type failure struct {
	err error
	at  time.Time
}

// last is the newest of them that counts.
func (f *failures) last() error {
	if !f.any.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var newest failure
	for addr, e := range f.byNode {
		if time.Since(e.at) > rememberFor {
			delete(f.byNode, addr)
		} else if e.at.After(newest.at) {
			newest = e
		}
	}
	f.any.Store(len(f.byNode) > 0)
	return newest.err
}

// restFor is for how long a cluster's node that failed is not asked.
const restFor = 2 * time.Second

// of is a node's failure, if it is so new that the node is better left alone.
func (f *failures) of(addr string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, ok := f.byNode[addr]; ok && time.Since(e.at) < f.rest {
		return e.err
	}
	return nil
}

// note takes how a script on a key ended.
func (b *Bus) note(ctx context.Context, key string, err error) {
	f := &b.failures
	if err == nil && !f.any.Load() || errors.Is(err, context.Canceled) {
		return
	}
	_, addr, _ := b.nodeOf(ctx, key)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.byNode, addr)
	} else {
		if f.byNode == nil {
			f.byNode = map[string]failure{}
		}
		f.byNode[addr] = failure{err: err, at: time.Now()}
	}
	f.any.Store(len(f.byNode) > 0)
}

// nodeOf is the node that a key or channel lives on, and its address.
func (b *Bus) nodeOf(ctx context.Context, key string) (*redis.Client, string, error) {
	at := b.servers.Load()
	if at.cluster == nil {
		single, _ := at.UniversalClient.(*redis.Client)
		return single, "", nil
	}
	node, err := at.cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, "", err
	}
	return node, node.Options().Addr, nil
}

// down notes that not all that is wanted is listened to.
func (b *Bus) down(err error) {
	if errors.Is(err, redis.ErrClosed) && b.state.Load() != nil {
		return // why it was closed is told already
	}
	text := err.Error()
	if b.state.Swap(&text) == nil {
		b.log.Warn("Redis is away", "err", err)
	}
}

// up notes that all is.
func (b *Bus) up() {
	if b.state.Swap(nil) != nil {
		b.log.Info("Redis is here")
	}
}

// Up is hub.Bus's.
func (b *Bus) Up() error {
	if s := b.state.Load(); s != nil {
		return &hub.Error{Code: hub.CodeUnavailable, Msg: "Redis is not available", Err: errors.New(*s)}
	}
	if err := b.failures.last(); err != nil {
		return &hub.Error{Code: hub.CodeUnavailable, Msg: "Redis takes nothing", Err: err}
	}
	return nil
}

// Listen is hub.Bus's.
func (b *Bus) Listen(t hub.Topic) {
	b.mu.Lock()
	b.listens++
	b.wanted[t] = b.listens
	b.mu.Unlock()
	b.ring()
}

// Leave is hub.Bus's.
func (b *Bus) Leave(t hub.Topic) {
	b.mu.Lock()
	delete(b.wanted, t)
	b.mu.Unlock()
	b.ring()
}

// topics is what is wanted, and by which Listen: each is to be confirmed.
func (b *Bus) topics() map[hub.Topic]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[hub.Topic]uint64, len(b.wanted))
	for t, n := range b.wanted {
		out[t] = n
	}
	return out
}

func (b *Bus) ring() {
	select {
	case b.bell <- struct{}{}:
	default:
	}
}
