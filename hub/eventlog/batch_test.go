package eventlog

import (
	"bytes"
	"slices"
	"testing"
)

func TestBatchComesBackAsItWas(t *testing.T) {
	for name, deltas := range map[string][]Delta{
		"nothing": {},
		"text":    {{Text: "one "}, {Text: "two"}},
		"both":    {{Text: "hm", Kind: Reasoning}, {Text: "\x00é\n"}, {Text: ""}},
		"all":     {{Text: "hm", Kind: Reasoning}, {Text: `{"id":"c"}`, Call: "c", Kind: Call}, {Text: "{", Call: "c", Kind: Arguments}, {Text: `{"code":"x"}`, Kind: Notice}, {Kind: AsReasoning}, {Kind: AsText}},
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
	f.Add(Batch{Stream: "id", Epoch: 1, Deltas: []Delta{{Text: "x"}, {Text: "y", Kind: Reasoning}}}.Encode())
	f.Add(Batch{Stream: "id", Epoch: 1, Deltas: []Delta{{Text: "{}", Call: "c", Kind: Call}, {Kind: AsText}}}.Encode())
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
