// Package bustest is what every hub.Bus must do.
package bustest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// Client records what a bus delivers.
type Client struct {
	mu          sync.Mutex
	cond        *sync.Cond
	joined      map[hub.Topic]int
	received    map[hub.Topic][]string
	reconnected int
}

// NewClient returns a client that has got nothing yet.
func NewClient() *Client {
	c := &Client{joined: map[hub.Topic]int{}, received: map[hub.Topic][]string{}}
	c.cond = sync.NewCond(&c.mu)
	return c
}

// Joined is hub.BusClient's.
func (c *Client) Joined(t hub.Topic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joined[t]++
	c.cond.Broadcast()
}

// Receive is hub.BusClient's.
func (c *Client) Receive(t hub.Topic, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received[t] = append(c.received[t], string(payload))
	c.cond.Broadcast()
}

// Reconnected is hub.BusClient's.
func (c *Client) Reconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reconnected++
	c.cond.Broadcast()
}

// Until waits until the condition holds of what was got.
func (c *Client) Until(t testing.TB, what string, holds func(joined map[hub.Topic]int, received map[hub.Topic][]string, reconnected int) bool) {
	t.Helper()
	late := time.AfterFunc(30*time.Second, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.joined = nil
		c.cond.Broadcast()
	})
	defer late.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !holds(c.joined, c.received, c.reconnected) {
		if c.joined == nil {
			t.Fatalf("in 30 s no %s", what)
		}
		c.cond.Wait()
	}
}

// WaitJoined waits until a topic has been joined n times.
func (c *Client) WaitJoined(t testing.TB, topic hub.Topic, n int) {
	t.Helper()
	c.Until(t, "confirmation", func(joined map[hub.Topic]int, _ map[hub.Topic][]string, _ int) bool { return joined[topic] >= n })
}

// Joins is how often a topic has been joined.
func (c *Client) Joins(topic hub.Topic) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.joined[topic]
}

// Start runs a bus for a client until the test ends.
func Start(t testing.TB, b hub.Bus, c hub.BusClient) {
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { b.Run(ctx, c) })
	t.Cleanup(func() { cancel(); run.Wait() })
}

