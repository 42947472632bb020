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
//
// bus.go has the scripts and the calls, listen.go the subscriptions, and state.go what is
// known of servers that failed.
package redisbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

// ship opens logs or appends to them, and publishes: one round trip for many
// streams, atomic for each. A batch that is there already changes nothing. It
// returns for each 0, 1 if it is fenced, 2 if its log is lost, or what is wrong
// with its keys alone: of another type, say, which is no fault of the server.
var ship = redis.NewScript(`
local expiry = tonumber(ARGV[#ARGV])
local function one(log, meta, channel, open, epoch, from, last, payload)
  local m = redis.call('HMGET', meta, 'e', 's')
  local e = tonumber(m[1])
  local id = string.format('%d-0', last + 1)
  if open == '1' then
    if e and e > epoch then return 1 end
    redis.call('DEL', log)
    redis.call('XADD', log, id, 'p', payload)
    redis.call('HSET', meta, 'e', epoch, 's', last)
    redis.call('PEXPIRE', log, expiry)
    redis.call('PEXPIRE', meta, expiry)
  else
    if not e then return 2 end
    if e ~= epoch then return 1 end
    local s = tonumber(m[2])
    if last <= s then return 0 end
    if from ~= s or not redis.call('XADD', log, 'NOMKSTREAM', id, 'p', payload) then return 2 end
    redis.call('HSET', meta, 's', last)
    if redis.call('PTTL', meta) < expiry / 2 then
      redis.call('PEXPIRE', log, expiry)
      redis.call('PEXPIRE', meta, expiry)
    end
  end
  redis.call('SPUBLISH', channel, payload)
  return 0
end
local out = {}
for i = 0, #KEYS / 3 - 1 do
  local k, a = i * 3, i * 5
  local ok, code = pcall(one, KEYS[k + 1], KEYS[k + 2], KEYS[k + 3],
    ARGV[a + 1], tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]), ARGV[a + 5])
  if not ok then
    code = type(code) == 'table' and code['err'] or tostring(code)
    if not (string.find(code, '^WRONGTYPE') or string.find(code, '^ERR')) then return redis.error_reply(code) end
  end
  out[i + 1] = code
end
return out
`)

// shipMax is how many batches one call of ship takes, so that none holds Redis
// up for long.
const shipMax = 64

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
redis.call('PEXPIRE', KEYS[1], ARGV[2])
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

// Bus is a hub.Bus on Redis. All methods may be called concurrently.
type Bus struct {
	url      string
	servers  atomic.Pointer[servers]
	guessed  bool // what the servers are; Run's
	log      *slog.Logger
	state    atomic.Pointer[string] // why not all that is wanted is listened to; nil when it is
	failures failures
	limit    time.Duration // for a cluster's node in a call of Ship

	mu      sync.Mutex
	wanted  map[hub.Topic]uint64 // by which Listen
	listens uint64
	bell    chan struct{} // holds one: wanted has changed, or a listener has begun or ended
}

var _ hub.Bus = (*Bus)(nil)

// servers is a single server or a cluster.
type servers struct {
	redis.UniversalClient
	cluster *redis.ClusterClient // nil on a single server
}

// Open returns a bus on the server or cluster that a URL names, as
// redis://:password@host:6379/0; more nodes of a cluster may be given as
// ?addr=host:port. Redis may be away: then, without an addr in the URL, it counts
// as a single server until it tells Run what it is.
func Open(ctx context.Context, url string, log *slog.Logger) (*Bus, error) {
	b := &Bus{url: url, log: log, wanted: map[hub.Topic]uint64{}, bell: make(chan struct{}, 1), limit: shardLimit, failures: failures{rest: restFor}}
	down := "not connected yet"
	b.state.Store(&down)
	if strings.Contains(url, "addr=") {
		if err := b.useCluster(); err != nil {
			return nil, err
		}
		return b, nil
	}
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	opt.MaxRetries, opt.ContextTimeoutEnabled = -1, true
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = 2*time.Second, 3*time.Second, 3*time.Second
	b.servers.Store(&servers{UniversalClient: redis.NewClient(opt)})
	b.guessed = true
	if err := b.identify(ctx); err != nil {
		log.Warn("Redis does not answer", "err", err)
	}
	return b, nil
}

