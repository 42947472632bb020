package repo

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/eventlog"
)

// FuzzDecodeJournal holds that a damaged row is an error and never a panic.
func FuzzDecodeJournal(f *testing.F) {
	f.Add([]byte(`[{"m":"x","e":1,"s":2,"r":[{"t":"a","k":true}]}]`))
	f.Add([]byte(`[{}]`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, in []byte) {
		entries, err := decodeJournal(in)
		if err != nil {
			return
		}
		out, err := json.Marshal(entries)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeJournal(out); err != nil || len(again) != len(entries) {
			t.Errorf("%d entries, then %d, %v", len(entries), len(again), err)
		}
	})
}

// FuzzJournal holds that a row has what was appended, neighbours of one kind
// joined, whatever the text is.
func FuzzJournal(f *testing.F) {
	f.Add(int64(0), "a", " token", "b\n")
	f.Add(int64(7), "\"quoted\" \\ ", "\u2028<&>\x00\x1f\x7f", "\U0001f600")
	f.Fuzz(func(t *testing.T, from int64, a, b, c string) {
		for _, text := range []*string{&a, &b, &c} { // the hub's is valid
			*text = strings.ToValidUTF8(*text, "")
		}
		thought := eventlog.Reasoning
		call := eventlog.Delta{Kind: eventlog.Call, Call: a, Text: b}
		entries, err := decodeJournal(appendJournal(nil, []hub.JournalEntry{
			{Stream: "one", Epoch: 1, From: from, Seq: 9, Deltas: []eventlog.Delta{{Text: a, Kind: thought}, {Text: b, Kind: thought}, {Text: c}}},
			{Stream: "two", Epoch: 2, Seq: 3, Deltas: []eventlog.Delta{{Text: a}, {Text: b}, {Text: c, Kind: thought}}},
			{Stream: "three", Epoch: 1, Seq: 4, Deltas: []eventlog.Delta{call, {Text: a}, call, {Kind: eventlog.AsReasoning}}},
		}))
		want := []journalEntry{
			{Stream: "one", Epoch: 1, From: from, Seq: 9, Runs: []journalRun{{Text: a + b, Thought: true}, {Text: c}}},
			{Stream: "two", Epoch: 2, Seq: 3, Runs: []journalRun{{Text: a + b}, {Text: c, Thought: true}}},
			{Stream: "three", Epoch: 1, Seq: 4, Runs: []journalRun{{Kind: "call", Call: a, Other: b}, {Text: a}, {Kind: "call", Call: a, Other: b}, {Kind: "as_reasoning"}}},
		}
		if err != nil || !reflect.DeepEqual(entries, want) {
			t.Errorf("got %+v, %v, want %+v", entries, err, want)
		}
	})
}
