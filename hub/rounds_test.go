package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// script is a provider that says what it is given, a delta every 50 ms.
type script struct{ say func(p Prompt) []Delta }

func (*script) Models(context.Context) ([]Model, error) { return nil, nil }

func (s *script) Stream(ctx context.Context, p Prompt) iter.Seq2[Delta, error] {
	return func(yield func(Delta, error) bool) {
		for _, d := range s.say(p) {
			if !pause(ctx, 50*time.Millisecond) {
				yield(Delta{}, ctx.Err())
				return
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// askScript starts all replicas, and asks the first one.
func (s *sim) askScript(t *testing.T, say func(Prompt) []Delta) MessageID {
	t.Helper()
	s.bus.send = (*localClient).push
	for _, r := range s.replicas {
		r.hub.catalogue.vendors = Fixed{"sim": &script{say}}
		if err := r.hub.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s.replicas[0].askAt(t, 0)
}

// client keeps the rules of the contract for one stream, parts included.
type client struct {
	mu      sync.Mutex
	seq     int64
	parts   []Part
	states  []CallStatus // of all calls, as they came
	notices []Notice
	ended   bool
	err     error
}

func (c *client) read(event []byte) {
	var e struct {
		Type      string
		Text      string
		Reasoning string
		From      *int64
		Seq       int64
		Parts     []Part
		Notices   []Notice
		Call      *Call
		CallID    string `json:"call_id"`
		Arguments string
		Notice    *Notice
	}
	if err := json.Unmarshal(event, &e); err != nil {
		c.err = fmt.Errorf("%w in %q", err, event)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	from := e.Seq - 1
	if e.From != nil {
		from = *e.From
	}
	switch {
	case e.Type == "snapshot":
		c.seq, c.parts, c.notices = e.Seq, e.Parts, e.Notices
		return
	case e.Type == "start" && c.seq < 0, e.Type == "delta" && e.Seq > c.seq, e.Type == "finish":
	default:
		return
	}
	if from != c.seq {
		c.err = fmt.Errorf("%s at a client that stands at %d", event, c.seq)
	}
	c.seq, c.ended = e.Seq, e.Type == "finish"
	at := slices.IndexFunc(c.parts, func(p Part) bool {
		return p.Call != nil && (e.Call != nil && p.Call.ID == e.Call.ID || p.Call.ID == e.CallID)
	})
	if e.Call != nil {
		c.states = append(c.states, e.Call.Status)
	}
	switch {
	case e.Type != "delta":
	case e.Notice != nil:
		c.notices = append(c.notices, *e.Notice)
	case e.Call != nil && at < 0:
		c.parts = append(c.parts, Part{Type: KindCall, Call: e.Call})
	case e.Call != nil:
		c.parts[at].Call = e.Call
	case e.CallID != "":
		c.parts[at].Call.Arguments += e.Arguments
	case e.Reasoning != "":
		c.add(KindReasoning, e.Reasoning)
	default:
		c.add(KindText, e.Text)
	}
}

// has returns the parts that the client shows.
func (c *client) has() []Part {
	c.mu.Lock()
	defer c.mu.Unlock()
	return untimed(c.parts)
}

func (c *client) add(k Kind, text string) {
	if n := len(c.parts); n == 0 || c.parts[n-1].Type != k {
		c.parts = append(c.parts, Part{Type: k})
	}
	c.parts[len(c.parts)-1].Text += text
}

// write reads what a viewer is written in a framing of JSON.
func (c *client) write(batch []byte) error {
	for line := range bytes.Lines(batch) {
		if line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("data: "))); bytes.HasPrefix(line, []byte("{")) {
			c.read(line)
		}
	}
	return c.err
}

// untimed are parts without how long they took.
func untimed(parts []Part) []Part {
	out := slices.Clone(parts)
	for i := range out {
		out[i].MS = 0
	}
	return out
}

// bare is a framing of this test's: a line of kind, end and quoted text for each delta.
type bare struct{}

func (bare) Start(dst []byte, _ *eventlog.Start) []byte { return append(dst, "start\n"...) }
func (bare) Step(dst []byte, _ *eventlog.Start, s eventlog.Step) []byte {
	return fmt.Appendf(dst, "%s %d %q\n", s.Kind, s.End, s.Text)
}
func (bare) Snapshot(dst []byte, _ *eventlog.Start, c *eventlog.Content) []byte {
	return fmt.Appendf(dst, "snapshot %d %q\n", c.Seq, c.Of(eventlog.Text))
}
func (bare) Finish(dst []byte, _ *eventlog.Start, seq int64, _ []byte) []byte {
	return fmt.Appendf(dst, "finish %d\n", seq)
}
func (bare) Beside(dst, _ []byte) []byte { return dst }

// TestCallsAreShownInEveryFraming has a model call tools that nobody can make. Whoever
// follows has the parts that are stored: from the start and late, resumed, on another
// replica, after the end, and from the database alone.
func TestCallsAreShownInEveryFraming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		id := s.askScript(t, func(Prompt) []Delta {
			return []Delta{
				{Reasoning: "Hm. "}, {Reasoning: "Which?"}, {Text: "Let me look. "}, {Tool: &ToolDelta{ID: "a", Name: "look", Arguments: `{"at"`}},
				{Tool: &ToolDelta{Arguments: `:"it"}`}}, {Reasoning: "And there."}, {Text: "And there: "}, {Tool: &ToolDelta{Index: 1, ID: "b", Name: "look"}},
				{Tool: &ToolDelta{Index: 1, Arguments: "{}"}}, {Finish: ReasonToolCalls},
			}
		})
		var following sync.WaitGroup
		type follower struct {
			*client
			about string
		}
		var all []follower
		attach := func(about string, at int, f eventlog.Framing, c *client, until int64) {
			v, err := s.replicas[at].hub.Attach(t.Context(), as("u"), id, f, c.seq)
			if err != nil {
				t.Errorf("%s: %v", about, err)
				return
			}
			follow(t.Context(), v, func(batch []byte) error {
				if err := c.write(batch); err != nil || c.seq >= until {
					return errMovedOn
				}
				return nil
			})
		}
		begin := func(about string, at int, f eventlog.Framing, from, until int64) {
			about = fmt.Sprintf("%s, replica %d, %T", about, at, f)
			c := &client{seq: from}
			all = append(all, follower{c, about})
			following.Go(func() {
				if attach(about, at, f, c, until); !c.ended {
					attach(about, at, f, c, 1<<40)
				}
			})
		}
		var shout []byte
		v, err := s.replicas[1].hub.Attach(t.Context(), as("u"), id, bare{}, eventlog.FromStart)
		if err != nil {
			t.Fatal(err)
		}
		following.Go(func() {
			follow(t.Context(), v, func(batch []byte) error { shout = append(shout, batch...); return nil })
		})
		time.Sleep(20 * time.Millisecond)
		for at := range s.replicas {
			for _, f := range []eventlog.Framing{eventlog.SSE, eventlog.Lines} {
				begin("live", at, f, eventlog.FromStart, 1<<40)
				for until := range int64(9) {
					begin(fmt.Sprint("resumed after ", until+1), at, f, eventlog.FromStart, until+1)
				}
			}
		}
		for n := range 12 {
			time.Sleep(45 * time.Millisecond)
			for at, r := range s.replicas {
				begin(fmt.Sprint("late ", n), at, eventlog.SSE, eventlog.NoPosition, 1<<40)
				if m := s.stored(id); m.Status == StatusStreaming {
					r.hub.peers.text(t.Context(), &m)
				}
			}
		}
		time.Sleep(time.Second)
		m := s.stored(id)
		begin("after the end", 0, eventlog.SSE, eventlog.NoPosition, 1<<40)
		begin("after the end, from the start", 1, eventlog.SSE, eventlog.FromStart, 1<<40)
		time.Sleep(time.Hour) // all replicas have forgotten it
		begin("from the database", 2, eventlog.Lines, eventlog.NoPosition, 1<<40)
		following.Wait()
		kinds := ""
		for _, p := range m.Parts {
			kinds += string(p.Type) + " "
		}
		if m.Content != "Let me look. And there: " || m.Reasoning != "Hm. Which?And there." || kinds != "reasoning text call reasoning text call " {
			t.Errorf("stored is %s, %q, %q, %s, %+v", m.Status, m.Content, m.Reasoning, kinds, m.Error)
		}
		for _, p := range m.Parts {
			if c := p.Call; c != nil && (c.Status != CallFailed || c.Error.Code != CodeNoSuchTool || c.EndedAt == nil || !json.Valid([]byte(c.Arguments))) {
				t.Errorf("a call is stored as %+v", c)
			}
		}
		for _, f := range all {
			if f.err != nil || !f.ended || !reflect.DeepEqual(untimed(f.parts), untimed(m.Parts)) {
				t.Errorf("%s: %v, ended %v, has %s, stored is %s", f.about, f.err, f.ended, encode(f.parts), encode(m.Parts))
			}
		}
		for _, want := range []string{"start\nreasoning 4 \"Hm. \"\n", "arguments 11 \":\\\"it\\\"}\"\n", "text 11 \"And there: \"\n", "finish "} {
			if !strings.Contains(string(shout), want) {
				t.Errorf("the third framing lacks %q:\n%s", want, shout)
			}
		}
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}

// TestRoundsSumUp has a model call a tool, and read in a second round what that said. The
// usage of both is summed up, and the text of both is one answer.
func TestRoundsSumUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		g := s.replicas[0].hub.asker.generator
		var second Prompt
		g.tool = func(ctx context.Context, _ UserID, c Call) Call {
			pause(ctx, time.Second)
			c.Status, c.Result = CallDone, &CallResult{Text: "7 °C for " + c.Arguments}
			if c.Tool == "broken" {
				panic("a fault of the tool")
			}
			return c
		}
		id := s.askScript(t, func(p Prompt) []Delta {
			if last := p.Turns[len(p.Turns)-1]; len(last.Calls) > 0 {
				second = p
				return []Delta{{Text: "It is 7 °C."}, {Finish: ReasonStop, Usage: &Usage{InputTokens: 30, OutputTokens: 7, CachedTokens: 3}}}
			}
			return []Delta{
				{Text: "Let me look. "}, {Tool: &ToolDelta{ID: "a", Name: "weather", Arguments: `{"city":"Oslo"}`}}, {Tool: &ToolDelta{Index: 1, Name: "broken"}},
				{Finish: ReasonToolCalls, Usage: &Usage{InputTokens: 10, OutputTokens: 5}},
			}
		})
		c := &client{seq: eventlog.FromStart}
		v, err := s.replicas[1].hub.Attach(t.Context(), as("u"), id, eventlog.SSE, eventlog.FromStart)
		if err != nil {
			t.Fatal(err)
		}
		follow(t.Context(), v, c.write)
		m := s.stored(id)
		if m.Status != StatusComplete || m.Content != "Let me look. It is 7 °C." || !reflect.DeepEqual(c.parts, untimed(m.Parts)) || c.err != nil {
			t.Errorf("stored is %s, %q, %s; shown %s, %v", m.Status, m.Content, encode(m.Parts), encode(c.parts), c.err)
		}
		if want := (&Usage{InputTokens: 40, OutputTokens: 12, CachedTokens: 3}); !reflect.DeepEqual(m.Usage, want) {
			t.Errorf("used are %+v, want %+v", m.Usage, want)
		}
		if want := []CallStatus{CallWriting, CallWriting, CallRunning, CallRunning, CallDone, CallFailed}; !slices.Equal(c.states, want) {
			t.Errorf("the calls were %v, want %v", c.states, want)
		}
		said := second.Turns[len(second.Turns)-1]
		if said.Content != "Let me look. " || len(said.Calls) != 2 || said.Calls[0].read() != `7 °C for {"city":"Oslo"}` || said.Calls[1].read() == "" {
			t.Errorf("the second round is told %+v", said)
		}
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}

// TestStoppedCallsEnd stops an answer while its model writes the arguments of a call, and
// while a tool runs: everyone sees how the call ended, and the same is stored.
func TestStoppedCallsEnd(t *testing.T) {
	for name, after := range map[string]time.Duration{"while it is written": 120 * time.Millisecond, "while it runs": 300 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1)
				s.replicas[0].hub.asker.generator.tool = func(ctx context.Context, _ UserID, c Call) Call {
					pause(ctx, time.Hour)
					return c
				}
				id := s.askScript(t, func(Prompt) []Delta {
					return []Delta{{Text: "Wait. "}, {Tool: &ToolDelta{Name: "slow", Arguments: "{"}}, {Tool: &ToolDelta{Arguments: "}"}}, {Finish: ReasonToolCalls}}
				})
				c := &client{seq: eventlog.FromStart}
				v, err := s.replicas[1].hub.Attach(t.Context(), as("u"), id, eventlog.SSE, eventlog.FromStart)
				if err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(after, func() { s.replicas[0].hub.streams.of(id).cancel(errStopped) })
				follow(t.Context(), v, c.write)
				m := s.stored(id)
				if m.Status != StatusStopped || len(m.Parts) != 2 || m.Parts[1].Call.Status != CallFailed || !reflect.DeepEqual(c.parts, m.Parts) || c.err != nil {
					t.Errorf("stored is %s, %s; shown %s, %v", m.Status, encode(m.Parts), encode(c.parts), c.err)
				}
				for _, r := range s.replicas {
					r.hub.Close()
				}
			})
		})
	}
}

