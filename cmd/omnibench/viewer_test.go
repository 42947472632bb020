package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// text is tokens of these numbers.
func text(numbers ...int64) string {
	var b strings.Builder
	for _, n := range numbers {
		var t [tokenSize]byte
		putToken(t[:], n, sinceStart())
		b.Write(t[:])
	}
	return b.String()
}

const testID = "01890a5d-ac96-774b-bcce-b302099a8057"

func delta(seq int64, text string) string {
	return fmt.Sprintf(`{"type":"delta","message_id":"%s","seq":%d,"text":"%s"}`, testID, seq, text)
}

func merged(from, seq int64, text string) string {
	return fmt.Sprintf(`{"type":"delta","message_id":"%s","from":%d,"seq":%d,"text":"%s"}`, testID, from, seq, text)
}

func event(kind string, seq int64, text string) string {
	return fmt.Sprintf(`{"type":"%s","message_id":"%s","seq":%d,"session_id":"s","text":"%s","reason":"stop"}`, kind, testID, seq, text)
}

// watch returns a viewer of a stream of so many tokens, and what reads it.
func watch(sent int64, sse bool) (*viewer, *reader) {
	s := newStream(0, 1, 0)
	s.sent.Store(sent)
	c := &crowd{sample: 1}
	c.measuring.Store(true)
	return &viewer{stream: s, seq: -1, sse: sse, fd: -1}, &reader{crowd: c, epoll: -1}
}

func TestViewerFindsWhatIsAmiss(t *testing.T) {
	tests := map[string]struct {
		events []string
		want   faults
	}{
		"whole": {events: []string{event("start", 0, ""), delta(1, text(0)), delta(2, text(1)), delta(3, text(2)), event("finish", 4, "")}},
		"merged, after a snapshot": {
			events: []string{event("snapshot", 1, text(0)), merged(1, 3, text(1, 2)), event("finish", 4, "")},
		},
		"a snapshot in mid-stream": {
			events: []string{event("start", 0, ""), delta(1, text(0)), event("snapshot", 3, text(0, 1, 2)), event("finish", 4, "")},
		},
		"a hole": {
			events: []string{event("start", 0, ""), delta(1, text(0)), delta(3, text(2)), event("finish", 4, "")},
			want:   faults{Missing: 1, Misplaced: 1},
		},
		"the end is missing": {
			events: []string{event("start", 0, ""), delta(1, text(0)), delta(2, text(1))},
			want:   faults{Missing: 1, Unended: 1},
		},
		"twice": {
			events: []string{event("start", 0, ""), delta(1, text(0)), delta(1, text(0)), merged(1, 3, text(1, 2)), event("finish", 4, "")},
			want:   faults{Duplicated: 1, Misplaced: 1},
		},
		"out of order": {
			events: []string{event("start", 0, ""), merged(0, 3, text(0, 2, 1)), event("finish", 4, "")},
			want:   faults{Misplaced: 1},
		},
		"a torn token": {
			events: []string{event("start", 0, ""), merged(0, 3, text(0, 1, 2)), delta(4, "0000"), event("finish", 5, "")},
			want:   faults{Notes: []string{`text that is no whole tokens: "0000"`}},
		},
	}
	for name, tt := range tests {
		for _, sse := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, SSE %v", name, sse), func(t *testing.T) {
				var wire []byte
				for _, e := range tt.events {
					if sse {
						_, rest, _ := strings.Cut(e, `"seq":`)
						seq, _ := readNumber([]byte(rest))
						wire = fmt.Appendf(wire, ": hb\n\nid: %d\ndata: %s\n\n", seq, e)
					} else {
						wire = append(append(wire, serverFrame([]byte(e))...), final|opPong, 0)
					}
				}
				for _, step := range []int{1, 7, len(wire)} { // how it is cut into reads changes nothing
					v, r := watch(3, sse)
					for part := range slices.Chunk(wire, step) {
						v.take(r, part)
					}
					var got faults
					v.settle(&got, true)
					if fmt.Sprint(got) != fmt.Sprint(tt.want) {
						t.Errorf("reads of %d bytes: %+v, want %+v", step, got, tt.want)
					}
				}
			})
		}
	}
}

func TestChunkedResponse(t *testing.T) {
	var wire []byte
	for _, part := range []string{"id: 0\nda", "ta: " + event("start", 0, "") + "\n\nid: 3\n", "data: " + merged(0, 3, text(0, 1, 2)) + "\n\n"} {
		wire = fmt.Appendf(wire, "%x\r\n%s\r\n", len(part), part)
	}
	wire = append(wire, "0\r\n\r\n"...)
	for _, step := range []int{1, 5, len(wire)} {
		v, r := watch(3, true)
		v.body, v.ended = &chunks{}, true
		for part := range slices.Chunk(wire, step) {
			if !v.gone {
				v.take(r, part)
			}
		}
		var got faults
		v.settle(&got, true)
		if got.any() || v.next != 3 || !v.gone {
			t.Errorf("reads of %d bytes: %+v, %d tokens, gone %v", step, got, v.next, v.gone)
		}
	}
}

func TestLongFrames(t *testing.T) {
	for _, n := range []int{0, 125, 126, 65_535, 200_000} {
		wire := serverFrame(make([]byte, n))
		if n > 65_535 {
			wire = append(binary.BigEndian.AppendUint64([]byte{final | opText, 127}, uint64(n)), make([]byte, n)...)
		}
		if head, size, ok := frameHead(wire); !ok || size != n || head+size != len(wire) {
			t.Errorf("a frame of %d bytes was read as %d+%d, %v", n, head, size, ok)
		}
		if head, _, ok := frameHead(wire[:1]); ok {
			t.Errorf("half a head was read as %d bytes", head)
		}
	}
}
