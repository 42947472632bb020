package providertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// body is a response as it is.
func body(mediaType, content string) fake.Script {
	return fake.Script{Status: http.StatusOK, Header: http.Header{"Content-Type": {mediaType}}, Body: content}
}

func events(content string) fake.Script { return body("text/event-stream", content) }

// signs are what servers send as data to show that they live.
var signs = []string{
	"data:\n\n", "data: \n\n", "data: : keepalive\n\n", "data: :\n\n", "event: ping\ndata: ping\n\n", "event: ping\ndata: {}\n\n",
	"event: heartbeat\ndata: 12:00\n\n", "event: ping\n\n", ":\n\n", "data: keep-alive\n\n", "data: \"\"\n\n", "\n\n",
}

// sideNumbers are numbers beside the text, and sideStrings strings that decide
// nothing.
var (
	sideNumbers = regexp.MustCompile(`("\w+"): ?(\d+)`)
	sideStrings = regexp.MustCompile(`"(id|object|model|role|modelVersion|responseId|stop_sequence|created)": ?("[^"]*"|null|\d+)`)
)

// strange are ways of servers that are not in any description.
func (s suite) strange(t *testing.T) {
	plain := string(fake.Render(s.d, fake.Script{Tokens: ten, Usage: true}))
	rows := map[string]row{
		"spaces behind the data":    {script: events(strings.ReplaceAll(plain, "\n\n", " \n\n"))},
		"tabs before the data":      {script: events(strings.ReplaceAll(plain, "data: ", "data:\t"))},
		"no empty lines in between": {script: events(strings.ReplaceAll(plain, "}\n\n", "}\n"))},
		"DONE in every dialect":     {script: events(strings.TrimSuffix(plain, "data: [DONE]\n\n") + "data: [DONE] \n\n")},
		"DONE without its field":    {script: events(strings.TrimSuffix(plain, "data: [DONE]\n\n") + "[DONE]\n")},
		"DONE in lower case":        {script: events(strings.TrimSuffix(plain, "data: [DONE]\n\n") + "data: [done]\n\n")},
		"JSON without fields":       {script: body("application/x-ndjson", regexp.MustCompile(`(?m)^(event: .*\n|data: )`).ReplaceAllString(plain, ""))},
		"a list of them":            {script: events("data: [" + strings.Join(regexp.MustCompile(`(?m)^\{.*$`).FindAllString(strings.ReplaceAll(plain, "data: ", ""), -1), ",") + "]\n\n")},
		"numbers with fractions":    {script: events(sideNumbers.ReplaceAllString(plain, "$1:$2.0"))},
		"numbers in quotes":         {script: events(sideNumbers.ReplaceAllString(plain, `$1:"$2"`))},
		"cut after the reason":      {script: fake.Script{Tokens: ten, Usage: true, NoDone: true, Torn: true}},
		"rubbish after the reason":  {script: events(strings.TrimSuffix(plain, s.last()) + "data: {\"a\":\n\n")},
		"text after the reason":     {script: events(strings.TrimSuffix(plain, s.last()) + "upstream closed\n\n")},
	}
	for i, sign := range signs {
		rows[fmt.Sprintf("sign of life %d", i)] = row{script: events(sign + strings.ReplaceAll(plain, "\n\n", "\n\n"+sign))}
	}
	for _, odd := range []string{`""`, `{}`, `[]`, `true`, `null`, `"x"`, `-1.5e300`, `[{"a":{}}]`} {
		rows["numbers that are "+odd] = row{script: events(sideNumbers.ReplaceAllString(plain, "$1:"+odd))}
		rows["strings that are "+odd] = row{script: events(sideStrings.ReplaceAllString(plain, `"$1":`+odd))}
	}
	for name, r := range rows {
		r.text, r.finish = whole, hub.ReasonStop
		rows[name] = r
	}
	long := s.d.Error(400, fake.ContextTooLong)
	start := s.d.Chunk("begun")
	var inner struct{ Error json.RawMessage }
	if err := json.Unmarshal([]byte(long), &inner); err != nil {
		t.Fatal(err)
	}
	for name, sc := range map[string]fake.Script{
		"an error field without the object around": events("error: " + string(inner.Error) + "\n\ndata: [DONE]\n\n"),
		"an error event without the object around": events("event: error\ndata: " + string(inner.Error) + "\n\n"),
		"an error field":               events("error: " + long + "\n\ndata: [DONE]\n\n"),
		"an error field in capitals":   events("Error:" + long + "\n\n"),
		"an error as the body":         body("application/json", long),
		"an error in a list":           body("application/json", "["+long+"]"),
		"an error event of text":       events("event: error\ndata: prompt is too long: 9 tokens > 8\n\n"),
		"an error field of text":       events("error: the maximum context length is 8\n\n"),
		"an error of another format":   events("data: {\"object\":\"error\",\"message\":\"maximum context length is 8 tokens\",\"code\":400}\n\ndata: [DONE]\n\n"),
		"an error without a name":      body("application/json", `{"code":400,"message":"maximum context length is 8 tokens"}`),
		"an error in detail":           events("data: {\"detail\":\"maximum context length is 8 tokens\"}\n\ndata: [DONE]\n\n"),
		"an error in a list of errors": body("application/json", `{"success":false,"errors":[{"message":"maximum context length is 8 tokens"}]}`),
		"an error of type error":       events("data: {\"type\":\"error\",\"message\":\"maximum context length is 8 tokens\"}\n\n"),
	} {
		rows[name] = row{script: sc, code: hub.CodeContextLength}
	}
	for name, sc := range map[string]fake.Script{
		"an error field after text":         events(start + "error: " + long + "\n\ndata: [DONE]\n\n"),
		"an error field at once after text": events(strings.TrimSuffix(start, "\n") + "error: " + long + "\n\n"),
		"an error as bare JSON after text":  events(strings.TrimSuffix(start, "\n") + long + "\n"),
	} {
		rows[name] = row{script: sc, text: "begun", code: hub.CodeContextLength}
	}
	s.rows(t, rows)
}