// TestTextThatWasThoughtMoves has a model end its thoughts with a tag that it never opened,
// and another one begin with thoughts that turn out to be its text.
func TestTextThatWasThoughtMoves(t *testing.T) {
	for name, tt := range map[string]struct {
		said []Delta
		want []Part
		old  []Part // where a replica lives that cannot read it
	}{
		"into thoughts": {
			[]Delta{{Text: "I wonder"}, {Text: " whether."}, {Past: KindReasoning}, {Text: "Yes."}, {Finish: ReasonStop}},
			[]Part{{Type: KindReasoning, Text: "I wonder whether."}, {Type: KindText, Text: "Yes."}},
			[]Part{{Type: KindText, Text: "I wonder whether.Yes."}},
		},
		"into text": {
			[]Delta{{Reasoning: "It is "}, {Reasoning: "so."}, {Past: KindText}, {Finish: ReasonStop}},
			[]Part{{Type: KindText, Text: "It is so."}},
			[]Part{{Type: KindReasoning, Text: "It is so."}, {Type: KindText, Text: "It is so."}},
		},
		"into text, around a call": {
			[]Delta{{Reasoning: "Let me look."}, {Tool: &ToolDelta{ID: "a", Name: "f"}}, {Text: "Done."}, {Past: KindText}, {Finish: ReasonStop}},
			[]Part{{Type: KindText, Text: "Let me look."}, {Type: KindCall}, {Type: KindText, Text: "Done."}},
			nil,
		},
	} {
		for _, format := range []int{formatPlain, formatParts} {
			if format == formatPlain && tt.old == nil {
				continue
			}
			t.Run(fmt.Sprintf("%s, format %d", name, format), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(1)
					s.format = format
					id := s.askScript(t, func(Prompt) []Delta { return tt.said })
					live, late := &client{seq: eventlog.FromStart}, &client{seq: eventlog.NoPosition}
					var following sync.WaitGroup
					for _, c := range []*client{live, late} {
						v, err := s.replicas[1].hub.Attach(t.Context(), as("u"), id, eventlog.Lines, c.seq)
						if err != nil {
							t.Fatal(err)
						}
						following.Go(func() { follow(t.Context(), v, c.write) })
						time.Sleep(80 * time.Millisecond)
					}
					following.Wait()
					want := tt.want
					if format == formatPlain {
						want = tt.old
					}
					m := s.stored(id)
					for _, got := range [][]Part{m.Parts, live.parts, late.parts} {
						got = untimed(got)
						for i := range got {
							got[i].Call = nil
						}
						if !reflect.DeepEqual(got, want) {
							t.Errorf("%s, want %s (%v, %v)", encode(got), encode(want), live.err, late.err)
						}
					}
					if want[0].Type == KindReasoning && (m.ThinkingMS == 0 || len(m.Parts) > 1 && m.Parts[0].MS == 0 && format == formatParts) {
						t.Errorf("it thought for %d ms", m.ThinkingMS)
					}
					for _, r := range s.replicas {
						r.hub.Close()
					}
				})
			})
		}
	}
}

