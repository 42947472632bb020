package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// A target is what is measured: processes that bring a provider's tokens to
// viewers.
type target interface {
	// begin opens the streams. Their sources wait to be started.
	begin(ctx context.Context, streams []*stream) ([]*source, error)
	dial(ctx context.Context, v *viewer) (net.Conn, *http.Request, error)
	processes() all
	counts(ctx context.Context) (map[string]float64, error) // what grows with each token, beside CPU time
	finishes() bool                                         // whether viewers are told that a stream has ended
	verify(ctx context.Context, streams []*stream, most int) faults
	close()
}

// Targets by name, beside the floors.
const (
	current = "omnichat" // the binary given by -server
	older   = "against"  // the one given by -against
)

// lab is what all sub-commands share: what is compared, and what they need.
type lab struct {
	settings
	postgres *postgres
}

// binary is the program of an OmniChat target.
func (l *lab) binary(name string) (string, error) {
	path := l.server
	if name == older {
		path = l.against
	}
	if path == "" {
		return "", fmt.Errorf("%s needs its binary: -server, or -against for an older build", name)
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	return path, err
}

// open starts a target's processes.
func (l *lab) open(ctx context.Context, name string, f fanOut) (target, error) {
	if name == floorRaw || name == floorCoderWrite {
		return startFloor(ctx, name, f.streams)
	}
	b, err := l.build(ctx, name)
	if err != nil {
		return nil, err
	}
	b.users = usersFor(f.streams, f.viewers)
	return startOmniChat(ctx, b, nil)
}

// build is how an OmniChat target is started. Its name is that of the binary
// and of its database, as in omnichat/postgres.
func (l *lab) build(ctx context.Context, name string) (b build, err error) {
	name, db, _ := strings.Cut(name, "/")
	if name != current && name != older {
		return b, fmt.Errorf("unknown target %q: it is one of %s, %s, %s, %s", name, current, older, floorRaw, floorCoderWrite)
	}
	b.env = l.env
	if b.binary, err = l.binary(name); err != nil {
		return b, err
	}
	switch db {
	case "", "sqlite":
	case "postgres":
		b.postgres, err = l.database(ctx)
	default:
		err = fmt.Errorf("unknown database %q: it is sqlite or postgres", db)
	}
	return b, err
}

// database is the PostgreSQL of -postgres, or one that is started at first use.
func (l *lab) database(ctx context.Context) (_ *postgres, err error) {
	if l.postgres == nil && l.postgresURL != "" {
		l.postgres = &postgres{base: l.postgresURL}
	}
	if l.postgres == nil {
		l.postgres, err = startPostgres(ctx)
	}
	return l.postgres, err
}

// close ends what database started.
func (l *lab) close() {
	if l.postgres != nil {
		l.postgres.stop()
	}
}

// names are the OmniChat targets there are binaries for.
func (l *lab) names() []string {
	if l.against == "" {
		return []string{current}
	}
	return []string{current, older}
}
