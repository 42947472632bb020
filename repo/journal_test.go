package repo

import (
	"encoding/json"
	"testing"
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
