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
		"thinking as a string":     {[]string{delta(`"content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"yes"}]`)}, []hub.Delta{{Reasoning: "hm"}, {Text: "yes"}, stop}},
		"a list of strings":        {[]string{delta(`"content":["yes"," no"]`)}, []hub.Delta{{Text: "yes no"}, stop}},
		"a part alone":             {[]string{delta(`"content":{"type":"text","text":{"value":"yes"}}`)}, []hub.Delta{{Text: "yes"}, stop}},
		"a part of reasoning":      {[]string{delta(`"content":[{"type":"reasoning","text":"hm"},{"type":"reasoning","summary":[{"type":"summary_text","text":"so"}]},null,7,{"type":"image_url"}]`)}, []hub.Delta{{Reasoning: "hmso"}, stop}},
		"thinking in a list":       {[]string{delta(`"reasoning_content":[{"type":"text","text":"hm"}],"content":[{"type":"text","text":"yes"}]`)}, []hub.Delta{{Reasoning: "hm"}, {Text: "yes"}, stop}},
		"content of no kind":       {[]string{delta(`"content":true`), delta(`"content":[true,[["x"]]]`), delta(`"content":"yes"`)}, []hub.Delta{{Text: "yes"}, stop}},
		"both names of thinking":   {[]string{delta(`"reasoning":"hm","reasoning_content":"hm"`)}, []hub.Delta{{Reasoning: "hm"}, stop}},
		"a refusal":                {[]string{delta(`"content":null,"refusal":"No."`)}, []hub.Delta{{Text: "No."}, stop}},
		"escapes":                  {[]string{delta(`"content":"\u00fc\n\ud83d\ude42"`)}, []hub.Delta{{Text: "ü\n🙂"}, stop}},
		"bytes that are no text":   {[]string{delta("\"content\":\"a\xffb\"")}, []hub.Delta{{Text: "a\ufffdb"}, stop}},
		"null choices":             {[]string{`{"choices":null}`, `{"choices":[]}`}, []hub.Delta{stop}},
		"calls without an index":   {[]string{delta(`"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"g","arguments":"{}"}}]`)}, []hub.Delta{tool(0, "a", "f", "{}"), tool(1, "b", "g", "{}"), calls}},
		"calls with one index":     {[]string{delta(`"tool_calls":[{"index":0,"id":"a","function":{"name":"f"}}]`), delta(`"tool_calls":[{"index":0,"id":"b","function":{"name":"g"}}]`)}, []hub.Delta{tool(0, "a", "f", ""), tool(1, "b", "g", ""), calls}},
		"an index beyond the rest": {[]string{delta(`"tool_calls":[{"index":7,"id":"a","function":{"name":"f"}}]`), delta(`"tool_calls":[{"index":7,"function":{"arguments":"{}"}}]`)}, []hub.Delta{tool(0, "a", "f", ""), tool(0, "", "", "{}"), calls}},
		"arguments as an object":   {[]string{delta(`"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x":1}}}]`)}, []hub.Delta{tool(0, "a", "f", `{"x":1}`), calls}},
		"the index in quotes":      {[]string{delta(`"tool_calls":[{"index":"0","id":"a","function":{"name":"f","arguments":"{"}}]`), delta(`"tool_calls":[{"index":0.0,"function":{"arguments":"}"}}]`)}, []hub.Delta{tool(0, "a", "f", "{"), tool(0, "", "", "}"), calls}},
		"another id, no index":     {[]string{delta(`"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]`), delta(`"tool_calls":[{"function":{"arguments":"}"}}]`), delta(`"tool_calls":[{"id":"b","function":{"name":"f","arguments":"{}"}}]`)}, []hub.Delta{tool(0, "a", "f", "{"), tool(0, "", "", "}"), tool(1, "b", "f", "{}"), calls}},
		"neither id nor index":     {[]string{delta(`"tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"g","arguments":{"x":1}}},{"function":{"name":"g","arguments":"{}"}}]`)}, []hub.Delta{tool(0, "", "f", "{}"), tool(1, "", "g", `{"x":1}`), tool(2, "", "g", "{}"), calls}},
		"a call in the older form": {[]string{delta(`"function_call":{"name":"f","arguments":"{"}`), delta(`"function_call":{"arguments":"}"}`)}, []hub.Delta{tool(0, "", "f", "{"), tool(0, "", "", "}"), calls}},
		"calls of no kind":         {[]string{delta(`"tool_calls":{"x":1},"content":"yes"`), delta(`"tool_calls":[null,"x"]`)}, []hub.Delta{{Text: "yes"}, stop}},
		"deltas and all so far":    {[]string{`{"choices":[{"delta":{"role":"assistant","content":""},"message":{"content":"He"}}]}`, `{"choices":[{"delta":{"content":"He"},"message":{"content":"He"}}]}`, `{"choices":[{"delta":{"content":"y"},"message":{"content":"Hey"},"finish_reason":"stop"}]}`}, []hub.Delta{{Text: "He"}, {Text: "y"}, stop}},
		"all so far, no deltas":    {[]string{`{"choices":[{"message":{"content":"He"}}]}`, `{"choices":[{"message":{"content":"Hey"}}]}`}, []hub.Delta{{Text: "Hey"}, stop}},
		"usage within the choice":  {[]string{`{"choices":[{"delta":{"content":"x"},"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":2,"cached_tokens":4}}]}`}, []hub.Delta{{Text: "x"}, {Finish: hub.ReasonStop, Usage: &hub.Usage{InputTokens: 9, OutputTokens: 2, CachedTokens: 4}}}},
		"Groq's usage":             {[]string{delta(`"content":"x"`), `{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"1","usage":{"prompt_tokens":9,"completion_tokens":2}}}`}, []hub.Delta{{Text: "x"}, {Finish: hub.ReasonStop, Usage: &hub.Usage{InputTokens: 9, OutputTokens: 2}}}},
		"usage by other names":     {[]string{`{"choices":[],"usage":{"input_tokens":9,"output_tokens":2}}`}, []hub.Delta{{Finish: hub.ReasonStop, Usage: &hub.Usage{InputTokens: 9, OutputTokens: 2}}}},
		"usage in every chunk":     {[]string{`{"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}}`, `{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":60,"total_tokens":60}}`}, []hub.Delta{{Text: "x"}, {Finish: hub.ReasonStop, Usage: &hub.Usage{InputTokens: 100, OutputTokens: 60}}}},
		"a total alone":            {[]string{`{"choices":[],"usage":{"total_tokens":60}}`}, []hub.Delta{stop}},
		"a call's signature":       {[]string{delta(`"tool_calls":[{"id":"a","function":{"name":"f"},"extra_content":{"google":{"thought_signature":"s"}}}]`)}, []hub.Delta{tool(0, "a", "f", ""), {Opaque: []byte(`{"extra_content":{"google":{"thought_signature":"s"}},"call":"a"}`)}, calls}},
		"DeepSeek's cache":         {[]string{`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_cache_hit_tokens":4}}`}, []hub.Delta{{Finish: hub.ReasonStop, Usage: &hub.Usage{InputTokens: 9, OutputTokens: 2, CachedTokens: 4}}}},
		"thinking in the total":    {[]string{`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":15,"completion_tokens_details":{"reasoning_tokens":4}}}`}, []hub.Delta{{Finish: hub.ReasonStop, Usage: &hub.Usage{InputTokens: 9, OutputTokens: 6, ReasoningTokens: 4}}}},
		"thinking in two blocks": {
			[]string{delta(`"reasoning_details":[{"type":"reasoning.text","text":"a","index":0},null]`), delta(`"reasoning_details":[{"type":"reasoning.text","text":"b","signature":"s","index":0},{"type":"reasoning.text","text":"c","index":1}]`)},
			[]hub.Delta{{Reasoning: "a"}, {Reasoning: "bc"}, {Opaque: []byte(`{"reasoning_details":[{"index":0,"signature":"s","text":"ab","type":"reasoning.text"},{"index":1,"text":"c","type":"reasoning.text"}]}`)}, stop},
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

// The mark of the end is missing in these.
func TestEndsWithoutAMark(t *testing.T) {
	for name, tt := range map[string]struct {
		events string
		code   hub.Code
	}{
		"an empty reason at the end":    {delta(`"content":"x"`) + "\n\ndata: " + `{"choices":[{"delta":{},"finish_reason":""}]}`, ""},
		"an empty reason with the text": {`{"choices":[{"delta":{"content":"x"},"finish_reason":""}]}`, hub.CodeProviderTruncated},
		"an empty reason, then text":    {`{"choices":[{"delta":{"role":"assistant"},"finish_reason":""}]}` + "\n\ndata: " + delta(`"content":"x"`), hub.CodeProviderTruncated},
		"a reason, then text":           {`{"choices":[{"delta":{"reasoning_content":"x"},"finish_reason":"stop"}]}` + "\n\ndata: " + delta(`"content":"x"`) + "\n\ndata: {\"a", hub.CodeProviderError},
		"rubbish after the reason":      {`{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}` + "\n\ndata: {\"a", ""},
		"no reason":                     {delta(`"content":"x"`), hub.CodeProviderTruncated},
		"an error in the choice":        {`{"choices":[{"delta":{"content":""},"finish_reason":"error","error":{"code":429,"message":"Rate limit exceeded"}}]}`, hub.CodeProviderRateLimit},
		"an error at Groq":              {`{"choices":[],"x_groq":{"error":"rate limit reached"}}`, hub.CodeProviderRateLimit},
	} {
		err := wire.Decode(strings.NewReader("data: "+tt.events+"\n\n"), NewDecoder(), func(hub.Delta) bool { return true })
		if hub.CodeOf(err) != tt.code {
			t.Errorf("%s: %v, want code %q", name, err, tt.code)
		}
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
