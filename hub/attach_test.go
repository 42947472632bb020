package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// ownedDB is a database whose session is the user u's.
type ownedDB struct{ simDB }

func (d ownedDB) Session(ctx context.Context, user UserID, id SessionID) (Session, error) {
	s, err := d.simDB.Session(ctx, user, id)
	if err == nil && user != "u" {
		return Session{}, NotFound("session")
	}
	return s, err
}

// TestAttachWithoutTheDatabase attaches to a stream elsewhere that another
// connection of the same user follows here, and that nobody else gets.
func TestAttachWithoutTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		s.bus.send = (*localClient).push
		for _, r := range s.replicas {
			r.hub.vendors, r.hub.store = Fixed{"sim": drip{}}, ownedDB{simDB{s.store, r}}
			if err := r.hub.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		session, answer, question, text := SessionID("s"), MessageID("a0"), MessageID("u0"), "q"
		q := Question{SessionID: &session, MessageID: &question, AnswerID: &answer, Content: &text, Model: "sim/m", ParentGiven: true}
		if _, err := s.replicas[0].hub.Ask(t.Context(), "u", q); err != nil {
			t.Fatal(err)
		}
		at := s.replicas[1].hub
		socket, err := at.Connect(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		if err := socket.Subscribe(t.Context(), 1, session, nil); err != nil {
			t.Fatal(err)
		}
		stranger, err := at.Connect(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := stranger.Subscribe(t.Context(), 1, session, nil); CodeOf(err) != CodeNotFound {
			t.Errorf("another user subscribes: %v", err)
		}
		time.Sleep(time.Second)
		s.mu.Lock()
		s.store.away = true
		s.mu.Unlock()
		v, err := at.Attach(t.Context(), "u", answer, NoPosition)
		if err != nil {
			t.Fatal(err)
		}
		sink := &simViewer{seq: NoPosition, upTo: 30}
		limit, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if follow(limit, v, sink.Write); sink.err != nil || sink.seq < 30 {
			t.Errorf("without the database it shows up to %d: %v", sink.seq, sink.err)
		}
		if _, err := at.Attach(t.Context(), "x", answer, NoPosition); CodeOf(err) != CodeUnavailable {
			t.Errorf("another user attaches: %v", err)
		}
		socket.Close()
		if _, err := at.Attach(t.Context(), "u", answer, NoPosition); CodeOf(err) != CodeUnavailable {
			t.Errorf("attached to what nobody follows here: %v", err)
		}
		stranger.Close()
		s.mu.Lock()
		s.store.away = false
		s.mu.Unlock()
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}
