package wire

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestSameKnowsEventsThatDifferInOneString(t *testing.T) {
	const pattern = `{"id":"a","choices":[{"delta":{"content":"one"}}]}`
	tests := map[string]struct {
		learned, value, event string
		want                  string // empty: it must be decoded
	}{
		"another text":       {pattern, "one", `{"id":"a","choices":[{"delta":{"content":" two ü"}}]}`, " two ü"},
		"an escape":          {pattern, "one", `{"id":"a","choices":[{"delta":{"content":"\n"}}]}`, ""},
		"no UTF-8":           {pattern, "one", "{\"id\":\"a\",\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}", ""},
		"a control":          {pattern, "one", "{\"id\":\"a\",\"choices\":[{\"delta\":{\"content\":\"\t\"}}]}", ""},
		"another member":     {pattern, "one", `{"id":"a","choices":[{"delta":{"content":"x","refusal":"y"}}]}`, ""},
		"more before":        {pattern, "one", `{"id":"b","choices":[{"delta":{"content":"x"}}]}`, ""},
		"cut off":            {pattern, "one", `{"id":"a","choices":[{"delta":{"content":"x"}}]`, ""},
		"the value twice":    {`{"x":{"content":"one"},"content":"one"}`, "one", `{"x":{"content":"one"},"content":"two"}`, ""},
		"the value escaped":  {`{"content":"\u006fne"}`, "one", `{"content":"\u006fne"}`, ""},
		"spaces in between":  {`{"content": "one"}`, "one", `{"content": "two"}`, ""},
		"shorter than both":  {pattern, "one", `{"id":"a","choices":[{"delta":{"content":"}}]}`, ""},
		"an empty text":      {pattern, "one", `{"id":"a","choices":[{"delta":{"content":""}}]}`, ""},
		"learned with a tab": {"{\"content\":\"a\tb\"}", "a\tb", `{"content":"x"}`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var s Same
			s.Learn(Event{Data: []byte(tt.learned)}, "content", tt.value)
			if got, _ := s.Match(Event{Data: []byte(tt.event)}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got, ok := s.Match(Event{Name: "error", Data: []byte(tt.event)}); ok {
				t.Errorf("an event of another name: %q", got)
			}
		})
	}
}

// TestSameGivesUp is a stream whose events all differ elsewhere, too.
func TestSameGivesUp(t *testing.T) {
	var s Same
	event := func(n int) Event { return Event{Data: fmt.Appendf(nil, `{"n":%d,"content":"x"}`, n)} }
	for n := range 2 * missesMax {
		if _, ok := s.Match(event(n)); ok {
			t.Fatal("an event that differs was taken for the same")
		}
		s.Learn(event(n), "content", "x")
	}
	if !s.off {
		t.Error("every event is still learned")
	}
}

// FuzzSame holds that what is matched is what would be decoded.
func FuzzSame(f *testing.F) {
	f.Add([]byte(`{"a":1,"content":"one","b":null}`), []byte(`{"a":1,"content":"two","b":null}`))
	f.Add([]byte(`{"content":"one","x":"\"content\":\"one"}`), []byte(`{"content":"one","x":"\"content\":\"two"}`))
	f.Fuzz(func(t *testing.T, pattern, event []byte) {
		var before, after struct {
			Content string `json:"content"`
		}
		if json.Unmarshal(pattern, &before) != nil || before.Content == "" {
			return
		}
		var s Same
		s.Learn(Event{Data: pattern}, "content", before.Content)
		got, ok := s.Match(Event{Data: event})
		if !ok {
			return
		}
		if err := json.Unmarshal(event, &after); err != nil || after.Content != got {
			t.Errorf("%q is not %q: %v", event, got, err)
		}
	})
}