// last is the dialect's last event.
func (s suite) last() string {
	full := string(fake.Render(s.d, fake.Script{NoFinish: true}))
	for _, mark := range []string{"event: message_stop", "data: [DONE]"} {
		if at := strings.Index(full, mark); at >= 0 {
			return full[at:]
		}
	}
	return ""
}

// pieces cuts a text every n bytes.
func pieces(text string, n int) []string {
	var list []string
	for len(text) > n {
		list = append(list, text[:n])
		text = text[n:]
	}
	return append(list, text)
}

// tags holds that what models think in the text is thinking at its beginning, and
// text everywhere else, however it is cut.
func (s suite) tags(t *testing.T) {
	rows := map[string]row{}
	for name, tt := range map[string]struct{ said, text, reasoning string }{
		"think":            {said: "<think>let me think</think>\n\nHello", text: "Hello", reasoning: "let me think"},
		"thinking":         {said: "\n <thinking>\nlet me\n\nthink\n</thinking> Hello", text: "Hello", reasoning: "let me\n\nthink"},
		"thought":          {said: "<thought>a</thinking>b</thought>Hello", text: "Hello", reasoning: "a</thinking>b"},
		"reasoning":        {said: "<reasoning>hm < / </ </reasonin hm</reasoning>Hello", text: "Hello", reasoning: "hm < / </ </reasonin hm"},
		"seed":             {said: "<seed:think>hm</seed:think>Hello", text: "Hello", reasoning: "hm"},
		"capitals":         {said: "<Think>hm</THINK>Hello", text: "Hello", reasoning: "hm"},
		"empty":            {said: "<think>\n\n</think>\n\nHello", text: "Hello"},
		"twice":            {said: "<think>a</think>\n<think>b</think>\nHello", text: "Hello", reasoning: "a\n\nb"},
		"later":            {said: "Hello <think>a</think> you", text: "Hello <think>a</think> you"},
		"later, again":     {said: "<think>a</think>Hello <think>b</think>", text: "Hello <think>b</think>", reasoning: "a"},
		"in code":          {said: "`<think>` is a tag", text: "`<think>` is a tag"},
		"another tag":      {said: "\n\n<thinker>a</thinker>", text: "\n\n<thinker>a</thinker>"},
		"half a tag":       {said: " <thin", text: " <thin"},
		"not closed":       {said: "<think>let me </thi", reasoning: "let me </thi"},
		"blanks alone":     {said: " \n ", text: " \n "},
		"a bracket":        {said: "< 3 > 2", text: "< 3 > 2"},
		"nothing after it": {said: "<think>hm</think>\n", reasoning: "hm"},
	} {
		for _, n := range []int{1, 2, 3, 5, 1000} {
			rows[fmt.Sprintf("%s, %d", name, n)] = row{script: fake.Script{Tokens: pieces(tt.said, n)}, text: tt.text, reasoning: tt.reasoning, finish: hub.ReasonStop}
		}
		rows[name+", whole"] = row{script: body("application/json", s.d.Whole(fake.Script{Tokens: []string{tt.said}})), text: tt.text, reasoning: tt.reasoning, finish: hub.ReasonStop}
	}
	rows["cut off inside"] = row{script: fake.Script{Tokens: []string{"<think>", "hm", " </th"}, NoFinish: true, NoDone: true}, reasoning: "hm </th", code: hub.CodeProviderTruncated}
	s.rows(t, rows)
}

