package eventlog

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// reader follows the contract's rules on one stream's lines.
type reader struct {
	seq         int64
	text, think string
	ended       bool
}

func (r *reader) apply(lines string) error {
	for line := range strings.SplitSeq(strings.TrimSuffix(lines, "\n"), "\n") {
		var e struct {
			Type, Text, Reasoning string
			From                  *int64
			Seq                   int64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return fmt.Errorf("%w in %q", err, line)
		}
		if e.Type == "snapshot" {
			r.seq, r.text, r.think = e.Seq, e.Text, e.Reasoning
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
	}
	return nil
}

// TestEveryPositionLeadsToTheSameEnd drives a log with random deltas and
// readers that join and take at random, from far behind too, and write what they
// took while the log goes on.
func TestEveryPositionLeadsToTheSameEnd(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l := New(Start{MessageID: "m", SessionID: "s"})
		type follower struct {
			reader
			pos   int64
			under *Piece // being written
		}
		var followers []*follower
		var text, think string
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
			piece := strings.Repeat(string([]rune{'a', 'é', '"', '\n', '🙂'}[rng.IntN(5)]), 1+rng.IntN(40)*rng.IntN(40))
			if rng.IntN(5) == 0 {
				think += piece
				l.Append(piece, true)
			} else {
				text += piece
				l.Append(piece, false)
			}
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
			if f.text != text || f.think != think || !f.ended {
				t.Fatalf("seed %d, reader %d: %d bytes of %d, %d of %d, ended %v", seed, i, len(f.text), len(text), len(f.think), len(think), f.ended)
			}
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
			l.Append("0123456789abcdef", false)
			most = max(most, cap(l.windows[Lines].buf))
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
		line := appendDelta(nil, "m", -1, 1, false, []byte(in))
		if err := json.Unmarshal(line, &e); err != nil || e.Text != in {
			t.Errorf("%q became %q, %v", in, e.Text, err)
		}
	})
}

func BenchmarkEncodeDelta(b *testing.B) {
	buf, text := make([]byte, 0, 512), []byte(" token")
	b.ReportAllocs()
	for b.Loop() {
		buf = appendDelta(buf[:0], "0198f1c2-0000-7000-8000-000000000000", -1, 12345, false, text)
	}
}
