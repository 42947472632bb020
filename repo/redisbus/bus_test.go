package redisbus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/bustest"
	"github.com/omnichat/omnichat/repo/redisbus"
	"github.com/omnichat/omnichat/repo/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, url string) *redisbus.Bus {
	t.Helper()
	b, err := redisbus.Open(t.Context(), url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestSuiteOnOneServer(t *testing.T) {
	url := redistest.Start(t).URL()
	bustest.Run(t, func(t *testing.T) (a, b hub.Bus) { return open(t, url), open(t, url) })
}

func TestSuiteOnACluster(t *testing.T) {
	url := redistest.Cluster(t).URL
	bustest.Run(t, func(t *testing.T) (a, b hub.Bus) { return open(t, url), open(t, url) })
}

func TestClusterIsListenedToOnEveryNode(t *testing.T) {
	url := redistest.Cluster(t).URL
	a, b := open(t, url), open(t, url)
	c := bustest.NewClient()
	bustest.Start(t, a, c)
	const sessions = 30
	var topics []hub.Topic
	for range sessions {
		topic := hub.Topic{Session: hub.SessionID(hub.NewID())}
		topics = append(topics, topic)
		a.Listen(topic)
	}
	for _, topic := range topics {
		c.WaitJoined(t, topic, 1)
		if heard, err := b.Publish(t.Context(), topic, []byte("x")); err != nil || heard != 1 {
			t.Errorf("heard by %d, %v", heard, err)
		}
	}
	c.Until(t, "message", func(_ map[hub.Topic]int, got map[hub.Topic][]string, _ int) bool { return len(got) == sessions })
}

// proxy passes connections on until it is cut.
type proxy struct {
	net.Listener
	to    string
	mu    sync.Mutex
	conns []net.Conn
	all   sync.WaitGroup
	mute  map[net.Conn]bool // they stay open and say nothing
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, to: to, mute: map[net.Conn]bool{}}
	p.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, c, up)
			p.mu.Unlock()
			p.all.Go(func() { p.copy(up, c) })
			p.all.Go(func() { p.copy(c, up) })
		}
	})
	t.Cleanup(func() { l.Close(); p.cut(); p.all.Wait() })
	return p
}

func (p *proxy) copy(to, from net.Conn) {
	_, _ = io.Copy(writer{p, to}, from)
	to.Close()
	from.Close()
}

type writer struct {
	p *proxy
	net.Conn
}

func (w writer) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	mute := w.p.mute[w.Conn]
	w.p.mu.Unlock()
	if mute {
		return len(b), nil
	}
	return w.Conn.Write(b)
}

// silence has all connections that are open say nothing any more.
func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		p.mute[c] = true
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func TestListeningSurvivesEveryLossOfTheConnection(t *testing.T) {
	server := redistest.Start(t)
	p := newProxy(t, server.Addr)
	a, b := open(t, "redis://"+p.Addr().String()), open(t, server.URL())
	c := bustest.NewClient()
	bustest.Start(t, a, c)
	topic := hub.Topic{Session: hub.SessionID(hub.NewID())}
	a.Listen(topic)
	c.WaitJoined(t, topic, 1)
	direct := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer direct.Close()
	n := 1
	for name, lose := range map[string]func(){
		"closed":            p.cut,
		"killed by Redis":   func() { direct.ClientKillByFilter(t.Context(), "TYPE", "pubsub") },
		"silent":            p.silence,
		"Redis comes back":  server.Restart,
		"Redis was emptied": func() { direct.FlushAll(t.Context()); p.cut() },
	} {
		lose()
		n++
		c.WaitJoined(t, topic, n)
		text := fmt.Sprint("after it was ", name)
		if heard, err := b.Publish(t.Context(), topic, []byte(text)); err != nil || heard < 1 {
			t.Errorf("%s: heard by %d, %v", name, heard, err)
		}
		c.Until(t, text, func(_ map[hub.Topic]int, got map[hub.Topic][]string, back int) bool {
			return strings.Contains(fmt.Sprint(got[topic]), text) && back >= n
		})
	}
}

