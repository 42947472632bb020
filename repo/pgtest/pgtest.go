// Package pgtest runs a real PostgreSQL for tests.
package pgtest

import (
	"context"
	"fmt"
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
	proc *exec.Cmd
	last int
}

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
		_ = server.proc.Process.Signal(syscall.SIGQUIT) // at once: nothing is kept
		_ = server.proc.Wait()
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
	for try := 0; ; try++ { // another process may take the port first
		port, err := freePort()
		if err != nil {
			return err
		}
		err = serve(postgres, data, port, attr)
		if err == nil || try == 1 {
			return err
		}
	}
}

func serve(postgres, data, port string, attr *syscall.SysProcAttr) error {
	var log strings.Builder
	cmd := exec.Command(postgres, "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "max_connections=200")
	cmd.SysProcAttr, cmd.Dir, cmd.Stderr = attr, data, &log
	if err := cmd.Start(); err != nil {
		return err
	}
	url := "postgres://postgres@127.0.0.1:" + port + "/"
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, url+"postgres")
		if err == nil {
			server.proc, server.url = cmd, url
			return conn.Close(ctx)
		}
		if ctx.Err() != nil || cmd.Process.Signal(syscall.Signal(0)) != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			return fmt.Errorf("%w: %s", err, log.String())
		}
		time.Sleep(20 * time.Millisecond) // a process outside of ours: there is nothing to wait on
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// Away kills the server, as a crash does, until [Back].
func Away(t testing.TB) {
	t.Helper()
	server.Lock()
	defer server.Unlock()
	if err := server.proc.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = server.proc.Wait() // it says that it was killed
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
	if err := serve(postgres, filepath.Join(server.dir, "data"), port, attr); err != nil {
		t.Fatalf("restart PostgreSQL: %v", err)
	}
}