// unopened holds that a closing tag alone on its line makes thinking of what came
// before, however it is cut. The first rows are what servers have sent.
func (s suite) unopened(t *testing.T) {
	rows := map[string]row{}
	for name, tt := range map[string]struct{ said, text, reasoning string }{
		"DeepSeek R1":        {said: "Alright, the user just said \"hello.\"\n</think>\n\nHello! How can I assist you today?", text: "Hello! How can I assist you today?", reasoning: "Alright, the user just said \"hello.\"\n"},
		"Qwen3, not thought": {said: "\n\n</think>\n\nHello", text: "Hello"},
		"CRLF":               {said: "hm\r\n</think>\r\n\r\nHello", text: "Hello", reasoning: "hm\r\n"},
		"at the end":         {said: "hm\n</think>", reasoning: "hm\n"},
		"in code":            {said: "```\n</think>\n```\nHello", text: "```\n</think>\n```\nHello"},
		"after code":         {said: "```\n</think>\n```\n</think>\nHello", text: "Hello", reasoning: "```\n</think>\n```\n"},
		"in a line":          {said: "hm </think>\nHello", text: "hm </think>\nHello"},
		"before a text":      {said: "hm\n</think> Hello", text: "hm\n</think> Hello"},
		"twice":              {said: "a\n</think>\nb\n</think>\nc", text: "b\n</think>\nc", reasoning: "a\n"},
		"opened":             {said: "<think>a</think>b\n</think>\nc", text: "b\n</think>\nc", reasoning: "a"},
		"opened later":       {said: "a\n<think>\nb\n</think>\nc", text: "a\n<think>\nb\n</think>\nc"},
	} {
		for at := range len(tt.said) {
			rows[fmt.Sprintf("%s, %d", name, at)] = row{script: fake.Script{Tokens: []string{tt.said[:at], tt.said[at:]}}, text: tt.text, reasoning: tt.reasoning, finish: hub.ReasonStop}
		}
		rows[name+", every byte"] = row{script: fake.Script{Tokens: pieces(tt.said, 1)}, text: tt.text, reasoning: tt.reasoning, finish: hub.ReasonStop}
		rows[name+", whole"] = row{script: body("application/json", s.d.Whole(fake.Script{Tokens: []string{tt.said}})), text: tt.text, reasoning: tt.reasoning, finish: hub.ReasonStop}
	}
	rows["beside the vendor's own"] = row{script: fake.Script{Reasoning: []string{"hm"}, Tokens: []string{"a\n</think>\nb"}}, text: "a\n</think>\nb", reasoning: "hm", finish: hub.ReasonStop}
	rows["cut off"] = row{script: fake.Script{Tokens: []string{"a\n", "</thi"}, NoFinish: true, NoDone: true}, text: "a\n</thi", code: hub.CodeProviderTruncated}
	s.rows(t, rows)
}