// Run runs the suite; connect returns two ends of one bus.
func Run(t *testing.T, connect func(t *testing.T) (a, b hub.Bus)) {
	session := func() (hub.SessionID, hub.MessageID) { return hub.SessionID(hub.NewID()), hub.MessageID(hub.NewID()) }
	one := func(t *testing.T, b hub.Bus, x hub.Batch) error {
		t.Helper()
		refused, err := b.Ship(t.Context(), []hub.Batch{x})
		if err != nil {
			t.Fatal(err)
		}
		return refused[0]
	}
	want := func(t *testing.T, what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	read := func(t *testing.T, b hub.Bus, s hub.SessionID, id hub.MessageID, after int64) string {
		t.Helper()
		tail, err := b.Read(t.Context(), s, id, after)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s %v", tail.Payloads, tail.Lost)
	}

	t.Run("a log is opened, appended to and read", func(t *testing.T) {
		a, b := connect(t)
		s, id := session()
		want(t, "append before open", one(t, a, hub.Batch{Session: s, Stream: id, Epoch: 1, Seq: 3, Payload: []byte("x")}), hub.ErrLogLost)
		if got := read(t, b, s, id, -1); got != "[] true" {
			t.Errorf("nothing was opened: %s", got)
		}
		want(t, "open", one(t, a, hub.Batch{Session: s, Stream: id, Epoch: 1, Open: true, Payload: []byte("o")}), nil)
		want(t, "append", one(t, a, hub.Batch{Session: s, Stream: id, Epoch: 1, Seq: 3, Payload: []byte("123")}), nil)
		want(t, "again", one(t, a, hub.Batch{Session: s, Stream: id, Epoch: 1, Seq: 3, Payload: []byte("123")}), nil)
		want(t, "next", one(t, a, hub.Batch{Session: s, Stream: id, Epoch: 1, From: 3, Seq: 4, Payload: []byte("4")}), nil)
		want(t, "hole", one(t, a, hub.Batch{Session: s, Stream: id, Epoch: 1, From: 5, Seq: 6, Payload: []byte("6")}), hub.ErrLogLost)
		for after, text := range map[int64]string{-1: "[o 123 4] false", 0: "[123 4] false", 1: "[123 4] false", 3: "[4] false", 4: "[] false"} {
			if got := read(t, b, s, id, after); got != text {
				t.Errorf("after %d: %s, want %s", after, got, text)
			}
		}
		want(t, "opened again", one(t, a, hub.Batch{Session: s, Stream: id, Epoch: 1, Open: true, Seq: 5, Payload: []byte("whole")}), nil)
		if got := read(t, b, s, id, 2); got != "[whole] false" {
			t.Errorf("opened again: %s", got)
		}
	})
	t.Run("a takeover fences", func(t *testing.T) {
		a, b := connect(t)
		s, id := session()
		want(t, "open", one(t, a, hub.Batch{Session: s, Stream: id, Epoch: 1, Open: true, Payload: []byte("o")}), nil)
		want(t, "append", one(t, a, hub.Batch{Session: s, Stream: id, Epoch: 1, Seq: 2, Payload: []byte("12")}), nil)
		for range 2 { // it may be repeated
			tail, err := b.Takeover(t.Context(), s, id, 2)
			if got := fmt.Sprintf("%s %v", tail.Payloads, tail.Lost); err != nil || got != "[o 12] false" {
				t.Errorf("the tail: %s, %v", got, err)
			}
		}
		want(t, "the old owner's append", one(t, a, hub.Batch{Session: s, Stream: id, Epoch: 1, From: 2, Seq: 3, Payload: []byte("3")}), hub.ErrFenced)
		want(t, "the old owner's open", one(t, a, hub.Batch{Session: s, Stream: id, Epoch: 1, Open: true, Seq: 3, Payload: []byte("3")}), hub.ErrFenced)
		_, err := a.Takeover(t.Context(), s, id, 1)
		want(t, "a takeover that came late", err, hub.ErrFenced)
		_, lost := session()
		tail, err := b.Takeover(t.Context(), s, lost, 2)
		if err != nil || !tail.Lost {
			t.Errorf("a lost log: %+v, %v", tail, err)
		}
		want(t, "the open of a lost log's old owner", one(t, a, hub.Batch{Session: s, Stream: lost, Epoch: 1, Open: true, Payload: []byte("o")}), hub.ErrFenced)
	})
	t.Run("every listen is confirmed", func(t *testing.T) {
		a, b := connect(t)
		c := NewClient()
		Start(t, a, c)
		for i := range 40 {
			s, _ := session()
			topic := hub.Topic{Session: s}
			a.Listen(topic)
			if i%2 == 0 {
				c.WaitJoined(t, topic, 1)
			}
			for range 3 {
				a.Leave(topic)
				before := c.Joins(topic)
				a.Listen(topic)
				c.WaitJoined(t, topic, before+1)
			}
			// If the first was not waited for, what is confirmed may be the Listen
			// before, and the Leave between them be still under way.
			deadline := time.Now().Add(30 * time.Second)
			for heard := 0; heard == 0; {
				var err error
				if heard, err = b.Publish(t.Context(), topic, []byte("x")); err != nil || time.Now().After(deadline) {
					t.Fatalf("nobody listens to what was joined %d times, %v", c.Joins(topic), err)
				}
			}
			c.Until(t, "message", func(_ map[hub.Topic]int, got map[hub.Topic][]string, _ int) bool { return len(got[topic]) > 0 })
		}
	})
	t.Run("what is shipped and published is heard in order", func(t *testing.T) {
		a, b := connect(t)
		ca, cb := NewClient(), NewClient()
		Start(t, a, ca)
		Start(t, b, cb)
		s, id := session()
		other, quiet := session()
		topics := []hub.Topic{{}, {Session: s}, {User: hub.UserID(hub.NewID())}}
		for _, topic := range topics {
			a.Listen(topic)
			ca.WaitJoined(t, topic, 1)
		}
		var batches []hub.Batch
		text := []string{"o"}
		batches = append(batches, hub.Batch{Session: s, Stream: id, Epoch: 1, Open: true, Payload: []byte("o")},
			hub.Batch{Session: other, Stream: quiet, Epoch: 1, Open: true, Payload: []byte("nobody listens")})
		for i := range 200 {
			p := fmt.Sprint(i)
			text = append(text, p)
			batches = append(batches, hub.Batch{Session: s, Stream: id, Epoch: 1, From: int64(i), Seq: int64(i + 1), Payload: []byte(p)})
		}
		refused, err := b.Ship(t.Context(), batches)
		if err != nil {
			t.Fatal(err)
		}
		for i, err := range refused {
			if err != nil {
				t.Errorf("batch %d: %v", i, err)
			}
		}
		if err := b.End(t.Context(), s, id, []byte("end")); err != nil {
			t.Fatal(err)
		}
		text = append(text, "end")
		for _, topic := range []hub.Topic{topics[0], topics[2]} {
			if heard, err := b.Publish(t.Context(), topic, []byte("note")); err != nil || heard != 1 {
				t.Errorf("heard by %d, %v", heard, err)
			}
		}
		ca.Until(t, "message", func(_ map[hub.Topic]int, got map[hub.Topic][]string, _ int) bool {
			return fmt.Sprint(got[topics[1]]) == fmt.Sprint(text) && len(got[topics[0]]) == 1 && len(got[topics[2]]) == 1
		})
		a.Leave(topics[1])
		for { // leaving takes its time
			if heard, err := b.Publish(t.Context(), topics[1], []byte("late")); err != nil || heard == 0 {
				want(t, "publish to nobody", err, nil)
				break
			}
		}
		if err := a.Up(); err != nil {
			t.Error(err)
		}
	})
}