// TestATitleIsNoThought has a model that makes titles end its thoughts with a tag that it never
// opened, and another one begin with what is no thought in the end.
func TestATitleIsNoThought(t *testing.T) {
	for name, said := range map[string][]Delta{
		"thoughts first": {{Text: "The user greets me.\n"}, {Past: KindReasoning}, {Text: "Greeting chat"}, {Finish: ReasonStop}},
		"none":           {{Reasoning: "Greeting chat"}, {Past: KindText}, {Finish: ReasonStop}},
	} {
		synctest.Test(t, func(t *testing.T) {
			db := &titled{}
			v := Fixed{"x": &script{func(Prompt) []Delta { return said }}}
			h := New(db, nil, v, Options{TitleModel: "x/m", Logger: slog.New(slog.DiscardHandler)})
			defer h.bg.End(nil)
			ti := &titler{model: "x/m", store: db, catalogue: h.catalogue, feeds: h.feeds, bg: h.bg}
			ti.make(Own("u"), job{model: "x/m", asked: Asked{Question: &Message{Content: "hi"}, Session: Session{ID: "s"}}})
			if db.title != "Greeting chat" {
				t.Errorf("%s: the title is %q", name, db.title)
			}
		})
	}
}

// titled keeps the title of one session.
type titled struct {
	Store
	title string
}

