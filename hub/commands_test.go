package hub

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// stander is a client that keeps the rules of the contract for one stream, and
// notes when it was shown something.
type stander struct {
	mu    sync.Mutex
	seq   int64
	last  time.Time
	pause time.Duration // the longest without something new
	after []string      // what came, but deltas
}

func (v *stander) write(batch []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for line := range bytes.Lines(batch) {
		e := decodeSimEvent(line)
		switch {
		case e.Type == "snapshot":
		case e.Type != "start" && e.Type != "delta":
			v.after = append(v.after, e.Type)
			continue
		case e.Seq <= v.seq:
			continue
		case e.From == nil && e.Seq != v.seq+1 || e.From != nil && *e.From != v.seq:
			return fmt.Errorf("%s up to %d, the viewer stands at %d", e.Type, e.Seq, v.seq)
		}
		now := time.Now()
		v.seq, v.pause, v.last = e.Seq, max(v.pause, now.Sub(v.last)), now
	}
	return nil
}

// look returns where the viewer stands, the longest pause since the last look,
// and what came beside deltas.
func (v *stander) look() (seq int64, longest time.Duration, after []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	seq, longest, after = v.seq, max(v.pause, time.Since(v.last)), v.after
	v.pause, v.last, v.after = 0, time.Now(), nil
	return seq, longest, after
}

// TestAnswerGoesOnWhileACommandHangs has a client follow an answer, and command
// something that needs a database which says nothing.
func TestAnswerGoesOnWhileACommandHangs(t *testing.T) {
	other := SessionID("other")
	commands := map[string]func(ctx context.Context, v *Viewer, session SessionID, at map[MessageID]int64) error{
		"subscribe again": func(ctx context.Context, v *Viewer, session SessionID, at map[MessageID]int64) error {
			return v.Subscribe(ctx, 7, session, at)
		},
		"subscribe again without a position": func(ctx context.Context, v *Viewer, session SessionID, _ map[MessageID]int64) error {
			return v.Subscribe(ctx, 7, session, nil)
		},
		"subscribe to another": func(ctx context.Context, v *Viewer, _ SessionID, _ map[MessageID]int64) error {
			return v.Subscribe(ctx, 7, other, nil)
		},
		"send": func(ctx context.Context, v *Viewer, session SessionID, _ map[MessageID]int64) error {
			text := "more"
			return v.Send(ctx, 7, Question{SessionID: &session, Content: &text, Model: "sim/m", ParentGiven: true})
		},
		"stop": func(ctx context.Context, v *Viewer, _ SessionID, _ map[MessageID]int64) error {
			return v.Stop(ctx, 7, "u0")
		},
		"ready": func(ctx context.Context, v *Viewer, _ SessionID, _ map[MessageID]int64) error { return v.Ready(ctx) },
		"a break of the bus": func(_ context.Context, v *Viewer, session SessionID, _ map[MessageID]int64) error {
			v.hub.shares().Joined(Topic{Session: session})
			return nil
		},
	}
	for name, command := range commands {
		for n, where := range []string{"at the owner", "elsewhere"} {
			t.Run(name+" "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(1)
					s.bus.send = (*localClient).push
					session, answer := s.askDrip(t)
					s.store.sessions[other] = &Session{ID: other}
					v, err := s.replicas[n].hub.Connect(t.Context(), as("u"), eventlog.Lines)
					if err == nil {
						err = v.Subscribe(t.Context(), 1, session, nil)
					}
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithCancel(t.Context())
					client := &stander{seq: -1}
					var failed error
					var following sync.WaitGroup
					following.Go(func() {
						follow(ctx, v, func(batch []byte) error {
							failed = client.write(batch)
							return failed
						})
					})
					time.Sleep(time.Second)
					s.mu.Lock()
					for _, r := range s.replicas {
						r.until[toStore] = time.Now().Add(5 * time.Second)
					}
					s.mu.Unlock()
					at, _, _ := client.look()
					following.Go(func() {
						limit, cancel := context.WithTimeout(ctx, 4*time.Second)
						defer cancel()
						if err := command(limit, v, session, map[MessageID]int64{answer: at}); err != nil {
							v.Refuse(7, err)
						}
					})
					time.Sleep(3 * time.Second)
					if _, longest, after := client.look(); longest > 500*time.Millisecond || len(after) > 0 {
						t.Errorf("without the database nothing came for %s; beside the answer came %v", longest, after)
					}
					time.Sleep(3 * time.Second) // the database is back
					seq, longest, _ := client.look()
					if seq < at+100 || longest > 500*time.Millisecond {
						t.Errorf("it went on from %d to %d, with a pause of %s", at, seq, longest)
					}
					cancel()
					following.Wait()
					if failed != nil {
						t.Error(failed)
					}
					for _, r := range s.replicas {
						r.hub.Close()
					}
				})
			})
		}
	}
}

