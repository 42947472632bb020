package main

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// TestSocketWorksWhileASendHangs locks a session in the database, so that a send
// into it waits. Beside it the connection shows another answer, answers a ping and
// stops that answer.
func TestSocketWorksWhileASendHangs(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(100_000), Every: 10 * time.Millisecond}, "short": {Tokens: fake.Numbered(3)}})
	defer provider.Close()
	c := startCluster(t, provider, 1, nil)
	ann := c.replicas[0].user("ann")
	locked, other, ctx := ann.session(), ann.session(), soon(t)
	res, v, err := ann.begin(ctx, other, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	w, err := ann.socket(ctx)
	if err == nil {
		err = w.watch(ctx, other, v, func() bool { return v.seq > 5 })
	}
	if err != nil {
		t.Fatal(err)
	}
	defer w.conn.CloseNow()
	conn, err := pgx.Connect(ctx, c.postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, "SELECT 1 FROM sessions WHERE id = $1 FOR UPDATE", locked)
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, cmd := range []map[string]any{
		{"type": "subscribe", "ref": 2, "session_id": locked},
		{"type": "send", "ref": 3, "session_id": locked, "content": "go", "model": "openai/short"},
		{"type": "ping"},
	} {
		if err := w.send(ctx, cmd); err != nil {
			t.Fatal(err)
		}
	}
	at := v.seq
	acked := map[int64]bool{}
	// until reads until something is so, and keeps the rules for the answer that goes on.
	until := func(what string, so func(e event) bool) {
		t.Helper()
		for {
			e, err := w.next(ctx)
			if err == nil && e.MessageID == v.id {
				err = v.apply(e)
			}
			if err != nil {
				t.Fatalf("until %s: %v", what, err)
			}
			if e.Type == "error" {
				t.Fatalf("until %s it gets %+v", what, e)
			}
			acked[e.Ref] = acked[e.Ref] || e.Type == "ack"
			if so(e) {
				return
			}
		}
	}
	until("the pong", func(e event) bool { return e.Type == "pong" })
	until("50 tokens more", func(event) bool { return v.seq > at+50 })
	if err := w.send(ctx, map[string]any{"type": "stop", "ref": 4, "message_id": v.id}); err != nil {
		t.Fatal(err)
	}
	until("the stop", func(e event) bool { return acked[4] && v.end != nil })
	if !acked[2] || acked[3] {
		t.Errorf("answered are %v; the session was locked", acked)
	}
	t.Logf("all that was done after %s", time.Since(began))
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	until("the send", func(event) bool { return acked[3] })
}
