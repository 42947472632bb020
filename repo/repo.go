package repo

import (
	"context"
	"crypto/cipher"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/omnichat/omnichat/hub"
)

//go:embed migrations
var migrations embed.FS

// Options says which database is opened.
type Options struct {
	DatabaseURL string       // postgres://…; SQLite in DataDir if empty
	DataDir     string       // made if it is missing
	Shared      bool         // other replicas run on the database, too; PostgreSQL only
	FilesDir    string       // attached files lie there, which replicas share; in the database if empty
	SealKey     []byte       // 32 bytes, encrypts the keys of providers; without it none is kept
	Logger      *slog.Logger // slog.Default() if nil
}

// Repo is an open database. All methods may be called concurrently.
type Repo struct {
	db        *bun.DB // reads
	writer    *bun.DB // one connection on SQLite, db itself on PostgreSQL
	gate      *gate   // before SQLite's writer; nil on PostgreSQL
	guard     *guard  // nil on SQLite
	former    *former
	folder    *os.File
	journal   rowNeeds
	endpoints endpointCache
	bound     boundStatements
	shared    bool
	files     *fileFolder // nil: files lie in the database
	seal      cipher.AEAD // nil: no keys are kept
	warned    sync.Map    // endpoints whose key cannot be opened, as the log knows
	damaged   sync.Map    // rows of the journal that cannot be read, as the log knows
	log       *slog.Logger
}

var (
	_ hub.Store   = (*Repo)(nil)
	_ hub.Journal = (*Repo)(nil)
	_ hub.Leases  = (*Repo)(nil)
)

// Open opens and migrates the database, and makes sure that no other process
// runs on it.
func Open(ctx context.Context, opt Options) (r *Repo, err error) {
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	r = &Repo{log: opt.Logger, journal: newRowNeeds(), shared: opt.Shared}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
			r = nil
		}
	}()
	if r.seal, err = newSeal(opt.SealKey); err != nil {
		return r, err
	}
	if opt.DatabaseURL == "" {
		err = r.openSQLite(ctx, opt.DataDir)
	} else {
		err = r.openPostgres(ctx, opt.DatabaseURL)
	}
	if err == nil {
		err = r.prepare(ctx)
	}
	if err == nil && opt.FilesDir != "" {
		err = r.openFiles(ctx, opt.FilesDir)
	}
	if err == nil {
		r.former = r.startFormer()
	}
	return r, err
}

func (r *Repo) openSQLite(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	var err error
	if r.folder, err = lockFolder(dir); err != nil {
		return err
	}
	pragmas := url.Values{
		"_pragma":      {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"},
		"_txlock":      {"immediate"},
		"_time_format": {"sqlite"},
	}
	path := filepath.Join(dir, "omnichat.db")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // what SQLite adds has the same mode
	if err == nil {
		err = errors.Join(file.Chmod(0o600), file.Close())
	}
	if err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + pragmas.Encode()
	writer, err := sql.Open("sqlite", dsn)
	if err != nil {
		return fmt.Errorf("open SQLite: %w", err)
	}
	writer.SetMaxOpenConns(1)
	r.writer = bun.NewDB(writer, sqlitedialect.New(), bun.WithDiscardUnknownColumns())
	r.gate = newGate()
	readers, err := sql.Open("sqlite", dsn)
	if err != nil {
		return fmt.Errorf("open SQLite: %w", err)
	}
	readers.SetMaxOpenConns(4)
	readers.SetMaxIdleConns(4)
	r.db = bun.NewDB(readers, sqlitedialect.New(), bun.WithDiscardUnknownColumns())
	return r.migrate(ctx, goose.DialectSQLite3, "migrations/sqlite")
}

func (r *Repo) openPostgres(ctx context.Context, dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // bun inlines: prepared statements would only be made, not reused
	cfg.RuntimeParams["timezone"] = "UTC"
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	r.db = bun.NewDB(db, pgdialect.New(), bun.WithDiscardUnknownColumns()) // of a newer program beside this one
	r.writer = r.db
	if r.guard, err = guardReplica(ctx, db, r.shared); err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return r.migrate(ctx, goose.DialectPostgres, "migrations/postgres", goose.WithSessionLocker(locker))
}

func (r *Repo) migrate(ctx context.Context, dialect goose.Dialect, dir string, opts ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, r.writer.DB, files, append(opts, goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}

// Ping says whether the database answers.
func (r *Repo) Ping(ctx context.Context) error {
	_, err := r.db.ExecContext(ctx, "SELECT 1")
	return fail(err)
}

// Close leaves the database tidy and lets it go.
func (r *Repo) Close() error {
	var errs []error
	if r.former != nil {
		r.former.close()
	}
	if r.gate != nil && r.writer != nil {
		for _, q := range []string{"PRAGMA optimize", "PRAGMA wal_checkpoint(TRUNCATE)"} {
			if _, err := r.writer.Exec(q); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if r.guard != nil {
		r.guard.close()
	}
	if r.db != nil {
		errs = append(errs, r.db.Close())
	}
	if r.writer != nil && r.writer != r.db {
		errs = append(errs, r.writer.Close())
	}
	if r.folder != nil {
		errs = append(errs, r.folder.Close())
	}
	return errors.Join(errs...)
}

// writeLimit is how long a transaction may take whose caller does not say.
const writeLimit = 15 * time.Second

// write runs a transaction. Urgent ones go first where there is one writer.
func (r *Repo) write(ctx context.Context, urgent bool, f func(ctx context.Context, tx bun.Tx) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, writeLimit)
		defer cancel()
	}
	if r.gate != nil {
		if err := r.gate.enter(ctx, urgent); err != nil {
			return fail(err)
		}
		defer r.gate.leave()
	}
	return fail(r.writer.RunInTx(ctx, nil, f))
}

// forUpdate locks the rows that a SELECT finds; SQLite has one writer anyway.
func (r *Repo) forUpdate() string {
	if r.gate != nil {
		return ""
	}
	return " FOR UPDATE"
}
