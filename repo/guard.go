package repo

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// replicaLock is the PostgreSQL advisory lock of the one replica that may run
// without a shared bus; those with one share it.
const replicaLock = 0x6f6d6e69

const (
	guardEvery    = time.Second            // between looks at the connection that holds the lock
	guardLimit    = 5 * time.Second        // for one look
	guardPatience = 2 * time.Second        // at the start: PostgreSQL may not know yet that the last process is gone
	guardAgain    = 100 * time.Millisecond // between its tries
)

var (
	errInUse = errors.New("the database is in use by another OmniChat, and one of the two has no REDIS_URL")
	errHeld  = errors.New("the last connection still holds the lock")
)

// guard holds replicaLock. PostgreSQL lets the lock go with its connection,
// which a restart or the network may break: then the guard takes it again.
type guard struct {
	db      *sql.DB
	try     string // the function that takes the lock
	conn    *sql.Conn
	backend struct { // the server's end of conn, or of the last one
		pid   int
		start string
	}
	lost   chan error
	cancel context.CancelFunc
	done   chan struct{}
}

// guardReplica makes this process the one that runs on the database, or one of
// those that share it, until close.
func guardReplica(ctx context.Context, db *sql.DB, shared bool) (*guard, error) {
	g := &guard{db: db, try: "pg_try_advisory_lock", lost: make(chan error, 1), done: make(chan struct{})}
	if shared {
		g.try = "pg_try_advisory_lock_shared"
	}
	for last := time.Now().Add(guardPatience); ; {
		err := g.take(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, errInUse) || time.Now().After(last) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(guardAgain):
		}
	}
	keep, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	go func() {
		defer close(g.done)
		g.keep(keep)
	}()
	return g, nil
}

func (g *guard) keep(ctx context.Context) {
	t := time.NewTicker(guardEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		// That the database is away is told by those calls that need it.
		if err := g.look(ctx); errors.Is(err, errInUse) {
			g.lost <- err
			return
		}
	}
}

func (g *guard) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, guardLimit)
	defer cancel()
	if g.conn != nil {
		if _, err := g.conn.ExecContext(ctx, "SELECT 1"); err == nil {
			return nil
		}
		g.drop()
	}
	return g.take(ctx)
}

// take takes the lock on a new connection. After a break of the network the
// server may not know yet that the last one is dead: it is told.
func (g *guard) take(ctx context.Context) (err error) {
	if g.conn, err = g.db.Conn(ctx); err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() {
		if err != nil {
			g.drop()
		}
	}()
	res, err := g.conn.ExecContext(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2", g.backend.pid, g.backend.start)
	if err != nil {
		return fmt.Errorf("end the last connection: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return errors.Join(errHeld, err)
	}
	var got bool
	last := g.backend
	err = g.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT %s(%d), pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()", g.try, replicaLock)).
		Scan(&got, &g.backend.pid, &g.backend.start)
	if err != nil {
		return fmt.Errorf("lock the database: %w", err)
	}
	if !got {
		g.backend = last
		return errInUse
	}
	return nil
}

// drop closes the connection rather than give it back to the pool.
func (g *guard) drop() {
	_ = g.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = g.conn.Close()
	g.conn = nil
}

func (g *guard) close() {
	g.cancel()
	<-g.done
	if g.conn == nil {
		return
	}
	// PostgreSQL takes a moment to see that a connection was closed.
	ctx, cancel := context.WithTimeout(context.Background(), guardLimit)
	defer cancel()
	_, _ = g.conn.ExecContext(ctx, "SELECT pg_advisory_unlock_all()")
	g.drop()
}

// Lost gets why this process may not go on: while PostgreSQL was away another
// one has begun to run on the database.
func (r *Repo) Lost() <-chan error {
	if r.guard == nil {
		return nil
	}
	return r.guard.lost
}