func TestATopicIsFollowedToAnotherNode(t *testing.T) {
	cluster := redistest.Cluster(t)
	a, b := open(t, cluster.URL), open(t, cluster.URL)
	c := bustest.NewClient()
	bustest.Start(t, a, c)
	var topics []hub.Topic
	for range 5 {
		topic := hub.Topic{Session: hub.SessionID(hub.NewID())}
		topics = append(topics, topic)
		a.Listen(topic)
		c.WaitJoined(t, topic, 1)
	}
	moved := topics[0]
	key := fmt.Sprintf("oc:{%s}:c", moved.Session)
	for range 3 {
		joins, back := c.Joins(moved), 0
		c.Until(t, "", func(_ map[hub.Topic]int, _ map[hub.Topic][]string, n int) bool { back = n; return true })
		cluster.Move(t, key, (cluster.Owner(t, key)+1)%3)
		c.WaitJoined(t, moved, joins+1)
		c.Until(t, "word that logs may be gone", func(_ map[hub.Topic]int, _ map[hub.Topic][]string, n int) bool { return n > back })
		for i, topic := range topics {
			text := fmt.Sprint("at its new place ", i, joins)
			c.Until(t, text, func(_ map[hub.Topic]int, got map[hub.Topic][]string, _ int) bool {
				// Another topic may be joined anew, too, and miss one.
				if _, err := b.Publish(t.Context(), topic, []byte(text)); err != nil {
					t.Error(err)
				}
				return strings.Contains(fmt.Sprint(got[topic]), text)
			})
		}
		waitUp(t, a, "")
	}
}

// waitUp waits until a bus says that it is up, or why it is not.
func waitUp(t *testing.T, b *redisbus.Bus, why string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		err := b.Up()
		if why == "" && err == nil || why != "" && err != nil && strings.Contains(err.Error(), why) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("it says %v, not %q", err, why)
		case <-poll.C:
		}
	}
}

// TestClusterThatIsAwayAtTheStart is named by one node, which tells what it is
// only later.
func TestClusterThatIsAwayAtTheStart(t *testing.T) {
	cluster := redistest.Cluster(t)
	for _, node := range cluster.Nodes {
		node.Kill()
	}
	a := open(t, cluster.Nodes[0].URL())
	c := bustest.NewClient()
	bustest.Start(t, a, c)
	var topics []hub.Topic
	for range 20 {
		topics = append(topics, hub.Topic{Session: hub.SessionID(hub.NewID())})
		a.Listen(topics[len(topics)-1])
	}
	waitUp(t, a, "Redis")
	for _, node := range cluster.Nodes {
		node.Restart()
	}
	for _, topic := range topics {
		c.WaitJoined(t, topic, 1)
	}
	deadline, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond) // nodes that come back take nothing for 2 s
	defer poll.Stop()
	for _, topic := range topics {
		for {
			refused, err := a.Ship(deadline, []hub.Batch{{Session: topic.Session, Stream: hub.MessageID(hub.NewID()), Epoch: 1, Open: true, Payload: []byte("x")}})
			if err = errors.Join(append(refused, err)...); err == nil {
				break
			}
			if deadline.Err() != nil {
				t.Fatalf("ship: %v", err)
			}
			<-poll.C
		}
	}
	waitUp(t, a, "")
}

func TestOneNodeOfAClusterIsAway(t *testing.T) {
	cluster := redistest.Cluster(t)
	a := open(t, cluster.URL)
	c := bustest.NewClient()
	bustest.Start(t, a, c)
	topics := make([]hub.Topic, 3) // one for each node
	for found := 0; found < 3; {
		topic := hub.Topic{Session: hub.SessionID(hub.NewID())}
		if node := cluster.Owner(t, fmt.Sprintf("oc:{%s}:c", topic.Session)); topics[node] == (hub.Topic{}) {
			topics[node], found = topic, found+1
		}
	}
	for _, topic := range topics {
		a.Listen(topic)
		c.WaitJoined(t, topic, 1)
	}
	waitUp(t, a, "")
	cluster.Nodes[1].Kill()
	waitUp(t, a, "Redis")
	other := hub.Topic{Session: topics[0].Session, User: ""}
	a.Leave(other)
	before := c.Joins(other)
	a.Listen(other)
	c.WaitJoined(t, other, before+1) // nobody waits for a node that is away but its own topics
	if a.Up() == nil {
		t.Error("it is up without a node that it wants to listen at")
	}
	a.Leave(topics[1])
	waitUp(t, a, "")
}

