package repo_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/omnichat/omnichat/repo"
	"github.com/omnichat/omnichat/repo/pgtest"
)

// locks counts those who hold the lock of a database, or wait for it.
const locks = "FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database WHERE l.locktype = 'advisory' AND d.datname = current_database()"

func TestTheLockOutlivesItsConnection(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for _, broken := range []string{"PostgreSQL", "the network"} {
			t.Run(fmt.Sprint(broken, ", shared ", shared), func(t *testing.T) {
				t.Parallel() // each waits for seconds
				direct := pgtest.Start(t)
				between := startRelay(t, direct)
				r, err := repo.Open(t.Context(), repo.Options{DatabaseURL: between.url, Shared: shared})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				conn, err := pgx.Connect(t.Context(), direct)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close(context.Background())
				var holder int
				if err := conn.QueryRow(t.Context(), "SELECT l.pid "+locks).Scan(&holder); err != nil {
					t.Fatal(err)
				}
				if broken == "PostgreSQL" {
					_, err = conn.Exec(t.Context(), "SELECT pg_terminate_backend($1)", holder)
				} else {
					between.cut()
				}
				if err == nil {
					err = waitFor(t, conn, "SELECT count(*) = 1 AND min(l.pid) <> $1 "+locks+" AND l.granted", holder)
				}
				if err != nil {
					t.Fatalf("the lock is not taken again: %v", err)
				}
				if second, err := repo.Open(t.Context(), repo.Options{DatabaseURL: direct}); err == nil {
					second.Close()
					t.Error("another process may open the database")
				} else if !strings.Contains(err.Error(), "in use by another OmniChat") {
					t.Error(err)
				}
				select {
				case err := <-r.Lost():
					t.Errorf("the database is lost, although nobody else has it: %v", err)
				default:
				}
			})
		}
	}
}

// relay stands between a client and PostgreSQL.
type relay struct {
	url              string
	mu               sync.Mutex
	clients, servers []net.Conn
}

func startRelay(t *testing.T, database string) *relay {
	t.Helper()
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{url: fmt.Sprintf("postgres://%s@%s/%s", cfg.User, l.Addr(), cfg.Database)}
	var wg, accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))))
			if err != nil {
				t.Error(err)
				return
			}
			r.mu.Lock()
			r.clients, r.servers = append(r.clients, client), append(r.servers, server)
			r.mu.Unlock()
			wg.Go(func() { _, _ = io.Copy(server, client) })
			wg.Go(func() { _, _ = io.Copy(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		accepting.Wait()
		r.cut()
		for _, s := range r.servers {
			_ = s.Close()
		}
		wg.Wait()
	})
	return r
}

// cut closes the clients' connections, of which PostgreSQL learns nothing.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		_ = c.Close()
	}
	r.clients = nil
}

func TestALockThatAnotherTookIsTold(t *testing.T) {
	opt := repo.Options{DatabaseURL: pgtest.Start(t)}
	r, err := repo.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	conns := make([]*pgx.Conn, 2)
	for i := range conns {
		if conns[i], err = pgx.Connect(t.Context(), opt.DatabaseURL); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close(context.Background())
	}
	var holder int
	var key int64
	if err := conns[0].QueryRow(t.Context(), "SELECT l.pid, l.objid::bigint "+locks).Scan(&holder, &key); err != nil {
		t.Fatal(err)
	}
	locked := make(chan error, 1)
	go func() { // it is the next in the queue
		_, err := conns[1].Exec(t.Context(), "SELECT pg_advisory_lock($1)", key)
		locked <- err
	}()
	if err := waitFor(t, conns[0], "SELECT count(*) = 1 "+locks+" AND NOT l.granted"); err != nil {
		t.Fatal(err)
	}
	if _, err := conns[0].Exec(t.Context(), "SELECT pg_terminate_backend($1)", holder); err != nil {
		t.Fatal(err)
	}
	if err := <-locked; err != nil {
		t.Fatal(err)
	}
	if err := <-r.Lost(); !strings.Contains(err.Error(), "in use by another OmniChat") {
		t.Errorf("lost by %v", err)
	}
}

// waitFor asks until the answer is true: PostgreSQL tells nobody of its locks.
func waitFor(t *testing.T, conn *pgx.Conn, query string, args ...any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		var yes bool
		if err := conn.QueryRow(ctx, query, args...).Scan(&yes); err != nil || yes {
			return err
		}
		<-poll.C
	}
}
