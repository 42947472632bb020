package redisbus_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

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
	url := redistest.Cluster(t)
	bustest.Run(t, func(t *testing.T) (a, b hub.Bus) { return open(t, url), open(t, url) })
}

func TestClusterIsListenedToOnEveryNode(t *testing.T) {
	url := redistest.Cluster(t)
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

func TestKeysExpire(t *testing.T) {
	server := redistest.Start(t)
	b := open(t, server.URL())
	s, id := hub.SessionID(hub.NewID()), hub.MessageID(hub.NewID())
	if _, err := b.Ship(t.Context(), []hub.Batch{{Session: s, Stream: id, Epoch: 1, Open: true, Payload: []byte("o")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Takeover(t.Context(), s, hub.MessageID(hub.NewID()), 1); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	check := func(most string) {
		for _, k := range client.Keys(context.Background(), "*").Val() {
			if ttl := client.TTL(context.Background(), k).Val(); ttl <= 0 {
				t.Errorf("%s: %s never expires", most, k)
			}
		}
	}
	check("open")
	if err := b.End(t.Context(), s, id, []byte("e")); err != nil {
		t.Fatal(err)
	}
	check("ended")
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
