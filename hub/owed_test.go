package hub

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// countingDB counts what is asked of it, and notes the most that one call brought.
type countingDB struct {
	ownedDB
	mu    *sync.Mutex
	calls map[string]int
	most  *int
}

func (d countingDB) note(call string, messages []Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[call]++
	size := 0
	for _, m := range messages {
		size += len(m.Content)
	}
	*d.most = max(*d.most, size)
}

func (d countingDB) Message(ctx context.Context, user Access, id MessageID) (Message, error) {
	m, err := d.ownedDB.Message(ctx, user, id)
	d.note("Message", []Message{m})
	return m, err
}

func (d countingDB) Standings(ctx context.Context, session SessionID, ids []MessageID) ([]Standing, error) {
	out, err := d.ownedDB.Standings(ctx, session, ids)
	d.note("Standings", nil)
	return out, err
}

func (d countingDB) Answers(ctx context.Context, session SessionID, ids []MessageID) ([]Message, error) {
	out, err := d.ownedDB.Answers(ctx, session, ids)
	d.note("Answers", out)
	return out, err
}

// TestSubscribeWithManyPositions has a client say where it stands in thousands of
// answers that have ended meanwhile: it has all of some, and misses the others.
func TestSubscribeWithManyPositions(t *testing.T) {
	const count, missed = 2_000, 300
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		s.bus.send = (*localClient).push
		h := s.replicas[0].hub
		db := countingDB{ownedDB{simDB{s.store, s.replicas[0]}}, new(sync.Mutex), map[string]int{}, new(int)}
		session, answer := s.askDrip(t, db)
		positions, text, reason := map[MessageID]int64{answer: 3}, strings.Repeat("x", 20_000), ReasonStop
		s.store.mu.Lock()
		for i := range count {
			id := MessageID(fmt.Sprintf("b%05d", i))
			s.store.messages[id] = &Message{ID: id, SessionID: session, Role: RoleOfAssistant, Status: StatusComplete, FinishReason: &reason, Seq: 9, Content: text}
			if positions[id] = 9; i < missed {
				positions[id] = 5
			}
		}
		s.store.mu.Unlock()
		v, err := h.Connect(t.Context(), as("u"), eventlog.Lines)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		db.mu.Lock()
		clear(db.calls)
		db.mu.Unlock()
		if err := v.Subscribe(t.Context(), 7, session, positions); err != nil {
			t.Fatal(err)
		}
		db.mu.Lock()
		if db.calls["Message"] > 0 || db.calls["Standings"] != 1 || db.calls["Answers"] > 2 { // one of them may be of who listens
			t.Errorf("a subscribe asks %v", db.calls)
		}
		*db.most = 0
		db.mu.Unlock()
		if v.Owed() > 1<<10 {
			t.Errorf("%d bytes wait for the client", v.Owed())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		finished, deltas := map[MessageID]int{}, 0
		follow(ctx, v, func(batch []byte) error {
			for line := range bytes.Lines(batch) {
				if bytes.Contains(line, []byte(`"type":"delta"`)) {
					deltas++
				}
				if bytes.Contains(line, []byte(`"type":"finish"`)) {
					_, rest, _ := bytes.Cut(line, []byte(`"message_id":"`))
					finished[MessageID(rest[:6])]++
				}
			}
			return nil
		})
		for id, n := range finished {
			if n != 1 || positions[id] != 5 {
				t.Errorf("%s, where the client stands at %d, ends %d times", id, positions[id], n)
			}
		}
		if len(finished) != missed || *db.most > owedBytes+1<<16 {
			t.Errorf("%d of %d ended, at most %d bytes at a time", len(finished), missed, *db.most)
		}
		if deltas < 100 {
			t.Errorf("%d deltas of the answer that goes on", deltas)
		}
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}