// identify asks what was taken for a single server whether it is a cluster's
// node.
func (b *Bus) identify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	single := b.servers.Load()
	info, err := single.Info(ctx, "cluster").Result()
	if err != nil {
		return fmt.Errorf("ask whether it is a cluster: %w", err)
	}
	if strings.Contains(info, "cluster_enabled:1") {
		if err := b.useCluster(); err != nil {
			return err
		}
		if err := single.Close(); err != nil {
			return fmt.Errorf("close the probe: %w", err)
		}
	}
	b.guessed = false
	return nil
}

func (b *Bus) useCluster() error {
	opt, err := redis.ParseClusterURL(b.url)
	if err != nil {
		return fmt.Errorf("REDIS_URL: %w", err)
	}
	opt.ContextTimeoutEnabled = true
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = 2*time.Second, 3*time.Second, 3*time.Second
	cluster := redis.NewClusterClient(opt)
	b.servers.Store(&servers{UniversalClient: cluster, cluster: cluster})
	return nil
}

// Close lets the connections go. Run has returned before.
func (b *Bus) Close() error { return b.servers.Load().Close() }

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
		return hub.AllReplicas
	case kind == "u":
		return hub.Topic{User: hub.UserID(id)}
	}
	return hub.Topic{Session: hub.SessionID(id)}
}

