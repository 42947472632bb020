// Package redisbus shares answers in flight between replicas on Redis 7 or
// later, a single server or a cluster.
//
// All keys of a session share a hash tag, so that a stream's log and its
// session's sharded channel lie in one slot:
//
//	oc:{session}:<stream>:l  the log: a Redis Stream, one entry a batch, with the id <seq of its last event + 1>-0
//	oc:{session}:<stream>:m  a hash: e the epoch, s the last seq
//	oc:{session}:c           the session's channel
//	oc:{user}:u              a user's channel
//	oc:{all}:c               what all replicas listen to
package redisbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/omnichat/omnichat/hub"
)

const (
	keepOpen  = 2 * time.Hour   // a log whose owner says nothing any more
	keepEnded = 3 * time.Minute // after the end
)

// ship opens a log or appends to it, and publishes: one round trip, atomic. A
// batch that is there already changes nothing.
var ship = redis.NewScript(`
local epoch, from, last = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local m = redis.call('HMGET', KEYS[2], 'e', 's')
local e = tonumber(m[1])
local id = string.format('%d-0', last + 1)
if ARGV[1] == '1' then
  if e and e > epoch then return 1 end
  redis.call('DEL', KEYS[1])
  redis.call('XADD', KEYS[1], id, 'p', ARGV[5])
  redis.call('HSET', KEYS[2], 'e', epoch, 's', last)
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
else
  if not e then return 2 end
  if e ~= epoch then return 1 end
  local s = tonumber(m[2])
  if last <= s then return 0 end
  if from ~= s or not redis.call('XADD', KEYS[1], 'NOMKSTREAM', id, 'p', ARGV[5]) then return 2 end
  redis.call('HSET', KEYS[2], 's', last)
end
redis.call('SPUBLISH', KEYS[3], ARGV[5])
return 0
`)

// takeover raises the epoch and returns the log: first its last seq, -1 if it
// is lost, or -2 if somebody else was further.
var takeover = redis.NewScript(`
local epoch = tonumber(ARGV[1])
local m = redis.call('HMGET', KEYS[2], 'e', 's')
local e = tonumber(m[1])
if e and e > epoch then return {-2} end
local s = tonumber(m[2] or '-1')
local log = redis.call('XRANGE', KEYS[1], '-', '+')
if #log == 0 then s = -1 end
redis.call('HSET', KEYS[2], 'e', epoch, 's', s)
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local out = {s}
for i, entry in ipairs(log) do out[i + 1] = entry[2][2] end
return out
`)

// ended publishes an end and lets the log go soon.
var ended = redis.NewScript(`
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return redis.call('SPUBLISH', KEYS[3], ARGV[2])
`)

// Bus is a hub.Bus on Redis.
type Bus struct {
	client  redis.UniversalClient
	cluster *redis.ClusterClient // nil on a single server
	log     *slog.Logger
	state   atomic.Pointer[string] // why it is down; nil when it is up

	mu     sync.Mutex
	wanted map[hub.Topic]bool
	bell   chan struct{} // holds one: wanted has changed, or a listener has ended
}

// Open returns a bus on the server or cluster that a URL names, as
// redis://:password@host:6379/0; more nodes of a cluster may be given as
// ?addr=host:port. Redis may be away: then nothing tells a cluster from a
// single server but an addr in the URL.
func Open(ctx context.Context, url string, log *slog.Logger) (*Bus, error) {
	b := &Bus{log: log, wanted: map[hub.Topic]bool{}, bell: make(chan struct{}, 1)}
	down := "not connected yet"
	b.state.Store(&down)
	isCluster := strings.Contains(url, "addr=")
	if !isCluster {
		opt, err := redis.ParseURL(url)
		if err != nil {
			return nil, fmt.Errorf("REDIS_URL: %w", err)
		}
		opt.MaxRetries, opt.ContextTimeoutEnabled = -1, true
		opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = 2*time.Second, 3*time.Second, 3*time.Second
		single := redis.NewClient(opt)
		probe, cancel := context.WithTimeout(ctx, 2*time.Second)
		info, err := single.Info(probe, "cluster").Result()
		cancel()
		if err != nil {
			log.Warn("Redis does not answer", "err", err)
		}
		isCluster = strings.Contains(info, "cluster_enabled:1")
		if !isCluster {
			b.client = single
			return b, nil
		}
		if err := single.Close(); err != nil {
			return nil, fmt.Errorf("close the probe: %w", err)
		}
	}
	opt, err := redis.ParseClusterURL(url)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	opt.ContextTimeoutEnabled = true
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = 2*time.Second, 3*time.Second, 3*time.Second
	b.cluster = redis.NewClusterClient(opt)
	b.client = b.cluster
	return b, nil
}

// Close lets the connections go. Run has returned before.
func (b *Bus) Close() error { return b.client.Close() }

// Up is hub.Bus's.
func (b *Bus) Up() error {
	if s := b.state.Load(); s != nil {
		return errors.New("Redis is not available: " + *s)
	}
	return nil
}

func keys(s hub.SessionID, id hub.MessageID) []string {
	base := "oc:{" + string(s) + "}:"
	return []string{base + string(id) + ":l", base + string(id) + ":m", base + "c"}
}

