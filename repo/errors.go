package repo

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/omnichat/omnichat/hub"
)

// fail gives trouble with the database itself the code that says to try again.
func fail(err error) error {
	if err == nil || hub.CodeOf(err) != hub.CodeInternal || errors.Is(err, hub.ErrFenced) || errors.Is(err, context.Canceled) {
		return err
	}
	if away(err) {
		return &hub.Error{Code: hub.CodeUnavailable, Msg: "the database is not available; try again", RetryAfter: 2 * time.Second, Err: err}
	}
	return err
}

// away says whether an error is the database's state and not the query's fault.
func away(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code[:2] {
		case "08", "53", "57", "58": // connection, resources, operator, system
			return true
		}
		return pg.Code == "25006" || pg.Code == "40001" || pg.Code == "40P01"
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case lib.SQLITE_BUSY, lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_INTERRUPT:
			return true
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "conn closed")
}

// taken says whether a key was there already.
func taken(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && (lite.Code() == lib.SQLITE_CONSTRAINT_PRIMARYKEY || lite.Code() == lib.SQLITE_CONSTRAINT_UNIQUE)
}

// found turns "no rows" into the answer for what is not there.
func found(err error, noun string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return hub.NotFound(noun)
	}
	return fail(err)
}

// someRow is found for a statement that changes what it finds.
func someRow(res sql.Result, err error, noun string) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return hub.NotFound(noun)
	}
	return err
}