// Publish is hub.Bus's.
func (b *Bus) Publish(ctx context.Context, t hub.Topic, payload []byte) (int, error) {
	var n int64
	err := b.unlessAway(ctx, channel(t), func() (err error) {
		n, err = b.servers.Load().SPublish(ctx, channel(t), payload).Result()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	return int(n), nil
}

// unlessAway makes a call for a key, unless its node of a cluster failed a moment
// ago: messages wait for one another, and those for a node that hangs may not hold
// up all others.
func (b *Bus) unlessAway(ctx context.Context, key string, call func() error) error {
	if b.servers.Load().cluster == nil {
		return call()
	}
	_, addr, err := b.nodeOf(ctx, key)
	if err == nil {
		err = b.failures.of(addr)
	}
	if err == nil {
		err = call()
		b.note(ctx, key, err)
	}
	return err
}

// shardLimit is how long a cluster's node may take for a call of Ship: one that
// hangs may not hold up for long what the others have taken.
const shardLimit = time.Second

// Ship is hub.Bus's. On a cluster each node fails by itself.
func (b *Bus) Ship(ctx context.Context, batches []hub.Batch) ([]error, error) {
	refused := make([]error, len(batches))
	if b.servers.Load().cluster == nil {
		return refused, b.shipTo(ctx, batches, b.group(batches), refused)
	}
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	byNode := map[string][][]int{}
	for _, group := range b.group(batches) {
		_, addr, err := b.nodeOf(ctx, channel(hub.Topic{Session: batches[group[0]].Session}))
		if err == nil {
			err = b.failures.of(addr)
		}
		if err == nil {
			byNode[addr] = append(byNode[addr], group)
			continue
		}
		for _, i := range group {
			refused[i] = fmt.Errorf("append to a log: its node failed a moment ago: %w", err)
		}
	}
	var nodes sync.WaitGroup
	for _, groups := range byNode {
		nodes.Go(func() {
			if err := b.shipTo(ctx, batches, groups, refused); err != nil {
				for _, i := range slices.Concat(groups...) {
					refused[i] = err
				}
			}
		})
	}
	nodes.Wait()
	return refused, nil
}

// shipTo ships groups to one node.
func (b *Bus) shipTo(ctx context.Context, batches []hub.Batch, todo [][]int, refused []error) error {
	for loaded := false; ; loaded = true {
		pipe := b.servers.Load().Pipeline()
		results := make([]*redis.Cmd, len(todo))
		for n, group := range todo {
			results[n] = ship.EvalSha(ctx, pipe, shipKeys(batches, group), shipArgs(batches, group)...)
		}
		_, err := pipe.Exec(ctx)
		var missing [][]int
		worked := false
		for n, group := range todo {
			codes, err := results[n].Slice()
			switch {
			case redis.HasErrorPrefix(err, "NOSCRIPT"):
				missing = append(missing, group)
				continue
			case err == nil && len(codes) != len(group):
				err = errors.New("an answer of another length")
			}
			worked = worked || err == nil
			b.note(ctx, channel(hub.Topic{Session: batches[group[0]].Session}), err)
			for k, i := range group {
				if err == nil {
					refused[i] = refusal(codes[k])
				} else {
					refused[i] = fmt.Errorf("append to a log: %w", err)
				}
			}
		}
		switch {
		case len(missing) == 0 && err != nil && !worked && !loaded, len(missing) > 0 && loaded:
			return fmt.Errorf("ship to Redis: %w", err)
		case len(missing) == 0:
			return nil
		}
		key := channel(hub.Topic{Session: batches[missing[0][0]].Session})
		node, _, err := b.nodeOf(ctx, key)
		if err == nil {
			err = ship.Load(ctx, node).Err()
		}
		if err != nil {
			b.note(ctx, key, err)
			return fmt.Errorf("load a script: %w", err)
		}
		todo = missing
	}
}

// refusal is what ship returned for a batch.
func refusal(code any) error {
	switch code := code.(type) {
	case int64:
		return [...]error{nil, hub.ErrFenced, hub.ErrLogLost}[code]
	case string:
		return fmt.Errorf("append to a log: %s", code)
	}
	return fmt.Errorf("append to a log: an answer %v", code)
}

// group says which batches go in one call: on a single server any, on a cluster
// those of one session, whose keys lie in one slot. Batches of one stream keep
// their order.
func (b *Bus) group(batches []hub.Batch) [][]int {
	var groups [][]int
	if b.servers.Load().cluster == nil {
		for i := range batches {
			if i%shipMax == 0 {
				groups = append(groups, make([]int, 0, min(shipMax, len(batches)-i)))
			}
			groups[len(groups)-1] = append(groups[len(groups)-1], i)
		}
		return groups
	}
	open := map[hub.SessionID]int{}
	for i := range batches {
		g, ok := open[batches[i].Session]
		if !ok || len(groups[g]) == shipMax {
			g = len(groups)
			groups = append(groups, nil)
			open[batches[i].Session] = g
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

func shipKeys(batches []hub.Batch, group []int) []string {
	out := make([]string, 0, 3*len(group))
	for _, i := range group {
		out = append(out, keys(batches[i].Session, batches[i].Stream)...)
	}
	return out
}

func shipArgs(batches []hub.Batch, group []int) []any {
	out := make([]any, 0, 5*len(group)+1)
	for _, i := range group {
		x := &batches[i]
		open := 0
		if x.Open {
			open = 1
		}
		out = append(out, open, x.Epoch, x.From, x.Seq, x.Payload)
	}
	return append(out, keepOpen.Milliseconds())
}

// page is how many entries of a log are read at once.
const page = 500

// Read is hub.Bus's.
func (b *Bus) Read(ctx context.Context, s hub.SessionID, id hub.MessageID, after int64) (hub.Tail, error) {
	k := keys(s, id)
	var tail hub.Tail
	from := strconv.FormatInt(after+2, 10) + "-0"
	for {
		pipe := b.servers.Load().Pipeline()
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
	out, err := takeover.Run(ctx, b.servers.Load(), k[:2], epoch, keepOpen.Milliseconds()).Slice()
	b.note(ctx, k[0], err)
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
	k := keys(s, id)
	err := b.unlessAway(ctx, k[2], func() error { return ended.Run(ctx, b.servers.Load(), k, keepEnded.Milliseconds(), payload).Err() })
	if err != nil {
		return fmt.Errorf("publish an end: %w", err)
	}
	return nil
}
