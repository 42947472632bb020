package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/providertest/fake"
	"github.com/omnichat/omnichat/repo/pgtest"
)

// TestServerWhoseDatabaseAnotherTookEnds has somebody else take the database
// while the connection that locks it is broken, in mid-answer.
func TestServerWhoseDatabaseAnotherTookEnds(t *testing.T) {
	tokens := fake.Numbered(100_000)
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Every: time.Millisecond}})
	defer provider.Close()
	database := pgtest.Start(t)
	s := startServer(t, provider, map[string]string{"DATABASE_URL": database})
	ann, ctx := s.user("ann"), soon(t)
	session := ann.session()
	res, v, err := ann.begin(ctx, session, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	// Within one statement nobody else gets in between.
	_, err = conn.Exec(ctx, `DO $$
		DECLARE held record;
		BEGIN
			SELECT l.pid, l.objid::bigint AS key INTO STRICT held FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
				WHERE l.locktype = 'advisory' AND d.datname = current_database();
			PERFORM pg_terminate_backend(held.pid), pg_advisory_lock(held.key);
		END $$`)
	if err != nil {
		t.Fatal(err)
	}
	_ = v.follow(res.Body, nil)
	if err := s.cmd.Wait(); err == nil || s.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the server ended with %v", err)
	}
	if lines := strings.Split(strings.TrimSpace(s.logs.String()), "\n"); !strings.HasPrefix(lines[len(lines)-1], "omnichat: the database is in use by another OmniChat") {
		t.Errorf("it said last %q", lines[len(lines)-1])
	}
	if err := conn.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s.start()
	res, err = ann.sse(ctx, "GET", "/chat/stream/"+v.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got := newViewer()
	if err := got.follow(res.Body, nil); err != nil {
		t.Error(err)
	}
	m := ann.message(session, v.id)
	if m.Status != hub.StatusInterrupted || m.Content != got.text() || !strings.HasPrefix(m.Content, v.text()) || !strings.HasPrefix(strings.Join(tokens, ""), m.Content) {
		t.Errorf("shown %d bytes, stored %d, %s, of %d that a viewer got", len(v.text()), len(m.Content), m.Status, len(got.text()))
	}
}