func TestBusIsDownWhileItTakesNothing(t *testing.T) {
	server := redistest.Start(t)
	b := open(t, server.URL())
	c := bustest.NewClient()
	bustest.Start(t, b, c)
	b.Listen(hub.AllReplicas)
	c.WaitJoined(t, hub.AllReplicas, 1)
	admin := server.Client()
	s, id := hub.SessionID(hub.NewID()), hub.MessageID(hub.NewID())
	last := int64(-1)
	ship := func() error {
		refused, err := b.Ship(t.Context(), []hub.Batch{{Session: s, Stream: id, Epoch: 1, Open: last < 0, From: last, Seq: last + 1, Payload: []byte("x")}})
		if err = errors.Join(append(refused, err)...); err == nil {
			last++
		}
		return err
	}
	if err := ship(); err != nil {
		t.Fatal(err)
	}
	for name, fault := range map[string]struct{ begin, end []any }{
		"OOM":      {[]any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}},
		"READONLY": {[]any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}},
	} {
		waitUp(t, b, "")
		if err := admin.Do(t.Context(), fault.begin...).Err(); err != nil {
			t.Fatal(err)
		}
		if err := ship(); err == nil {
			t.Errorf("%s: it was taken", name)
		}
		if err := b.Up(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: it says %v", name, err)
		}
		if err := admin.Do(t.Context(), fault.end...).Err(); err != nil {
			t.Fatal(err)
		}
		if err := ship(); err != nil {
			t.Errorf("%s: afterwards %v", name, err)
		}
		if err := b.Up(); err != nil {
			t.Errorf("%s: afterwards it says %v", name, err)
		}
	}
}

func TestKeysExpire(t *testing.T) {
	server := redistest.Start(t)
	b := open(t, server.URL())
	s, id := hub.SessionID(hub.NewID()), hub.MessageID(hub.NewID())
	ship := func(x hub.Batch) {
		x.Session, x.Stream, x.Epoch = s, id, 1
		if refused, err := b.Ship(t.Context(), []hub.Batch{x}); err != nil || refused[0] != nil {
			t.Fatal(refused, err)
		}
	}
	ship(hub.Batch{Open: true, Payload: []byte("o")})
	taken := hub.MessageID(hub.NewID())
	if _, err := b.Takeover(t.Context(), s, taken, 1); err != nil {
		t.Fatal(err)
	}
	client := server.Client()
	check := func(when string, keys int, least, most time.Duration) {
		t.Helper()
		all := client.Keys(t.Context(), "*").Val()
		for _, k := range all {
			if ttl := client.PTTL(t.Context(), k).Val(); ttl <= least || ttl > most {
				t.Errorf("%s: %s expires in %s", when, k, ttl)
			}
		}
		if len(all) != keys {
			t.Errorf("%s: there are %d keys, want %d", when, len(all), keys)
		}
	}
	check("open", 3, time.Hour, 2*time.Hour)
	for _, k := range client.Keys(t.Context(), "*").Val() { // much later
		client.PExpire(t.Context(), k, time.Minute)
	}
	ship(hub.Batch{Seq: 1, Payload: []byte("1")})
	client.Del(t.Context(), fmt.Sprintf("oc:{%s}:%s:m", s, taken))
	check("appended to", 2, time.Hour, 2*time.Hour)
	for _, k := range client.Keys(t.Context(), "*").Val() {
		client.PExpire(t.Context(), k, time.Minute)
	}
	if _, err := b.Takeover(t.Context(), s, id, 2); err != nil {
		t.Fatal(err)
	}
	check("taken over", 2, time.Hour, 2*time.Hour)
	if err := b.End(t.Context(), s, id, []byte("e")); err != nil {
		t.Fatal(err)
	}
	check("ended", 2, 0, 5*time.Minute)
}

func BenchmarkShip(b *testing.B) {
	bus := open(b, redistest.Start(b).URL())
	for _, streams := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("%d streams", streams), func(b *testing.B) {
			batches := make([]hub.Batch, streams)
			for i := range batches {
				batches[i] = hub.Batch{Session: hub.SessionID(hub.NewID()), Stream: hub.MessageID(hub.NewID()), Epoch: 1, Open: true, Payload: []byte("o")}
			}
			if _, err := bus.Ship(b.Context(), batches); err != nil {
				b.Fatal(err)
			}
			for n := int64(0); b.Loop(); n++ {
				for i := range batches {
					batches[i].Open, batches[i].From, batches[i].Seq, batches[i].Payload = false, n, n+1, []byte("a token of some bytes")
				}
				if _, err := bus.Ship(b.Context(), batches); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*streams), "ns/batch")
		})
	}
}

