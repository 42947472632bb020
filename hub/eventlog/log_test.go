package eventlog

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// reader follows the contract's rules on one stream's lines.
type reader struct {
	seq         int64
	text, think string // what a client has that knows nothing of parts
	parts       []part
	notices     []string
	ended       bool
}

// part is one as it is on the wire.
type part struct {
	Type string         `json:"type"`
	Text string         `json:"text"`
	Call map[string]any `json:"call"`
}

func (r *reader) apply(lines string) error {
	for line := range strings.SplitSeq(strings.TrimSuffix(lines, "\n"), "\n") {
		var e struct {
			Type      string
			Text      string
			Reasoning string
			From      *int64
			Seq       int64
			Parts     []part
			Call      map[string]any
			CallID    string `json:"call_id"`
			Arguments string
			Notice    *struct{ Code string }
			Notices   []struct{ Code string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return fmt.Errorf("%w in %q", err, line)
		}
		if e.Type == "snapshot" {
			r.seq, r.text, r.think, r.parts, r.notices = e.Seq, e.Text, e.Reasoning, e.Parts, nil
			for _, n := range e.Notices {
				r.notices = append(r.notices, n.Code)
			}
			continue
		}
		from := e.Seq - 1
		if e.From != nil {
			from = *e.From
		}
		if from != r.seq {
			return fmt.Errorf("%s follows %d, the reader stands at %d", line, from, r.seq)
		}
		r.seq = e.Seq
		r.text += e.Text
		r.think += e.Reasoning
		r.ended = e.Type == "finish"
		at := slices.IndexFunc(r.parts, func(p part) bool { return p.Call != nil && (p.Call["id"] == e.Call["id"] || p.Call["id"] == e.CallID) })
		switch {
		case e.Type != "delta":
		case e.Notice != nil:
			r.notices = append(r.notices, e.Notice.Code)
		case e.Call != nil && at < 0:
			r.parts = append(r.parts, part{Type: "call", Call: e.Call})
		case e.Call != nil:
			r.parts[at].Call = e.Call
		case e.CallID != "":
			r.parts[at].Call["arguments"] = r.parts[at].Call["arguments"].(string) + e.Arguments
		case e.Reasoning != "":
			r.extend("reasoning", e.Reasoning)
		default:
			r.extend("text", e.Text)
		}
	}
	return nil
}

func (r *reader) extend(kind, text string) {
	if n := len(r.parts); n == 0 || r.parts[n-1].Type != kind {
		r.parts = append(r.parts, part{Type: kind})
	}
	r.parts[len(r.parts)-1].Text += text
}

// partsOf is the parts of a content, as a reader has them.
func partsOf(t *testing.T, c Content) (out []part) {
	t.Helper()
	for _, p := range c.Parts {
		var o part
		if err := json.Unmarshal(p.AppendJSON(nil), &o); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

// writer makes random deltas, and keeps the answer as it is told.
type writer struct {
	rng  *rand.Rand
	said reader // as of one that has heard each event
	open []string
}

func (w *writer) next() Delta {
	piece := strings.Repeat(string([]rune{'a', 'é', '"', '\n', '🙂'}[w.rng.IntN(5)]), 1+w.rng.IntN(40)*w.rng.IntN(40))
	call := func(id, status string) Delta {
		var arguments any = ""
		for _, p := range w.said.parts {
			if p.Call["id"] == id {
				arguments = p.Call["arguments"]
			}
		}
		b, _ := json.Marshal(map[string]any{"id": id, "arguments": arguments, "status": status})
		return Delta{Kind: Call, Call: id, Text: string(b)}
	}
	switch n := w.rng.IntN(40); {
	case n < 8:
		return Delta{Kind: Reasoning, Text: piece}
	case n == 8:
		w.open = append(w.open, fmt.Sprintf("c%d", len(w.open)))
		return call(w.open[len(w.open)-1], "writing")
	case n == 9:
		return Delta{Kind: Notice, Text: fmt.Sprintf(`{"code":"n%d"}`, w.rng.IntN(100))}
	case n == 10 && w.rng.IntN(4) == 0:
		return Delta{Kind: []Kind{AsReasoning, AsText}[w.rng.IntN(2)]}
	case len(w.open) > 0 && n < 14:
		return Delta{Kind: Arguments, Call: w.open[w.rng.IntN(len(w.open))], Text: piece}
	case len(w.open) > 0 && n == 14:
		return call(w.open[w.rng.IntN(len(w.open))], "running")
	}
	return Delta{Text: piece}
}

// hear applies a delta as every client must.
func (w *writer) hear(t *testing.T, d Delta) {
	t.Helper()
	r := &w.said
	if d.Kind.Moves() {
		r.seq++
		from, to := "text", "reasoning"
		if d.Kind == AsText {
			from, to = to, from
		}
		parts := r.parts
		r.parts, r.text, r.think = nil, "", ""
		for _, p := range parts {
			if p.Type == from {
				p.Type = to
			}
			if p.Call != nil {
				r.parts = append(r.parts, p)
				continue
			}
			r.extend(p.Type, p.Text)
			if p.Type == "text" {
				r.text += p.Text
			} else {
				r.think += p.Text
			}
		}
		return
	}
	line := Lines.Step(nil, &Start{MessageID: "m"}, Step{From: r.seq, Seq: r.seq + 1, Kind: d.Kind, Call: d.Call, Text: []byte(d.Text)})
	if err := r.apply(string(line)); err != nil {
		t.Fatal(err)
	}
}

func (r *reader) differs(o *reader) string {
	switch {
	case r.text != o.text || r.think != o.think:
		return fmt.Sprintf("%d bytes of %d, %d of %d", len(r.text), len(o.text), len(r.think), len(o.think))
	case !reflect.DeepEqual(r.parts, o.parts):
		return fmt.Sprintf("parts %v, not %v", r.parts, o.parts)
	case !slices.Equal(r.notices, o.notices):
		return fmt.Sprintf("notices %v, not %v", r.notices, o.notices)
	}
	return ""
}

// TestEveryPositionLeadsToTheSameEnd drives a log with random deltas and
// readers that join and take at random, from far behind too, and write what they
// took while the log goes on. What replicas tell each other leads there, too.
func TestEveryPositionLeadsToTheSameEnd(t *testing.T) {
	for seed := range uint64(15) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l := New(Start{MessageID: "m", SessionID: "s"})
		w := writer{rng: rng}
		type follower struct {
			reader
			pos   int64
			under *Piece // being written
		}
		var followers []*follower
		write := func(f *follower) {
			if f.under == nil {
				return
			}
			if out := f.under.Append(nil, Lines); len(out) > 0 {
				if err := f.apply(string(out)); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			f.under.Done()
			f.under = nil
		}
		take := func(f *follower) {
			write(f)
			p, pos := l.Take(Lines, f.pos, l.last, rng.IntN(3) == 0)
			f.under, f.pos = &p, pos
			if rng.IntN(2) == 0 {
				write(f)
			}
		}
		for range 1 + rng.IntN(300) {
			d := w.next()
			w.hear(t, d)
			l.Append(d)
			if rng.IntN(20) == 0 {
				f := &follower{reader: reader{seq: -1}, pos: FromStart}
				if rng.IntN(2) == 0 {
					f.pos = NoPosition
				}
				followers = append(followers, f)
			}
			for _, f := range followers {
				if rng.IntN(4) == 0 {
					take(f)
				}
			}
		}
		l.End([]byte(fmt.Sprintf(`{"type":"finish","seq":%d}`, l.last+1)))
		followers = append(followers, &follower{reader: reader{seq: -1}, pos: FromStart}, &follower{reader: reader{seq: -1}, pos: NoPosition})
		for i, f := range followers {
			for f.pos != l.last {
				take(f)
			}
			write(f)
			if d := f.differs(&w.said); d != "" || !f.ended {
				t.Fatalf("seed %d, reader %d: %s, ended %v", seed, i, d, f.ended)
			}
		}
		again := New(l.Start())
		b, err := DecodeBatch(Batch{Stream: "m", Deltas: l.Deltas()}.Encode())
		if err != nil || !again.Extend(b) || !reflect.DeepEqual(partsOf(t, again.Content()), partsOf(t, l.Content())) {
			t.Fatalf("seed %d: another replica has another answer: %v", seed, err)
		}
		from := rng.Int64N(l.last)
		again.Forget(from)
		for _, d := range l.After(from) {
			again.Append(d)
		}
		if !reflect.DeepEqual(partsOf(t, again.Content()), w.said.parts) {
			t.Fatalf("seed %d: what came after %d leads to another answer", seed, from)
		}
	}
}

// numbered is a framing of one line for each step, by the places of its bytes.
type numbered struct{ prefix string }

func (n numbered) Start(dst []byte, of *Start) []byte {
	return append(dst, n.prefix+"start "+of.MessageID+"\n"...)
}
func (n numbered) Step(dst []byte, _ *Start, s Step) []byte {
	return append(dst, fmt.Sprintf("%s%d %d %d %s\n", n.prefix, s.Part, s.Before, s.End, s.Text)...)
}
func (n numbered) Snapshot(dst []byte, _ *Start, c *Content) []byte {
	return append(dst, fmt.Sprintf("%sall %s\n", n.prefix, c.Of(Text))...)
}
func (n numbered) Finish(dst []byte, _ *Start, seq int64, _ []byte) []byte {
	return append(dst, fmt.Sprintf("%send %d\n", n.prefix, seq)...)
}
func (n numbered) Beside(dst, event []byte) []byte { return append(dst, event...) }

// TestAnyFramingNamesTheSameBytes has viewers bring a framing of their own along. What it
// says of a byte's place is the same, merged or not, and however far behind a viewer is.
func TestAnyFramingNamesTheSameBytes(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 2))
		l := New(Start{MessageID: "m"})
		places := map[string]string{} // of each byte, by each viewer's first sight of it
		pos, texts := []int64{FromStart, FromStart, FromStart}, make([]string, 3)
		read := func(i int) {
			p, next := l.Take(numbered{"# "}, pos[i], l.last, i == 2)
			pos[i] = next
			for line := range strings.SplitSeq(strings.TrimSuffix(string(p.Append(nil, numbered{"# "})), "\n"), "\n") {
				var part, before, end int
				if n, _ := fmt.Sscanf(line, "# %d %d %d", &part, &before, &end); n < 3 {
					continue
				}
				text := strings.SplitN(line, " ", 5)[4]
				texts[i] += text
				for k := range len(text) {
					at := fmt.Sprint(part, before, end-len(text)+k)
					if c, known := places[at]; known && c != text[k:k+1] {
						t.Fatalf("seed %d: byte %s is %q and %q", seed, at, c, text[k:k+1])
					}
					places[at] = text[k : k+1]
				}
			}
			p.Done()
		}
		for range 400 {
			kind := []Kind{Text, Text, Text, Reasoning}[rng.IntN(4)]
			l.Append(Delta{Kind: kind, Text: string(rune('a'+rng.IntN(26))) + "b"})
			if read(0); rng.IntN(30) == 0 {
				read(1 + rng.IntN(2))
			}
		}
		l.End([]byte("{}"))
		for i := range pos {
			for pos[i] < l.last {
				read(i)
			}
		}
		if texts[0] != texts[1] || texts[0] != texts[2] || len(places) != len(texts[0]) {
			t.Errorf("seed %d: %d, %d and %d bytes at %d places", seed, len(texts[0]), len(texts[1]), len(texts[2]), len(places))
		}
	}
}

