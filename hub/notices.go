package hub

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Loading is told while a provider's server loads the model that is asked.
var Loading = Notice{Code: NoticeLoading, Detail: "The model is being loaded. The answer begins when it is."}

type tellKey struct{}

// withTell returns a context for a provider that tells what it does before its
// first delta.
func withTell(ctx context.Context, tell func(Notice)) context.Context {
	return context.WithValue(ctx, tellKey{}, tell)
}

// Tell tells the people who wait for an answer what its provider is doing. ctx is that of the
// provider's Stream. It never waits for a viewer. It is called again every
// few seconds while that goes on, for those who have come since.
func Tell(ctx context.Context, n Notice) {
	if tell, ok := ctx.Value(tellKey{}).(func(Notice)); ok {
		tell(n)
	}
}

// waiting is an answer before its first delta.
type waiting struct {
	peers  peers
	stream *stream

	mu    sync.Mutex
	since time.Time // when the model began to load; zero if it does not
	ended time.Time // when it had
}

// tell sends what a provider is doing to all who follow the answer, on all replicas.
func (w *waiting) tell(n Notice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended.IsZero() {
		return
	}
	if w.since.IsZero() {
		w.since = time.Now()
	}
	st := w.stream
	event := encode(noticeEvent{Type: "notice", MessageID: st.id, SessionID: st.session, Notice: n})
	w.peers.tell(st.feed.topic(), kindChange, changeNote{Event: event, About: st.id})
	st.feed.publish(entry{event: event, about: st.log})
}

// over says that the answer has begun, or has failed.
func (w *waiting) over() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended.IsZero() {
		w.ended = time.Now()
	}
}

// notices are what is kept of the wait with the answer.
func (w *waiting) notices() []Notice {
	w.over()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() {
		return nil
	}
	return []Notice{{Code: NoticeLoading, Detail: fmt.Sprintf("The model had to be loaded first, which took %d s.", max(1, int64(w.ended.Sub(w.since).Round(time.Second)/time.Second)))}}
}

const (
	// shortFrom is how many tokens a prompt must have for its size to be compared.
	shortFrom = 1500
	// readLeast is the least of a prompt's tokens that a server reports which keeps
	// no secret of its prompt's size; older ones report what was not in their cache.
	readLeast = 256
)

// inputShort says so if a server has read so little of a prompt that it must have
// dropped something. Models count differently, and none so little as that.
func inputShort(p Prompt, u *Usage) (Notice, bool) {
	if u == nil || u.Estimated || u.InputTokens < readLeast {
		return Notice{}, false
	}
	var ascii, wide int64
	for _, t := range p.Turns {
		for i, r := range t.Content {
			switch {
			case r >= 0x80:
				wide++
			case i == 0 || t.Content[i-1] != byte(r): // runs of one sign are few tokens
				ascii++
			}
		}
	}
	least := ascii/7 + wide/5
	if least < shortFrom || u.InputTokens >= least {
		return Notice{}, false
	}
	return Notice{Code: NoticeInputShort, Detail: fmt.Sprintf(
		"The server read %d tokens of the more than %d that it was sent: it has dropped the oldest messages. A larger context can be set there.", u.InputTokens, least)}, true
}