// remembered holds that a model whose last answer had the closing tag alone begins
// the next one with thinking, until an answer shows that it does not.
func (s suite) remembered(t *testing.T) {
	srv, p := s.serve(t, fake.Script{})
	const tag = "hm\n</think>\n\nHello"
	for i, tt := range []struct {
		script          fake.Script
		text, reasoning string
		past, first     hub.Kind
	}{
		{script: fake.Script{Tokens: []string{tag}}, text: "Hello", reasoning: "hm\n", past: hub.KindReasoning, first: hub.KindText},
		{script: fake.Script{Tokens: []string{tag}}, text: "Hello", reasoning: "hm\n", first: hub.KindReasoning},
		{script: fake.Script{Tokens: pieces(tag, 1)}, text: "Hello", reasoning: "hm\n", first: hub.KindReasoning},
		{script: fake.Script{Tokens: []string{"cut", " off"}, NoFinish: true, NoDone: true}, reasoning: "cut off", first: hub.KindReasoning},
		{script: fake.Script{Tokens: ten}, text: whole, past: hub.KindText, first: hub.KindReasoning},
		{script: fake.Script{Tokens: ten}, text: whole, first: hub.KindText},
		{script: fake.Script{Tokens: []string{tag}}, text: "Hello", reasoning: "hm\n", past: hub.KindReasoning, first: hub.KindText},
		{script: fake.Script{Tokens: []string{"<think>hm</think>\n", "Hello"}}, text: "Hello", reasoning: "hm", first: hub.KindReasoning},
		{script: fake.Script{Tokens: []string{tag}}, text: "Hello", reasoning: "hm\n", past: hub.KindReasoning, first: hub.KindText},
		{script: fake.Script{Reasoning: []string{"own"}, Tokens: []string{tag}}, text: tag, reasoning: "own", first: hub.KindReasoning},
		{script: fake.Script{Tokens: ten}, text: whole, first: hub.KindText},
	} {
		srv.Set("m", tt.script)
		got := ask(t.Context(), p, hello())
		if got.text != tt.text || got.reasoning != tt.reasoning || got.past != tt.past || got.first != tt.first || got.late {
			t.Errorf("answer %d: %+v, want %+v", i, got, tt)
		}
	}
}

// halves are characters of which two events have one half each.
func (s suite) halves(t *testing.T) {
	rows := map[string]row{}
	for name, half := range map[string][2]string{
		"surrogates":          {`ok \ud83d`, `\ude42 yes`},
		"surrogates, capital": {`ok \uD83D`, `\uDE42 yes`},
		"bytes":               {"ok \xf0\x9f", "\x99\x82 yes"},
		"the last byte":       {`ok\u0020` + "\xf0\x9f\x99", "\x82 y\u0065s"},
		"bytes of surrogates": {"ok \xed\xa0\xbd", "\xed\xb9\x82 yes"},
	} {
		script := fake.Script{Reasoning: []string{"FIRST", "SECOND"}, Tokens: []string{"FIRST", "SECOND"}}
		swap := strings.NewReplacer("FIRST", half[0], "SECOND", half[1])
		rows[name] = row{script: events(swap.Replace(string(fake.Render(s.d, script)))), text: "ok 🙂 yes", reasoning: "ok 🙂 yes", finish: hub.ReasonStop}
		rows[name+" whole"] = row{script: body("application/json", swap.Replace(s.d.Whole(script))), text: "ok 🙂 yes", reasoning: "ok 🙂 yes", finish: hub.ReasonStop}
		script = fake.Script{Reasoning: []string{"FIRST"}, Tokens: []string{"FIRST"}}
		rows[name+", the first alone"] = row{script: events(swap.Replace(string(fake.Render(s.d, script)))), text: "ok \ufffd", reasoning: "ok \ufffd", finish: hub.ReasonStop}
	}
	script := fake.Script{Tokens: []string{"FIRST", "x", "SECOND"}}
	rows["halves apart"] = row{script: events(strings.NewReplacer("FIRST", `a\ud83d`, "SECOND", `\ude42b`).Replace(string(fake.Render(s.d, script)))), text: "a\ufffdx\ufffdb", finish: hub.ReasonStop}
	s.rows(t, rows)

	_, p := s.serve(t, events(strings.NewReplacer("FIRST", `\ud83d`, "SECOND", `\ude42`).Replace(string(fake.Render(s.d, fake.Script{
		Finish: "tool_calls", Tools: []fake.Tool{{ID: "1", Name: "f", Arguments: []string{`{"a":"FIRST`, `SECOND"}`}}},
	})))))
	got := ask(t.Context(), p, hello())
	var args struct{ A string }
	if err := json.Unmarshal([]byte(got.tools[0].Arguments), &args); err != nil || args.A != "🙂" {
		t.Errorf("arguments %q, %v", got.tools[0].Arguments, err)
	}
}

