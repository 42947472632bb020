package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgres is a PostgreSQL: its own, or one that was there.
type postgres struct {
	process *process // nil if it was there
	dir     string
	base    string // URL of the database from which others are made
	made    int
}

// startPostgres starts a server whose data outlive nothing.
func startPostgres(ctx context.Context) (p *postgres, err error) {
	dir, err := os.MkdirTemp("", "omnibench-pg-")
	if err != nil {
		return nil, err
	}
	p = &postgres{dir: dir}
	defer func() {
		if err != nil {
			p.stop()
			err = fmt.Errorf("start PostgreSQL (Debian: apt-get install postgresql): %w", err)
		}
	}()
	data := filepath.Join(dir, "data")
	first, err := p.program("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	if err != nil {
		return p, err
	}
	if err = first.cmd.Run(); err != nil {
		return p, fmt.Errorf("%w: %s", err, first.logs.String())
	}
	port, err := freePort()
	if err != nil {
		return p, err
	}
	server, err := p.program("postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "max_connections=200")
	if err != nil {
		return p, err
	}
	if err = server.cmd.Start(); err != nil {
		return p, err
	}
	p.process, p.base = server, "postgres://postgres@127.0.0.1:"+port+"/postgres"
	err = patiently(ctx, func() error {
		c, err := pgx.Connect(ctx, p.base)
		if err == nil {
			err = c.Close(ctx)
		}
		return err
	})
	return p, err
}

// program is one of the server's, which Debian keeps off the PATH. It runs as
// nobody if this is root, whom PostgreSQL refuses.
func (p *postgres) program(name string, args ...string) (*process, error) {
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		name = found[len(found)-1]
	} else if _, err := exec.LookPath(name); err != nil {
		return nil, err
	}
	c := child(name, args, nil)
	c.cmd.Dir = p.dir
	if os.Getuid() != 0 {
		return c, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(nobody.Uid) // numbers, on Linux
	gid, _ := strconv.Atoi(nobody.Gid)
	c.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return c, os.Chown(p.dir, uid, gid)
}

// database makes a fresh, empty one and returns its URL. drop removes it.
func (p *postgres) database(ctx context.Context) (dsn string, drop func(), err error) {
	p.made++
	name := fmt.Sprintf("omnibench_%d_%d", os.Getpid(), p.made)
	if err := p.exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", nil, fmt.Errorf("make a database: %w", err)
	}
	u, err := url.Parse(p.base)
	if err != nil {
		return "", nil, err
	}
	u.Path = "/" + name
	return u.String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = p.exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)") // the server goes away, or says which are left
	}, nil
}

func (p *postgres) exec(ctx context.Context, sql string) error {
	c, err := pgx.Connect(ctx, p.base)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, sql)
	return err
}

func (p *postgres) stop() {
	if p.process != nil {
		_ = p.process.cmd.Process.Signal(syscall.SIGQUIT) // with its children, at once: nothing is kept
		_ = p.process.cmd.Wait()
	}
	if p.dir != "" {
		_ = os.RemoveAll(p.dir) // of the temporary folder's, at worst
	}
}

// patiently tries until something outside works, for half a minute.
func patiently(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if sleep(ctx, 20*time.Millisecond) != nil {
			return err
		}
	}
}