// channel names a topic.
func channel(t hub.Topic) string {
	switch {
	case t.Session != "":
		return "oc:{" + string(t.Session) + "}:c"
	case t.User != "":
		return "oc:{" + string(t.User) + "}:u"
	}
	return "oc:{all}:c"
}

// topicOf is the topic of a channel.
func topicOf(channel string) hub.Topic {
	id, ok := strings.CutPrefix(channel, "oc:{")
	id, kind, ok2 := strings.Cut(id, "}:")
	switch {
	case !ok || !ok2 || id == "all":
		return hub.Topic{}
	case kind == "u":
		return hub.Topic{User: hub.UserID(id)}
	}
	return hub.Topic{Session: hub.SessionID(id)}
}

// Publish is hub.Bus's.
func (b *Bus) Publish(ctx context.Context, t hub.Topic, payload []byte) (int, error) {
	n, err := b.client.SPublish(ctx, channel(t), payload).Result()
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	return int(n), nil
}

// Ship is hub.Bus's.
func (b *Bus) Ship(ctx context.Context, batches []hub.Batch) ([]error, error) {
	refused := make([]error, len(batches))
	todo := make([]int, len(batches))
	for i := range todo {
		todo[i] = i
	}
	for loaded := false; ; loaded = true {
		pipe := b.client.Pipeline()
		results := make([]*redis.Cmd, len(todo))
		for n, i := range todo {
			x := &batches[i]
			open := "0"
			if x.Open {
				open = "1"
			}
			results[n] = ship.EvalSha(ctx, pipe, keys(x.Session, x.Stream), open, x.Epoch, x.From, x.Seq, x.Payload, keepOpen.Milliseconds())
		}
		_, err := pipe.Exec(ctx)
		var missing []int
		for n, i := range todo {
			code, err := results[n].Int()
			switch {
			case redis.HasErrorPrefix(err, "NOSCRIPT"):
				missing = append(missing, i)
			case err != nil:
				refused[i] = fmt.Errorf("append to a log: %w", err)
			case code == 1:
				refused[i] = hub.ErrFenced
			case code == 2:
				refused[i] = hub.ErrLogLost
			default:
				refused[i] = nil
			}
		}
		switch {
		case len(missing) == 0 && err != nil && allFailed(refused):
			return nil, fmt.Errorf("ship to Redis: %w", err)
		case len(missing) == 0:
			return refused, nil
		case loaded:
			return nil, fmt.Errorf("ship to Redis: %w", err)
		}
		if err := b.load(ctx, ship); err != nil {
			return nil, fmt.Errorf("load a script: %w", err)
		}
		todo = missing
	}
}

func allFailed(refused []error) bool {
	for _, err := range refused {
		if err == nil || errors.Is(err, hub.ErrFenced) || errors.Is(err, hub.ErrLogLost) {
			return false
		}
	}
	return true
}

// load puts a script on every node.
func (b *Bus) load(ctx context.Context, s *redis.Script) error {
	if b.cluster == nil {
		return s.Load(ctx, b.client).Err()
	}
	return b.cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return s.Load(ctx, node).Err() })
}

// page is how many entries of a log are read at once.
const page = 500

// Read is hub.Bus's.
func (b *Bus) Read(ctx context.Context, s hub.SessionID, id hub.MessageID, after int64) (hub.Tail, error) {
	k := keys(s, id)
	var tail hub.Tail
	from := strconv.FormatInt(after+2, 10) + "-0"
	for {
		pipe := b.client.Pipeline()
		entries := pipe.XRangeN(ctx, k[0], from, "+", page)
		epoch := pipe.HGet(ctx, k[1], "e")
		if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
			return tail, fmt.Errorf("read a log: %w", err)
		}
		e, err := epoch.Int64()
		if err != nil {
			return hub.Tail{Lost: true}, nil
		}
		tail.Epoch = e
		for _, m := range entries.Val() {
			p, _ := m.Values["p"].(string)
			tail.Payloads = append(tail.Payloads, []byte(p))
			from = "(" + m.ID
		}
		if len(entries.Val()) < page {
			return tail, nil
		}
	}
}

// Takeover is hub.Bus's.
func (b *Bus) Takeover(ctx context.Context, s hub.SessionID, id hub.MessageID, epoch int64) (hub.Tail, error) {
	k := keys(s, id)
	out, err := takeover.Run(ctx, b.client, k[:2], epoch, keepOpen.Milliseconds()).Slice()
	if err != nil {
		return hub.Tail{}, fmt.Errorf("take a log over: %w", err)
	}
	last, _ := out[0].(int64)
	if last == -2 {
		return hub.Tail{}, hub.ErrFenced
	}
	tail := hub.Tail{Lost: last == -1, Epoch: epoch}
	for _, p := range out[1:] {
		text, _ := p.(string)
		tail.Payloads = append(tail.Payloads, []byte(text))
	}
	return tail, nil
}

// End is hub.Bus's.
func (b *Bus) End(ctx context.Context, s hub.SessionID, id hub.MessageID, payload []byte) error {
	if err := ended.Run(ctx, b.client, keys(s, id), keepEnded.Milliseconds(), payload).Err(); err != nil {
		return fmt.Errorf("publish an end: %w", err)
	}
	return nil
}