// comesWhole is a stream that was asked for, and one answer that came.
func (s suite) comesWhole(t *testing.T) {
	script := fake.Script{
		Reasoning: []string{"let me ", "think"}, Tokens: fake.Numbered(4), Usage: true, Finish: "tool_calls",
		Tools: []fake.Tool{{ID: "call_1", Name: "weather", Arguments: []string{`{"city":"Köln"}`}}},
	}
	answer := s.d.Whole(script)
	var compact json.RawMessage
	if err := json.Unmarshal([]byte(answer), &compact); err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(compact)
	if err != nil {
		t.Fatal(err)
	}
	for name, sc := range map[string]fake.Script{
		"as JSON":                body("application/json", answer),
		"as an event":            events("data: " + string(line) + "\n\n"),
		"as an event, then DONE": events("data: " + string(line) + "\n\ndata: [DONE]\n\n"),
		"as JSON, called events": events(answer),
		"after signs of life":    events(": hi\n\ndata:\n\ndata: " + string(line) + "\n\n"),
	} {
		_, p := s.serve(t, sc)
		got := ask(t.Context(), p, hello())
		want := map[int]hub.ToolDelta{0: {ID: "call_1", Name: "weather", Arguments: `{"city":"Köln"}`}}
		for i, call := range got.tools { // JSON, in any spacing
			call.Arguments = strings.NewReplacer(" ", "", "\n", "").Replace(call.Arguments)
			got.tools[i] = call
		}
		if got.err != nil || got.text != "t0 t1 t2 t3 " || got.reasoning != "let me think" || got.finish != hub.ReasonToolCalls || !maps.Equal(got.tools, want) {
			t.Errorf("%s: got %+v", name, got)
		}
		if want := (hub.Usage{InputTokens: 7, OutputTokens: 6, CachedTokens: 3, ReasoningTokens: 2}); got.usage == nil || *got.usage != want {
			t.Errorf("%s: usage %+v, want %+v", name, got.usage, want)
		}
	}
	if strings.HasPrefix(answer, "[") {
		return // a list of chunks: there is no whole that could be told from them
	}
	// Some send all there is so far beside the deltas.
	stream := fake.Render(s.d, fake.Script{Tokens: ten})
	end := strings.TrimSuffix(string(stream), s.last())
	s.rows(t, map[string]row{
		"after deltas": {script: events(end + "data: " + s.d.Whole(fake.Script{Tokens: ten}) + "\n\n" + s.last()), text: whole, finish: hub.ReasonStop},
		"cut":          {script: body("application/json", answer[:len(answer)/2]), code: hub.CodeProviderTruncated, calls: 3},
		"cut by length": {
			script: body("application/json", s.d.Whole(fake.Script{Tokens: ten, Finish: "length"})), text: whole, finish: hub.ReasonLength,
		},
	})
}

// oddUsage holds that the greater count of each counts.
func (s suite) oddUsage(t *testing.T) {
	script := fake.Script{Tokens: fake.Numbered(4), Reasoning: []string{"a", "b"}, Usage: true}
	full := string(fake.Render(s.d, script))
	first := string(fake.Render(s.d, fake.Script{NoFinish: true, NoDone: true}))
	first = strings.TrimSuffix(first, s.last())
	end := s.last()
	want := hub.Usage{InputTokens: 7, OutputTokens: 6, CachedTokens: 3, ReasoningTokens: 2}
	for name, sc := range map[string]fake.Script{
		"zeros at the end":       events(strings.TrimSuffix(full, end) + s.d.Zeros() + end),
		"zeros at the beginning": events(s.d.Zeros() + full),
		"the same twice":         events(strings.TrimSuffix(full, end) + strings.TrimPrefix(strings.TrimSuffix(full, end), first) + end),
		"numbers with fractions": events(sideNumbers.ReplaceAllString(full, "$1:$2.0")),
		"numbers to be rounded":  events(sideNumbers.ReplaceAllString(full, "$1:$2.4")),
		"numbers in quotes":      events(sideNumbers.ReplaceAllString(full, `$1:"$2"`)),
		"cut after it":           {Tokens: script.Tokens, Reasoning: script.Reasoning, Usage: true, NoDone: true, Torn: true},
	} {
		_, p := s.serve(t, sc)
		if got := ask(t.Context(), p, hello()); got.err != nil || got.usage == nil || *got.usage != want {
			t.Errorf("%s: usage %+v, %v; want %+v", name, got.usage, got.err, want)
		}
	}
}
