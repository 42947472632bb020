// Package pgtest runs a real PostgreSQL for tests.
package pgtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is the one PostgreSQL of a test process.
var server struct {
	sync.Mutex
	dir  string
	url  string
	proc *process
	last int
}

// process is a running server; ended is closed once it has exited.
type process struct {
	*os.Process
	ended chan struct{}
	log   strings.Builder // its, to be read once it has ended
}

// tries is how often the server is started: another process may hold its port.
const tries = 10

// Start returns the URL of a fresh, empty database. The server is started by
// the first call and ended by [Stop].
func Start(t testing.TB) string {
	t.Helper()
	server.Lock()
	defer server.Unlock()
	if server.proc == nil {
		if err := start(); err != nil {
			t.Fatalf("start PostgreSQL: %v", err)
		}
	}
	server.last++
	name := fmt.Sprintf("t%d", server.last)
	conn, err := pgx.Connect(t.Context(), server.url+"postgres")
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	return server.url + name
}

// Stop ends the server and removes its data. TestMain calls it.
func Stop() {
	server.Lock()
	defer server.Unlock()
	if server.proc != nil {
		_ = server.proc.Signal(syscall.SIGCONT) // a test may have left it stopped
		_ = server.proc.Signal(syscall.SIGQUIT) // at once: nothing is kept
		<-server.proc.ended
		server.proc = nil
	}
	if server.dir != "" {
		_ = os.RemoveAll(server.dir)
	}
}

// binary finds a program of the server's, which Debian keeps off the PATH.
func binary(name string) (string, error) {
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		return found[len(found)-1], nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is missing; install PostgreSQL's server (Debian: apt-get install postgresql)", name)
	}
	return path, nil
}

// attributes make a child end with this process, and run as nobody if this is
// root, whom PostgreSQL refuses.
func attributes(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		return attr, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, uid, gid)
}

func start() error {
	dir, err := os.MkdirTemp("", "omnichat-pg-")
	if err != nil {
		return err
	}
	server.dir = dir
	attr, err := attributes(dir)
	if err != nil {
		return err
	}
	initdb, err := binary("initdb")
	if err != nil {
		return err
	}
	postgres, err := binary("postgres")
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	cmd := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	cmd.SysProcAttr, cmd.Env, cmd.Dir = attr, []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}, dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		err = serve(postgres, data, port, attr)
		if err == nil || try == tries {
			return err
		}
	}
}

func serve(postgres, data, port string, attr *syscall.SysProcAttr) error {
	p := &process{ended: make(chan struct{})}
	cmd := exec.Command(postgres, "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "max_connections=200")
	cmd.SysProcAttr, cmd.Dir, cmd.Stderr = attr, data, &p.log
	if err := cmd.Start(); err != nil {
		return err
	}
	p.Process = cmd.Process
	go func() {
		_ = cmd.Wait() // a crash is what Away is for
		close(p.ended)
	}()
	url := "postgres://postgres@127.0.0.1:" + port + "/"
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond) // a process outside of ours: there is nothing to wait on
	defer poll.Stop()
	for {
		conn, err := pgx.Connect(ctx, url+"postgres")
		if err == nil {
			server.proc, server.url = p, url
			return conn.Close(ctx)
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it ended: %w: %s", err, &p.log)
		case <-ctx.Done():
			_ = p.Kill()
			<-p.ended
			return fmt.Errorf("%w: %s", err, &p.log)
		case <-poll.C:
		}
	}
}

// freePort returns a port that nobody listens on, below those that the system
// gives to connections, so that none takes it while the server restarts.
func freePort() (string, error) {
	var err error
	for range 100 {
		port := strconv.Itoa(12_000 + rand.IntN(20_000))
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return port, l.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}

// Away kills the server, as a crash does, until [Back].
func Away(t testing.TB) {
	t.Helper()
	server.Lock()
	defer server.Unlock()
	if err := server.proc.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-server.proc.ended
}

// Silence stops the server and all its sessions, whose connections stay open,
// until the returned function lets them go on.
func Silence(t testing.TB) (goOn func()) {
	t.Helper()
	server.Lock()
	defer server.Unlock()
	// The postmaster first: it starts no sessions then.
	stopped := []int{server.proc.Pid}
	if err := server.proc.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", server.proc.Pid, server.proc.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range strings.Fields(string(children)) {
		pid, _ := strconv.Atoi(f)
		if err := syscall.Kill(pid, syscall.SIGSTOP); err == nil { // a session may have ended
			stopped = append(stopped, pid)
		}
	}
	return func() {
		for _, pid := range stopped {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
}

// Back starts the server again, with its data and on its port.
func Back(t testing.TB) {
	t.Helper()
	server.Lock()
	defer server.Unlock()
	attr, err := attributes(server.dir)
	if err != nil {
		t.Fatal(err)
	}
	postgres, err := binary("postgres")
	if err != nil {
		t.Fatal(err)
	}
	port := strings.Trim(server.url[strings.LastIndex(server.url, ":")+1:], "/")
	for try := 1; ; try++ {
		err := serve(postgres, filepath.Join(server.dir, "data"), port, attr)
		if err == nil {
			return
		}
		if try == tries {
			t.Fatalf("restart PostgreSQL: %v", err)
		}
	}
}
