package eventlog

import (
	"bytes"
	"slices"
	"testing"
)

func TestBatchComesBackAsItWas(t *testing.T) {
	for name, deltas := range map[string][]Run{
		"nothing": {},
		"text":    {{Text: "one "}, {Text: "two"}},
		"both":    {{Text: "hm", Reasoning: true}, {Text: "\x00é\n"}, {Text: ""}},
	} {
		for _, head := range [][]byte{nil, []byte(`{"answer":{}}`)} {
			b, err := DecodeBatch(Batch{Head: head, Stream: "id", Epoch: 3, From: 7, Deltas: deltas}.Encode())
			if err != nil || b.Stream != "id" || b.Epoch != 3 || b.From != 7 || !slices.Equal(b.Deltas, deltas) || !bytes.Equal(b.Head, head) {
				t.Errorf("%s: %+v, %v", name, b, err)
			}
		}
	}
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add(Batch{Stream: "id", Epoch: 1, Deltas: []Run{{Text: "x"}, {Text: "y", Reasoning: true}}}.Encode())
	f.Add(Batch{Head: []byte("{}"), Stream: "id", Epoch: 1}.Encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := DecodeBatch(p)
		if err != nil {
			return
		}
		again := b.Encode()
		c, err := DecodeBatch(again)
		if err != nil || !slices.Equal(b.Deltas, c.Deltas) || !bytes.Equal(again, c.Encode()) {
			t.Errorf("%q came back as %q, %v", p, again, err)
		}
	})
}