// TestSubscribeAgainWhileTokensArrive has a client that follows an answer, or that
// has a hole in it, subscribe again while the database takes its time: both stand
// where the answer does afterwards.
func TestSubscribeAgainWhileTokensArrive(t *testing.T) {
	for name, behind := range map[string]int64{"with all": 0, "with a hole": 5} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1)
				s.bus.send = (*localClient).push
				session, answer := s.askDrip(t)
				v, err := s.replicas[0].hub.Connect(t.Context(), as("u"), eventlog.Lines)
				if err == nil {
					err = v.Subscribe(t.Context(), 1, session, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				client := &stander{seq: -1}
				var hole, acked, failed = false, false, error(nil)
				var following sync.WaitGroup
				following.Go(func() {
					follow(ctx, v, func(batch []byte) error {
						client.mu.Lock()
						acked = acked || bytes.Contains(batch, []byte(`"ref":7`))
						lost := hole && !acked
						client.mu.Unlock()
						if lost { // it sees a hole, and waits for what it asks for
							return nil
						}
						failed = client.write(batch)
						return failed
					})
				})
				time.Sleep(time.Second)
				client.mu.Lock()
				hole = behind > 0
				client.mu.Unlock()
				time.Sleep(time.Duration(behind) * 50 * time.Millisecond)
				s.mu.Lock()
				s.replicas[0].until[toStore] = time.Now().Add(time.Second)
				s.mu.Unlock()
				at, _, _ := client.look()
				if err := v.Subscribe(t.Context(), 7, session, map[MessageID]int64{answer: at}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				cancel()
				following.Wait()
				if seq, _, _ := client.look(); failed != nil || seq < at+30 {
					t.Errorf("from %d it came to %d: %v", at, seq, failed)
				}
				for _, r := range s.replicas {
					r.hub.Close()
				}
			})
		})
	}
}

// TestPresenceIsToldWhileTheDatabaseHangs looks at the versions when it does.
func TestPresenceIsToldWhileTheDatabaseHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		session, _ := s.askDrip(t)
		h := s.replicas[0].hub
		stays, err := h.Connect(t.Context(), as("u"), eventlog.Lines)
		if err == nil {
			err = stays.Subscribe(t.Context(), 1, session, nil)
		}
		leaves, err2 := h.Connect(t.Context(), as("u"), eventlog.Lines)
		if err == nil && err2 == nil {
			err = leaves.Subscribe(t.Context(), 1, session, nil)
		}
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		ctx, cancel := context.WithCancel(t.Context())
		client := &stander{seq: -1}
		var following sync.WaitGroup
		following.Go(func() { follow(ctx, stays, client.write) })
		time.Sleep(4 * time.Second)
		s.mu.Lock()
		s.replicas[0].until[toStore] = time.Now().Add(5 * time.Second)
		s.mu.Unlock()
		time.Sleep(2 * time.Second) // the versions are asked for every 5 s
		client.look()
		leaves.Close()
		time.Sleep(3 * tickEvery)
		if _, _, after := client.look(); len(after) != 1 || after[0] != "presence" {
			t.Errorf("as another leaves, %v is told", after)
		}
		cancel()
		following.Wait()
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}

// TestAckComesBeforeTheAnswer has a client that follows a session already ask in it.
func TestAckComesBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		session, _ := s.askDrip(t)
		v, err := s.replicas[0].hub.Connect(t.Context(), as("u"), eventlog.Lines)
		if err == nil {
			err = v.Subscribe(t.Context(), 1, session, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		client := &stander{seq: -1}
		var following sync.WaitGroup
		following.Go(func() { follow(ctx, v, client.write) })
		for range 20 {
			synctest.Wait()
			client.look()
			text := "more"
			if err := v.Send(t.Context(), 7, Question{SessionID: &session, Content: &text, Model: "sim/m", ParentGiven: true}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			_, _, after := client.look()
			after = slices.DeleteFunc(after, func(kind string) bool { return kind == "session" }) // of the user's own feed
			if len(after) < 2 || after[0] != "ack" || after[1] != "message" {
				t.Errorf("it gets %v", after)
			}
		}
		cancel()
		following.Wait()
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}