// TestWindowsAreBounded holds that few bytes are kept where all viewers keep up,
// and more, but not all, where one does not.
func TestWindowsAreBounded(t *testing.T) {
	for _, each := range []int{1, 1000, 100_000} {
		l := New(Start{MessageID: "m"})
		_, pos := l.Take(Lines, NoPosition, l.last, false)
		most := 0
		for n := range 100_000 {
			l.Append(Delta{Text: "0123456789abcdef"})
			most = max(most, cap(l.windows[0].buf))
			for n%each == 0 && pos < l.last {
				var p Piece
				p, pos = l.Take(Lines, pos, l.last, false)
				p.Done()
			}
		}
		if most > 2*windowMax || each == 1 && most > windowMin {
			t.Errorf("a window of %d bytes for a viewer who takes every %d events", most, each)
		}
	}
}

// FuzzEscape holds that every text that is valid UTF-8 survives as JSON.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\t\r\x01", "日本 🙂\u2028", "\xff\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		in = strings.ToValidUTF8(in, "\ufffd")
		var e struct{ Text string }
		line := Lines.Step(nil, &Start{MessageID: "m"}, Step{Seq: 1, Text: []byte(in)})
		if err := json.Unmarshal(line, &e); err != nil || e.Text != in {
			t.Errorf("%q became %q, %v", in, e.Text, err)
		}
	})
}

func BenchmarkEncodeDelta(b *testing.B) {
	buf, step := make([]byte, 0, 512), Step{From: 12344, Seq: 12345, Text: []byte(" token")}
	of := &Start{MessageID: "0198f1c2-0000-7000-8000-000000000000"}
	b.ReportAllocs()
	for b.Loop() {
		buf = Lines.Step(buf[:0], of, step)
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, framings := range map[string][]Framing{"nobody": nil, "lines": {Lines}, "both": {Lines, SSE}} {
		b.Run(name, func(b *testing.B) {
			l := New(Start{MessageID: "0198f1c2-0000-7000-8000-000000000000"})
			for _, f := range framings {
				l.Take(f, NoPosition, 0, false)
				l.window(f)
			}
			b.ReportAllocs()
			for b.Loop() {
				l.Append(Delta{Text: " token"})
			}
		})
	}
}
