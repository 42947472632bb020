// Package redistest runs real Redis servers for tests.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a Redis process.
type Server struct {
	t    testing.TB
	Addr string
	args []string
	proc *process
}

// process is a running server; ended is closed once it has exited, and then
// err says how.
type process struct {
	*os.Process
	ended chan struct{}
	err   error
	out   strings.Builder
}

// tries is how often a server is started: another process may hold its port.
const tries = 10

// FreePort returns a port that nobody listens on, below those that the system
// gives to connections, so that none takes it while a server restarts. A
// cluster's node also needs the port 10,000 above.
func FreePort() (string, error) {
	var err error
	for range 100 {
		port := 12_000 + rand.IntN(20_000)
		if err = free(port); err == nil {
			if err = free(port + 10_000); err == nil {
				return strconv.Itoa(port), nil
			}
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}

func free(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}

// Start starts a server without persistence, which the test's end stops.
func Start(t testing.TB) *Server {
	t.Helper()
	return start(t)
}

func start(t testing.TB, args ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	for try := 1; ; try++ {
		port, err := FreePort()
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{t: t, Addr: "127.0.0.1:" + port}
		s.args = append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no"}, args...)
		if err = s.run(); err == nil {
			t.Cleanup(s.Kill)
			return s
		}
		if try == tries || errors.Is(err, exec.ErrNotFound) {
			t.Fatalf("start Redis (Debian: apt-get install redis-server): %v", err)
		}
	}
}

func (s *Server) run() error {
	p := &process{ended: make(chan struct{})}
	cmd := exec.Command("redis-server", s.args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout = &p.out
	if err := cmd.Start(); err != nil {
		return err
	}
	p.Process = cmd.Process
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	s.proc = p
	client := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond) // it starts in some 12 ms
	defer poll.Stop()
	for {
		info, err := client.Info(ctx, "server").Result()
		if err == nil && strings.Contains(info, "process_id:"+strconv.Itoa(p.Pid)) {
			return nil
		}
		select {
		case <-p.ended:
			s.proc = nil
			return fmt.Errorf("it ended: %w: %s", p.err, &p.out)
		case <-ctx.Done():
			s.Kill()
			return errors.Join(err, ctx.Err())
		case <-poll.C:
		}
	}
}

// URL is for REDIS_URL.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Client returns a client of this one server.
func (s *Server) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Kill is kill -9. All data are lost.
func (s *Server) Kill() {
	if s.proc != nil {
		_ = s.proc.Kill()
		<-s.proc.ended
		s.proc = nil
	}
}

// Restart starts the server again, empty, after a Kill.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	var err error
	for range tries {
		if err = s.run(); err == nil {
			return
		}
	}
	s.t.Fatalf("restart Redis: %v", err)
}

// Signal sends a signal.
func (s *Server) Signal(sig os.Signal) {
	s.t.Helper()
	if err := s.proc.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// ThreeNodes is a cluster.
type ThreeNodes struct {
	URL   string
	Nodes []*Server
	ids   []string
}

const slots = 16384

// Cluster starts a cluster of three nodes.
func Cluster(t testing.TB) *ThreeNodes {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	c := &ThreeNodes{}
	var clients []*redis.Client
	for range 3 {
		s := start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-require-full-coverage", "no")
		client := s.Client()
		id, err := client.Do(ctx, "CLUSTER", "MYID").Text()
		if err != nil {
			t.Fatal(err)
		}
		c.Nodes, c.ids, clients = append(c.Nodes, s), append(c.ids, id), append(clients, client)
	}
	for i, client := range clients {
		if err := client.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err(); err != nil {
			t.Fatalf("share the slots: %v", err)
		}
		host, port, _ := net.SplitHostPort(c.Nodes[i].Addr)
		if err := clients[0].ClusterMeet(ctx, host, port).Err(); err != nil {
			t.Fatalf("join the nodes: %v", err)
		}
	}
	poll := time.NewTicker(20 * time.Millisecond) // nodes gossip once in a while
	defer poll.Stop()
	for _, client := range clients {
		for {
			info, err := client.ClusterInfo(ctx).Result()
			if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_assigned:16384") &&
				strings.Contains(info, "cluster_known_nodes:3") {
				break
			}
			select {
			case <-ctx.Done():
				t.Fatalf("the cluster does not come up: %v, %s", err, info)
			case <-poll.C:
			}
		}
	}
	c.URL = fmt.Sprintf("redis://%s?addr=%s&addr=%s", c.Nodes[0].Addr, c.Nodes[1].Addr, c.Nodes[2].Addr)
	return c
}

// Owner returns the node that has a key.
func (c *ThreeNodes) Owner(t testing.TB, key string) int {
	t.Helper()
	slot, err := c.Nodes[0].Client().ClusterKeySlot(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	shards, err := c.Nodes[0].Client().ClusterShards(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, shard := range shards {
		for _, r := range shard.Slots {
			if slot < r.Start || slot > r.End {
				continue
			}
			for i, id := range c.ids {
				if shard.Nodes[0].ID == id {
					return i
				}
			}
		}
	}
	t.Fatalf("nobody has slot %d", slot)
	return 0
}

// Move moves the slot of a key, whose keys are lost, to another node.
func (c *ThreeNodes) Move(t testing.TB, key string, to int) {
	t.Helper()
	slot, err := c.Nodes[0].Client().ClusterKeySlot(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	from := c.Owner(t, key)
	if err := c.Nodes[to].Client().Do(t.Context(), "CLUSTER", "SETSLOT", slot, "IMPORTING", c.ids[from]).Err(); err != nil {
		t.Fatalf("move a slot: %v", err) // so that its claim is of a higher epoch than the old owner's
	}
	for i := range c.Nodes { // who gets it first
		node := c.Nodes[(to+i)%len(c.Nodes)].Client()
		for {
			keys, err := node.ClusterGetKeysInSlot(t.Context(), int(slot), 100).Result()
			if err != nil {
				t.Fatal(err)
			}
			if len(keys) == 0 {
				break
			}
			if err := node.Del(t.Context(), keys...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := node.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "NODE", c.ids[to]).Err(); err != nil {
			t.Fatalf("move a slot: %v", err)
		}
	}
}