func (*titled) Prices(context.Context) ([]ModelPrice, error) { return nil, nil }
func (*titled) RecordUsage(context.Context, Spending) error  { return nil }
func (d *titled) RetitleSession(_ context.Context, _ Access, _ SessionID, _, to string) (Session, int64, error) {
	d.title = to
	return Session{}, 0, nil
}

// TestAnotherOwnersBeginningCounts has a replica hear of a new owner of an answer that begins
// before what was shown here, as the old one had shown more than it could keep.
func TestAnotherOwnersBeginningCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		id := s.askScript(t, func(Prompt) []Delta {
			return []Delta{{Text: "one "}, {Text: "two "}, {Text: "lost "}, {Text: "lost, too"}, {Text: ""}, {Finish: ReasonStop}}
		})
		at := s.replicas[1].hub
		c := &client{seq: eventlog.FromStart}
		v, err := at.Attach(t.Context(), as("u"), id, eventlog.SSE, eventlog.FromStart)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var following sync.WaitGroup
		following.Go(func() { follow(ctx, v, c.write) })
		time.Sleep(225 * time.Millisecond)
		if got := c.has(); len(got) != 1 || got[0].Text != "one two lost lost, too" {
			t.Fatalf("shown are %s", encode(got))
		}
		s.mu.Lock()
		s.replicas[0].until = [2]time.Time{time.Now().Add(time.Hour), time.Now().Add(time.Hour)}
		s.mu.Unlock()
		next := func(from int64, deltas ...eventlog.Delta) {
			at.shares().Receive(Topic{Session: "s"}, eventlog.Batch{Stream: string(id), Epoch: 2, From: from, Deltas: deltas}.Encode())
		}
		next(2, eventlog.Delta{Text: "three "})
		next(3, eventlog.Delta{Text: "four "}, eventlog.Delta{Text: "five "}, eventlog.Delta{Text: "six"})
		synctest.Wait()
		cancel()
		following.Wait()
		if got := c.has(); len(got) != 1 || got[0].Text != "one two three four five six" || c.err != nil || c.seq != 6 {
			t.Errorf("shown are %s at %d, %v", encode(got), c.seq, c.err)
		}
		for _, r := range s.replicas {
			r.wires()
			r.hub.Close()
		}
	})
}
