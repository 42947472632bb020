// Package redistest runs real Redis servers for tests.
package redistest

import (
	"context"
	"errors"
	"fmt"
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
	proc *exec.Cmd
}

// Start starts a server without persistence, which the test's end stops.
func Start(t testing.TB) *Server {
	t.Helper()
	return start(t, "--save", "", "--appendonly", "no")
}

func start(t testing.TB, args ...string) *Server {
	t.Helper()
	for try := 0; ; try++ { // another process may take the port first
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{t: t, Addr: l.Addr().String()}
		l.Close()
		_, port, _ := net.SplitHostPort(s.Addr)
		s.args = append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir()}, args...)
		if err = s.run(); err == nil {
			t.Cleanup(s.Kill)
			return s
		}
		if try == 1 {
			t.Fatalf("start Redis (Debian: apt-get install redis-server): %v", err)
		}
	}
}

func (s *Server) run() error {
	cmd := exec.Command("redis-server", s.args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.proc = cmd
	client := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		info, err := client.Info(ctx, "server").Result()
		if err == nil && strings.Contains(info, "process_id:"+strconv.Itoa(cmd.Process.Pid)) {
			return nil
		}
		if ctx.Err() != nil {
			s.Kill()
			return errors.Join(err, ctx.Err())
		}
		time.Sleep(5 * time.Millisecond) // it starts in some 12 ms
	}
}

// URL is for REDIS_URL.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Kill is kill -9. All data are lost.
func (s *Server) Kill() {
	if s.proc != nil {
		_ = s.proc.Process.Kill()
		_ = s.proc.Wait()
		s.proc = nil
	}
}

// Restart starts the server again, empty, after a Kill.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		s.t.Fatalf("restart Redis: %v", err)
	}
}

// Signal sends a signal.
func (s *Server) Signal(sig os.Signal) {
	s.t.Helper()
	if err := s.proc.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Cluster starts a cluster of three nodes and returns a URL of it.
func Cluster(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var nodes []*Server
	var clients []*redis.Client
	for range 3 {
		s := start(t, "--save", "", "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
		c := redis.NewClient(&redis.Options{Addr: s.Addr})
		defer func() { _ = c.Close() }()
		nodes, clients = append(nodes, s), append(clients, c)
	}
	const slots = 16384
	for i, c := range clients {
		if err := c.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err(); err != nil {
			t.Fatalf("share the slots: %v", err)
		}
		host, port, _ := net.SplitHostPort(nodes[i].Addr)
		if err := clients[0].ClusterMeet(ctx, host, port).Err(); err != nil {
			t.Fatalf("join the nodes: %v", err)
		}
	}
	for _, c := range clients {
		for {
			info, err := c.ClusterInfo(ctx).Result()
			if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("the cluster does not come up: %v, %s", err, info)
			}
			time.Sleep(20 * time.Millisecond) // nodes gossip once in a while
		}
	}
	return fmt.Sprintf("redis://%s?addr=%s&addr=%s", nodes[0].Addr, nodes[1].Addr, nodes[2].Addr)
}
