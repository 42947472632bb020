package hub

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// ownedDB is a database whose session is the user u's.
type ownedDB struct{ simDB }

func (d ownedDB) Session(ctx context.Context, user Access, id SessionID) (Session, error) {
	s, err := d.simDB.Session(ctx, user, id)
	if err == nil && user.User != "u" {
		return Session{}, NotFound("session")
	}
	return s, err
}

// askDrip starts all replicas, and has the user u ask the first a question whose
// answer comes drop by drop.
func (s *sim) askDrip(t *testing.T, first ...Store) (SessionID, MessageID) {
	t.Helper()
	for i, r := range s.replicas {
		r.hub.catalogue.vendors, r.hub.store = Fixed{"sim": drip{}}, ownedDB{simDB{s.store, r}}
		if i < len(first) { // the store of the first replica, which is asked
			r.hub.store = first[i]
		}
		if err := r.hub.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	session, answer, question, text := SessionID("s"), MessageID("a0"), MessageID("u0"), "q"
	q := Question{SessionID: &session, MessageID: &question, AnswerID: &answer, Content: &text, Model: "sim/m", ParentGiven: true}
	if _, err := s.replicas[0].hub.Ask(t.Context(), as("u"), q); err != nil {
		t.Fatal(err)
	}
	return session, answer
}

// TestAttachWithoutTheDatabase attaches to a stream elsewhere that another
// connection of the same user follows here, and that nobody else gets.
func TestAttachWithoutTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		s.bus.send = (*localClient).push
		session, answer := s.askDrip(t)
		at := s.replicas[1].hub
		socket, err := at.Connect(t.Context(), as("u"), eventlog.Lines)
		if err != nil {
			t.Fatal(err)
		}
		if err := socket.Subscribe(t.Context(), 1, session, nil); err != nil {
			t.Fatal(err)
		}
		stranger, err := at.Connect(t.Context(), as("x"), eventlog.Lines)
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
		v, err := at.Attach(t.Context(), as("u"), answer, eventlog.SSE, eventlog.NoPosition)
		if err != nil {
			t.Fatal(err)
		}
		sink := &simViewer{seq: eventlog.NoPosition, upTo: 30}
		limit, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if follow(limit, v, sink.Write); sink.err != nil || sink.seq < 30 {
			t.Errorf("without the database it shows up to %d: %v", sink.seq, sink.err)
		}
		if _, err := at.Attach(t.Context(), as("x"), answer, eventlog.SSE, eventlog.NoPosition); CodeOf(err) != CodeUnavailable {
			t.Errorf("another user attaches: %v", err)
		}
		socket.Close()
		if _, err := at.Attach(t.Context(), as("u"), answer, eventlog.SSE, eventlog.NoPosition); CodeOf(err) != CodeUnavailable {
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

// silentBus does not listen until it is told to.
type silentBus struct {
	Bus
	silent bool
}

func (b *silentBus) Listen(t Topic) {
	if !b.silent {
		b.Bus.Listen(t)
	}
}

// TestSubscribeKeepsPlacesWhileTheBusIsSilent is a viewer who comes from another
// replica to one that has not heard of the answer yet: once it has, it goes on
// where the viewer stands.
func TestSubscribeKeepsPlacesWhileTheBusIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		s.bus.send = (*localClient).push
		at := s.replicas[1].hub
		bus := &silentBus{Bus: at.opt.Bus}
		at.shares().bus = bus
		session, answer := s.askDrip(t)
		socket, err := at.Connect(t.Context(), as("u"), eventlog.Lines)
		if err != nil {
			t.Fatal(err)
		}
		bus.silent = true
		if err := socket.Subscribe(t.Context(), 1, session, map[MessageID]int64{answer: 5}); err != nil {
			t.Fatal(err)
		}
		bus.silent = false
		bus.Listen(Topic{Session: session})
		limit, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		stands := int64(5)
		follow(limit, socket, func(batch []byte) error {
			for line := range bytes.Lines(batch) {
				e := decodeSimEvent(line)
				if e.Type != "start" && e.Type != "delta" {
					continue
				}
				from := e.Seq - 1
				if e.From != nil {
					from = *e.From
				}
				if from != stands {
					return fmt.Errorf("%s %d follows %d, the viewer stands at %d", e.Type, e.Seq, from, stands)
				}
				if stands = e.Seq; stands >= 30 {
					cancel()
				}
			}
			return nil
		})
		if stands < 30 {
			t.Errorf("it goes on up to %d", stands)
		}
		socket.Close()
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}

// TestSubscribeAgainGetsASnapshot is a client that has lost what it knew, on a
// connection that has not.
func TestSubscribeAgainGetsASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		s.bus.send = (*localClient).push
		session, _ := s.askDrip(t)
		socket, err := s.replicas[0].hub.Connect(t.Context(), as("u"), eventlog.Lines)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := socket.Subscribe(t.Context(), 1, session, nil); err != nil {
				t.Fatal(err)
			}
			limit, cancel := context.WithTimeout(t.Context(), time.Second)
			var after []string
			follow(limit, socket, func(batch []byte) error {
				for line := range bytes.Lines(batch) {
					after = append(after, decodeSimEvent(line).Type)
				}
				return nil
			})
			cancel()
			ack, snapshot, delta := slices.Index(after, "ack"), slices.Index(after, "snapshot"), slices.Index(after, "delta")
			if ack < 0 || snapshot < ack || delta < snapshot {
				t.Errorf("it gets %v", after)
			}
		}
		socket.Close()
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}

// TestAnswersThatAreNotReadAreCounted is a client that commands and does not read.
func TestAnswersThatAreNotReadAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		session, _ := s.askDrip(t)
		socket, err := s.replicas[0].hub.Connect(t.Context(), as("u"), eventlog.Lines)
		if err != nil {
			t.Fatal(err)
		}
		before := socket.Owed()
		socket.Pong()
		pong := socket.Owed() - before
		if err := socket.Subscribe(t.Context(), 1, session, nil); err != nil {
			t.Fatal(err)
		}
		ack := socket.Owed() - before - pong
		if pong < 10 || ack < 10 {
			t.Errorf("a pong counts %d bytes, an ack %d", pong, ack)
		}
		socket.Close()
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}