// TestOneLogThatRefusesKeepsNoOther has keys of a wrong type: their stream alone
// is refused, and comes back, and the server is not said to be away.
func TestOneLogThatRefusesKeepsNoOther(t *testing.T) {
	server := redistest.Start(t)
	b, client := open(t, server.URL()), server.Client()
	bustest.Start(t, b, bustest.NewClient())
	waitUp(t, b, "")
	for _, key := range []string{"l", "m"} {
		s := hub.SessionID(hub.NewID())
		batches := make([]hub.Batch, 70)
		for i := range batches {
			batches[i] = hub.Batch{Session: s, Stream: hub.MessageID(hub.NewID()), Epoch: 1, Open: true, Payload: []byte("o")}
		}
		if _, err := b.Ship(t.Context(), batches); err != nil {
			t.Fatal(err)
		}
		const bad = 30
		name := fmt.Sprintf("oc:{%s}:%s:%s", s, batches[bad].Stream, key)
		client.Set(t.Context(), name, "a string", 0)
		for i := range batches {
			batches[i].Open, batches[i].Seq, batches[i].Payload = false, 1, []byte("1")
		}
		for _, some := range [][]hub.Batch{batches, batches[bad : bad+1]} {
			refused, err := b.Ship(t.Context(), some)
			if err != nil {
				t.Fatal(err)
			}
			for i, err := range refused {
				if isBad := some[i].Stream == batches[bad].Stream; isBad != (err != nil) || errors.Is(err, hub.ErrLogLost) || errors.Is(err, hub.ErrFenced) {
					t.Errorf("key %s of a wrong type: batch %d of %d ended with %v", key, i, len(some), err)
				}
			}
		}
		if err := b.Up(); err != nil {
			t.Error(err)
		}
		client.Del(t.Context(), name)
		if refused, err := b.Ship(t.Context(), batches[bad:bad+1]); err != nil || !errors.Is(refused[0], hub.ErrLogLost) {
			t.Errorf("key %s is gone: %v, %v", key, refused, err)
		}
	}
}

// TestAShardThatIsAwayKeepsNoOther kills a node, and has another one hang: what
// lives elsewhere is taken soon, and what a new stream has there is refused soon.
func TestAShardThatIsAwayKeepsNoOther(t *testing.T) {
	for name, begin := range map[string]func(s *redistest.Server){
		"killed": (*redistest.Server).Kill,
		"hangs":  func(s *redistest.Server) { s.Signal(syscall.SIGSTOP) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := redistest.Cluster(t)
			b := open(t, c.URL)
			b.Patient(3 * time.Second) // what lives elsewhere is taken within it, also by a busy machine
			var here, there []hub.Batch
			for len(here) == 0 || len(there) == 0 {
				x := hub.Batch{Session: hub.SessionID(hub.NewID()), Stream: hub.MessageID(hub.NewID()), Epoch: 1, Open: true, Payload: []byte("o")}
				if c.Owner(t, fmt.Sprintf("oc:{%s}:c", x.Session)) == 2 {
					there = append(there, x)
				} else {
					here = append(here, x)
				}
			}
			both := []hub.Batch{here[0], there[0]}
			if refused, err := b.Ship(t.Context(), both); err != nil || errors.Join(refused...) != nil {
				t.Fatal(refused, err)
			}
			begin(c.Nodes[2])
			for try := range 3 {
				refused, err := b.Ship(t.Context(), both)
				if err != nil || refused[0] != nil || refused[1] == nil {
					t.Fatalf("try %d: %v, %v", try, refused, err)
				}
				if try > 0 && !strings.Contains(refused[1].Error(), "a moment ago") {
					t.Errorf("try %d asked the node again: %v", try, refused[1])
				}
			}
			if refused, err := b.Ship(t.Context(), there[:1]); err != nil || refused[0] == nil {
				t.Errorf("alone: %v, %v", refused, err)
			}
		})
	}
}
