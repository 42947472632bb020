package chat

import (
	"reflect"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
)

func decode(events ...string) ([]hub.Delta, error) {
	var got []hub.Delta
	in := "data: " + strings.Join(append(events, "[DONE]"), "\n\ndata: ") + "\n\n"
	err := wire.Decode(strings.NewReader(in), NewDecoder(), func(d hub.Delta) bool {
		got = append(got, d)
		return true
	})
	return got, err
}

func delta(fields string) string { return `{"choices":[{"delta":{` + fields + `}}]}` }

func tool(index int, id, name, arguments string) hub.Delta {
	return hub.Delta{Tool: &hub.ToolDelta{Index: index, ID: id, Name: name, Arguments: arguments}}
}

func TestDecoderReadsWhatServersDifferIn(t *testing.T) {
	stop := hub.Delta{Finish: hub.ReasonStop}
	calls := hub.Delta{Finish: hub.ReasonToolCalls}
	tests := map[string]struct {
		events []string
		want   []hub.Delta
	}{
		"Mistral's parts":          {[]string{delta(`"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"yes"}]`)}, []hub.Delta{{Reasoning: "hm"}, {Text: "yes"}, stop}},
		"both names of thinking":   {[]string{delta(`"reasoning":"hm","reasoning_content":"hm"`)}, []hub.Delta{{Reasoning: "hm"}, stop}},
		"a refusal":                {[]string{delta(`"content":null,"refusal":"No."`)}, []hub.Delta{{Text: "No."}, stop}},
		"escapes":                  {[]string{delta(`"content":"\u00fc\n\ud83d\ude42"`)}, []hub.Delta{{Text: "ü\n🙂"}, stop}},
		"bytes that are no text":   {[]string{delta("\"content\":\"a\xffb\"")}, []hub.Delta{{Text: "a\ufffdb"}, stop}},
		"null choices":             {[]string{`{"choices":null}`, `{"choices":[]}`}, []hub.Delta{stop}},
		"calls without an index":   {[]string{delta(`"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"g","arguments":"{}"}}]`)}, []hub.Delta{tool(0, "a", "f", "{}"), tool(1, "b", "g", "{}"), calls}},
		"calls with one index":     {[]string{delta(`"tool_calls":[{"index":0,"id":"a","function":{"name":"f"}}]`), delta(`"tool_calls":[{"index":0,"id":"b","function":{"name":"g"}}]`)}, []hub.Delta{tool(0, "a", "f", ""), tool(1, "b", "g", ""), calls}},
		"an index beyond the rest": {[]string{delta(`"tool_calls":[{"index":7,"id":"a","function":{"name":"f"}}]`), delta(`"tool_calls":[{"index":7,"function":{"arguments":"{}"}}]`)}, []hub.Delta{tool(0, "a", "f", ""), tool(0, "", "", "{}"), calls}},
		"arguments as an object":   {[]string{delta(`"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x":1}}}]`)}, []hub.Delta{tool(0, "a", "f", `{"x":1}`), calls}},
		"a call's signature":       {[]string{delta(`"tool_calls":[{"id":"a","function":{"name":"f"},"extra_content":{"google":{"thought_signature":"s"}}}]`)}, []hub.Delta{tool(0, "a", "f", ""), {Opaque: []byte(`{"extra_content":{"google":{"thought_signature":"s"}},"call":"a"}`)}, calls}},
		"DeepSeek's cache":         {[]string{`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_cache_hit_tokens":4}}`}, []hub.Delta{{Finish: hub.ReasonStop, Usage: &hub.Usage{InputTokens: 9, OutputTokens: 2, CachedTokens: 4}}}},
		"thinking in the total":    {[]string{`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":15,"completion_tokens_details":{"reasoning_tokens":4}}}`}, []hub.Delta{{Finish: hub.ReasonStop, Usage: &hub.Usage{InputTokens: 9, OutputTokens: 6, ReasoningTokens: 4}}}},
		"thinking in two blocks": {
			[]string{delta(`"reasoning_details":[{"type":"reasoning.text","text":"a","index":0},null]`), delta(`"reasoning_details":[{"type":"reasoning.text","text":"b","signature":"s","index":0},{"type":"reasoning.text","text":"c","index":1}]`)},
			[]hub.Delta{{Opaque: []byte(`{"reasoning_details":[{"index":0,"signature":"s","text":"ab","type":"reasoning.text"},{"index":1,"text":"c","type":"reasoning.text"}]}`)}, stop},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := decode(tt.events...)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestFinishReasonsThatAreFailures(t *testing.T) {
	for reason, want := range map[string]hub.Code{
		"error": hub.CodeProviderError, "network_error": hub.CodeProviderError, "abort": hub.CodeProviderError,
		"insufficient_system_resource": hub.CodeProviderOverloaded,
	} {
		if _, err := decode(`{"choices":[{"delta":{},"finish_reason":"` + reason + `"}]}`); hub.CodeOf(err) != want {
			t.Errorf("%s: %v", reason, err)
		}
	}
}
