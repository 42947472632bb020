package main

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// inserts gathers rows into statements.
type inserts struct {
	tx       *sql.Tx
	into     string
	numbered bool // parameters are $1, $2, …
	args     []any
	rows     int
}

const rowsEach = 200

func (s *inserts) add(ctx context.Context, values ...any) error {
	s.args = append(s.args, values...)
	if s.rows++; s.rows < rowsEach {
		return nil
	}
	return s.flush(ctx)
}

func (s *inserts) flush(ctx context.Context) error {
	if s.rows == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("INSERT INTO " + s.into + " VALUES ")
	each := len(s.args) / s.rows
	for i := range s.args {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%each == 0:
			b.WriteString("), (")
		default:
			b.WriteByte(',')
		}
		if s.numbered {
			b.WriteString("$" + strconv.Itoa(i+1))
		} else {
			b.WriteByte('?')
		}
	}
	b.WriteByte(')')
	_, err := s.tx.ExecContext(ctx, b.String(), s.args...)
	s.args, s.rows = s.args[:0], 0
	return err
}
