// Package providertest is the suite that every provider passes over its real
// wire format.
package providertest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// Open makes the provider that is tested. A vendor's Options have these fields.
type Open func(opt wire.Options) hub.Provider

const (
	key     = "secret-key"
	patient = 30 * time.Second // where a case is not about time
)

// suite is one vendor's run.
type suite struct {
	d    fake.Dialect
	open Open
}

// Run holds a provider that speaks a dialect against the suite.
func Run(t *testing.T, d fake.Dialect, open Open) {
	s := suite{d, open}
	t.Run("answers", s.answers)
	t.Run("streams", s.streams)
	t.Run("strange servers", s.strange)
	t.Run("thinking in the text", s.tags)
	t.Run("thinking that no tag has opened", s.unopened)
	t.Run("models whose thinking no tag opens", s.remembered)
	t.Run("halves of characters", s.halves)
	t.Run("answers that come whole", s.comesWhole)
	t.Run("usage in odd places", s.oddUsage)
	t.Run("failures", s.failures)
	t.Run("finish reasons", s.finishes)
	t.Run("opaque parts are replayed", s.replay)
	t.Run("opaque parts of an edited answer do no harm", s.edited)
	t.Run("tool calls", s.tools)
	t.Run("images", s.images)
	t.Run("parameters", s.parameters)
	t.Run("system prompt", s.system)
	t.Run("usage", s.usage)
	t.Run("no usage", s.noUsage)
	t.Run("the wait is told", s.wait)
	t.Run("cancel reaches the server", s.cancel)
	t.Run("leaving reaches the server", s.leave)
	t.Run("cancelled before it began", s.early)
	t.Run("cancelled while it waits to ask again", s.waiting)
	t.Run("unreachable", s.unreachable)
	t.Run("unreachable models", s.unreachableModels)
	t.Run("bad base URL", s.badURL)
	t.Run("guarded", s.guarded)
	t.Run("the key is told to the server alone", s.secret)
	t.Run("connections are used again", s.reuse)
}

func (s suite) provider(srv *fake.Server, opt wire.Options) hub.Provider {
	opt.BaseURL = cmp.Or(opt.BaseURL, srv.URL+s.d.Path())
	opt.APIKey = cmp.Or(opt.APIKey, key)
	opt.FirstByte, opt.Idle = cmp.Or(opt.FirstByte, patient), cmp.Or(opt.Idle, patient)
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return s.open(opt)
}

// serve starts a server with one model, and a provider for it.
func (s suite) serve(t *testing.T, sc fake.Script) (*fake.Server, hub.Provider) {
	srv := fake.New(map[string]fake.Script{"m": sc})
	t.Cleanup(srv.Close)
	return srv, s.provider(srv, wire.Options{})
}

// result is an answer read to its end.
type result struct {
	text, reasoning string
	first, past     hub.Kind // what was told first, and what of all that came before
	tools           map[int]hub.ToolDelta
	opaque          []json.RawMessage
	finish          hub.Reason
	usage           *hub.Usage
	err             error
	late            bool // something came after the finish or the error
}

func hello() hub.Prompt {
	return hub.Prompt{Model: "m", Turns: []hub.Turn{{Role: hub.RoleOfUser, Content: "Hello"}}}
}

func ask(ctx context.Context, p hub.Provider, prompt hub.Prompt) result {
	r := result{tools: map[int]hub.ToolDelta{}}
	for d, err := range p.Stream(ctx, prompt) {
		r.late = r.late || r.finish != "" || r.err != nil
		if err != nil {
			r.err = err
			continue
		}
		switch {
		case r.first != "":
		case d.Text != "":
			r.first = hub.KindText
		case d.Reasoning != "":
			r.first = hub.KindReasoning
		}
		r.past = cmp.Or(d.Past, r.past)
		switch d.Past {
		case hub.KindReasoning:
			r.reasoning, r.text = r.reasoning+r.text, ""
		case hub.KindText:
			r.text, r.reasoning = r.reasoning+r.text, ""
		}
		r.text += d.Text
		r.reasoning += d.Reasoning
		r.finish = cmp.Or(d.Finish, r.finish)
		if d.Usage != nil {
			r.usage = d.Usage
		}
		if d.Opaque != nil {
			r.opaque = append(r.opaque, d.Opaque)
		}
		if d.Tool != nil {
			t := r.tools[d.Tool.Index]
			t.ID, t.Name = cmp.Or(d.Tool.ID, t.ID), cmp.Or(d.Tool.Name, t.Name)
			t.Arguments += d.Tool.Arguments
			r.tools[d.Tool.Index] = t
		}
	}
	return r
}

var (
	ten   = fake.Numbered(10)
	whole = strings.Join(ten, "")
	half  = strings.Join(ten[:5], "")
)

// row is a case of what comes of a script.
type row struct {
	script    fake.Script
	opt       wire.Options
	text      string
	reasoning string
	finish    hub.Reason
	code      hub.Code
	calls     int
}

// rows runs all cases at once, for most of them wait.
func (s suite) rows(t *testing.T, rows map[string]row) {
	type outcome struct {
		result
		calls int
	}
	outcomes := map[string]chan outcome{}
	for name, tt := range rows {
		out := make(chan outcome, 1)
		outcomes[name] = out
		go func() {
			srv := fake.New(map[string]fake.Script{"m": tt.script})
			defer srv.Close()
			got := ask(t.Context(), s.provider(srv, tt.opt), hello())
			out <- outcome{got, srv.Calls("m")}
		}()
	}
	for name, tt := range rows {
		t.Run(name, func(t *testing.T) {
			got := <-outcomes[name]
			if got.text != tt.text || got.reasoning != tt.reasoning || got.finish != tt.finish || hub.CodeOf(got.err) != tt.code || got.late {
				t.Errorf("got %q, thinking %q, finish %q, error %v, late %v; want %q, %q, %q, code %q",
					got.text, got.reasoning, got.finish, got.err, got.late, tt.text, tt.reasoning, tt.finish, tt.code)
			}
			if got.calls != max(tt.calls, 1) {
				t.Errorf("%d calls, want %d", got.calls, max(tt.calls, 1))
			}
			var e *hub.Error
			if got.err != nil && (!errors.As(got.err, &e) || e.Msg == "") {
				t.Errorf("nothing to tell a person: %#v", got.err)
			}
		})
	}
}

func (s suite) answers(t *testing.T) {
	strange := []string{"grün ", "日本", "🙂", "\"\\\n\t", "<b>&amp;", "\u2028", " "}
	s.rows(t, map[string]row{
		"text":                {script: fake.Script{Tokens: ten}, text: whole, finish: hub.ReasonStop},
		"nothing":             {finish: hub.ReasonStop},
		"reasoning":           {script: fake.Script{Reasoning: []string{"let me ", "think"}, Tokens: ten}, text: whole, reasoning: "let me think", finish: hub.ReasonStop},
		"reasoning alone":     {script: fake.Script{Reasoning: []string{"hm"}, Finish: "length"}, reasoning: "hm", finish: hub.ReasonLength},
		"strange characters":  {script: fake.Script{Tokens: strange}, text: strings.Join(strange, ""), finish: hub.ReasonStop},
		"split at every byte": {script: fake.Script{Reasoning: strange, Tokens: strange, Signature: "sig", Redacted: "red", Usage: true, Bytewise: true}, text: strings.Join(strange, ""), reasoning: strings.Join(strange, ""), finish: hub.ReasonStop},
		"a token of 100 kB":   {script: fake.Script{Tokens: []string{strings.Repeat("x", 100_000)}}, text: strings.Repeat("x", 100_000), finish: hub.ReasonStop},
	})
}

// multiline is an event with its data over several lines.
func multiline(event string) string { return strings.Replace(event, ",", ",\ndata: ", 1) }

func (s suite) streams(t *testing.T) {
	busy := s.d.Error(503, "")
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(busy), "", "  "); err != nil {
		t.Fatal(err)
	}
	rows := map[string]row{
		"last line without its end":   {script: fake.Script{Tokens: ten, NoDone: true, NoNewline: true}, text: whole, finish: hub.ReasonStop},
		"no last event":               {script: fake.Script{Tokens: ten, NoDone: true}, text: whole, finish: hub.ReasonStop},
		"truncated":                   {script: fake.Script{Tokens: ten, NoFinish: true, NoDone: true}, text: whole, code: hub.CodeProviderTruncated},
		"connection cut":              {script: fake.Script{Tokens: ten, BreakAfter: 5}, text: half, code: hub.CodeProviderTruncated},
		"310 comments first":          {script: fake.Script{Before: strings.Repeat(": keep-alive\n\n", 310), Tokens: ten}, text: whole, finish: hub.ReasonStop},
		"data over several lines":     {script: fake.Script{Before: multiline(s.d.Chunk("joined ")), Tokens: ten}, text: "joined " + whole, finish: hub.ReasonStop},
		"lines that end in CR":        {script: fake.Script{Before: strings.ReplaceAll(s.d.Chunk("old "), "\n", "\r"), Tokens: ten}, text: "old " + whole, finish: hub.ReasonStop},
		"lines that end in CRLF":      {script: fake.Script{Before: strings.ReplaceAll(s.d.Chunk("old "), "\n", "\r\n"), Tokens: ten}, text: "old " + whole, finish: hub.ReasonStop},
		"unknown events":              {script: fake.Script{Before: "event: news\nid: 7\nretry: 10\ndata: {\"type\":\"news\"}\n\n", Tokens: ten}, text: whole, finish: hub.ReasonStop},
		"malformed chunk":             {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: "data: {\"a\":[{\n\n"}, text: half, code: hub.CodeProviderError},
		"chunk of another type":       {script: fake.Script{Before: "data: 17\n\ndata: \"x\"\n\ndata: null\n\ndata: true\n\ndata: {}\n\ndata: []\n\n", Tokens: ten}, text: whole, finish: hub.ReasonStop},
		"error in band":               {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: s.d.Frame(busy)}, text: half, code: hub.CodeProviderOverloaded},
		"error in band with spaces":   {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: s.d.Frame(strings.Replace(busy, "{", "{ ", 1))}, text: half, code: hub.CodeProviderOverloaded},
		"error first":                 {script: fake.Script{Before: s.d.Frame(busy)}, code: hub.CodeProviderOverloaded, calls: 3},
		"error after a comment":       {script: fake.Script{Before: ": hi\n\n" + s.d.Frame(busy)}, code: hub.CodeProviderOverloaded, calls: 3},
		"error that is not the key":   {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: s.d.Frame(strings.Replace(busy, "{", "{\"id\":\"1\", ", 1))}, text: half, code: hub.CodeProviderOverloaded},
		"error event":                 {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"}, text: half, code: hub.CodeProviderOverloaded},
		"error event without a shape": {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: "event: error\ndata: {}\n\n"}, text: half, code: hub.CodeProviderError},
		"error as text in band":       {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: "data: {\"error\":\"boom\"}\n\n"}, text: half, code: hub.CodeProviderError},
		"error as bare JSON":          {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: indented.String() + "\n"}, text: half, code: hub.CodeProviderOverloaded},
		"plain text in the stream":    {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: "Internal Server Error\n"}, text: half, code: hub.CodeProviderError},
		"a page in the stream":        {script: fake.Script{Before: "<!DOCTYPE html>\n<html></html>\n"}, code: hub.CodeProviderError},
		"error, then silence":         {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: s.d.Frame(busy), Open: true}, text: half, code: hub.CodeProviderOverloaded},
		"silence in mid-answer":       {script: fake.Script{Tokens: ten, StallAfter: 5}, opt: wire.Options{Idle: 2 * time.Second}, text: half, code: hub.CodeProviderTimeout},
		"half an event, then silence": {script: fake.Script{Tokens: ten, StallAfter: 5, Inject: "data: {\"error\":\"boom\"}\n"}, opt: wire.Options{Idle: 2 * time.Second}, text: half, code: hub.CodeProviderTimeout},
		"silence from the start":      {script: fake.Script{Silent: true}, opt: wire.Options{FirstByte: 2 * time.Second}, code: hub.CodeProviderTimeout},
		"headers, then silence":       {script: fake.Script{StallAfter: 1, Tokens: ten, Gate: make(chan struct{})}, opt: wire.Options{FirstByte: 2 * time.Second, Idle: 2 * time.Second}, code: hub.CodeProviderTimeout},
		"slow, but never silent":      {script: fake.Script{Tokens: ten, Every: 300 * time.Millisecond}, opt: wire.Options{Idle: 5 * time.Second}, text: whole, finish: hub.ReasonStop},
	}
	if last := fake.Render(s.d, fake.Script{NoFinish: true}); bytes.HasSuffix(last, []byte("[DONE]\n\n")) || bytes.Contains(last, []byte("message_stop")) {
		rows["no reason, but the last event"] = row{script: fake.Script{Tokens: ten, NoFinish: true}, text: whole, finish: hub.ReasonStop}
	} // Gemini has no last event: without a reason its answer is cut
	s.rows(t, rows)
}

func (s suite) failures(t *testing.T) {
	rows := map[string]row{
		"429 with too long a wait": {script: fake.Script{Status: 429, RetryAfter: time.Hour}, code: hub.CodeProviderRateLimit},
		"429 once":                 {script: fake.Script{Status: 429, FailFirst: 1, RetryAfter: time.Second, Tokens: ten}, text: whole, finish: hub.ReasonStop, calls: 2},
		"500 once":                 {script: fake.Script{Status: 500, FailFirst: 1, Tokens: ten}, text: whole, finish: hub.ReasonStop, calls: 2},
		"503 twice":                {script: fake.Script{Status: 503, FailFirst: 2, Tokens: ten}, text: whole, finish: hub.ReasonStop, calls: 3},
		"error in a list":          {script: fake.Script{Status: 400, Body: `[{"error":{"code":401,"message":"bad key","status":"UNAUTHENTICATED"}}]`}, code: hub.CodeProviderAuth},
		"error as text":            {script: fake.Script{Status: 404, Body: `{"error":"model not found"}`}, code: hub.CodeModelNotFound},
		"error without a wrapping": {script: fake.Script{Status: 400, Body: `{"object":"error","message":"maximum context length is 10","type":"BadRequestError","code":400}`}, code: hub.CodeContextLength},
		"error as a page":          {script: fake.Script{Status: 502, Body: "<html>Bad Gateway</html>"}, code: hub.CodeProviderError, calls: 3},
		"redirect":                 {script: fake.Script{Status: 302, Header: map[string][]string{"Location": {"/elsewhere"}}}, code: hub.CodeProviderError},
	}
	for status, want := range map[int]row{
		400: {code: hub.CodeProviderInvalid},
		401: {code: hub.CodeProviderAuth},
		402: {code: hub.CodeProviderQuota},
		403: {code: hub.CodeProviderPermission},
		404: {code: hub.CodeModelNotFound},
		408: {code: hub.CodeProviderTimeout, calls: 3},
		413: {code: hub.CodeContextLength},
		429: {code: hub.CodeProviderRateLimit, calls: 3},
		500: {code: hub.CodeProviderError, calls: 3},
		503: {code: hub.CodeProviderOverloaded, calls: 3},
		504: {code: hub.CodeProviderTimeout, calls: 3},
		529: {code: hub.CodeProviderOverloaded, calls: 3},
	} {
		want.script.Status = status
		rows[fmt.Sprint(status)] = want
	}
	for name, r := range map[string]struct {
		kind   fake.Kind
		status int
		code   hub.Code
	}{
		"quota used up":    {fake.QuotaUsedUp, 429, hub.CodeProviderQuota},
		"context too long": {fake.ContextTooLong, 400, hub.CodeContextLength},
		"content filter":   {fake.Filtered, 400, hub.CodeContentFilter},
	} {
		// A dialect without words for a failure has no such failure.
		if body := s.d.Error(r.status, r.kind); body != "" {
			rows[name] = row{script: fake.Script{Status: r.status, Body: body}, code: r.code}
			rows[name+" in band"] = row{script: fake.Script{Before: s.d.Frame(body)}, code: r.code}
		}
	}
	s.rows(t, rows)
}

func (s suite) finishes(t *testing.T) {
	rows := map[string]row{}
	for word, meaning := range s.d.Finishes() {
		for _, word := range []string{word, strings.ToUpper(word), strings.ToLower(word), "FinishReason." + word} {
			rows[word] = row{script: fake.Script{Tokens: ten, Finish: word}, text: whole, finish: hub.Reason(meaning)}
		}
	}
	for _, word := range []string{"EOS", "stop_sequence_limit", "OTHER", "a new one"} { // nobody wrote them down
		rows[word] = row{script: fake.Script{Tokens: ten, Finish: word}, text: whole, finish: hub.ReasonStop}
	}
	s.rows(t, rows)
}

// signed is an answer with parts to be replayed.
var signed = fake.Script{Reasoning: []string{"let me ", "think"}, Signature: "sig+/=", Redacted: "red+/=", Tokens: ten}

// again asks once more after an answer, and returns the answer's turn as the
// server got it.
func (s suite) again(t *testing.T, change func(*hub.Turn)) fake.Turn {
	srv, p := s.serve(t, signed)
	first := ask(t.Context(), p, hello())
	if first.err != nil || len(first.opaque) == 0 {
		t.Fatalf("nothing to replay: %+v", first)
	}
	turn := hub.Turn{Role: hub.RoleOfAssistant, Content: first.text, Reasoning: first.reasoning, Opaque: first.opaque}
	change(&turn)
	prompt := hello()
	prompt.Turns = append(prompt.Turns, turn, hub.Turn{Role: hub.RoleOfUser, Content: "And?"})
	if second := ask(t.Context(), p, prompt); second.err != nil {
		t.Fatal(second.err)
	}
	got := srv.Requests()[1]
	if len(got.Turns) != 3 || got.Turns[1].Role != "assistant" {
		t.Fatalf("the server got %+v", got.Turns)
	}
	return got.Turns[1]
}

func (s suite) replay(t *testing.T) {
	got := s.again(t, func(*hub.Turn) {})
	if want := s.d.Signed(signed); got.Text != whole || !maps.Equal(got.Signed, want) {
		t.Errorf("replayed %q with %q, want %q with %q", got.Text, got.Signed, whole, want)
	}
}

// edited is what the hub may do to an answer: cut it, or leave the parts out.
func (s suite) edited(t *testing.T) {
	if got := s.again(t, func(turn *hub.Turn) { turn.Opaque = nil }); got.Text != whole || len(got.Signed) != 0 {
		t.Errorf("without them: %+v", got)
	}
	if got := s.again(t, func(turn *hub.Turn) { turn.Content = "t0" }); got.Text != "t0" {
		t.Errorf("after a cut: %+v", got)
	}
	if got := s.again(t, func(turn *hub.Turn) {
		turn.Opaque = []json.RawMessage{json.RawMessage(`{}`), json.RawMessage(`{"at":-1,"part":{"text":"x"}}`)}
	}); got.Text != whole {
		t.Errorf("with those of another vendor: %+v", got)
	}
}

func (s suite) tools(t *testing.T) {
	_, p := s.serve(t, fake.Script{
		Tokens: ten, Finish: "tool_calls",
		Tools: []fake.Tool{
			{ID: "call_1", Name: "weather", Arguments: []string{`{"city":`, `"Köln"}`}},
			{ID: "call_2", Name: "time", Arguments: []string{`{}`}},
		},
	})
	got := ask(t.Context(), p, hello())
	want := map[int]hub.ToolDelta{
		0: {ID: "call_1", Name: "weather", Arguments: `{"city":"Köln"}`},
		1: {ID: "call_2", Name: "time", Arguments: `{}`},
	}
	if got.err != nil || got.text != whole || got.finish != hub.ReasonToolCalls || !maps.Equal(got.tools, want) {
		t.Errorf("got %+v, want calls %+v", got, want)
	}
}

func (s suite) images(t *testing.T) {
	srv, p := s.serve(t, fake.Script{Tokens: ten})
	prompt := hello()
	prompt.Turns[0].Images = []hub.Image{{MediaType: "image/png", Data: []byte("\x89PNG\x00\xff")}, {MediaType: "image/jpeg", Data: []byte{1, 2, 3, 4}}}
	prompt.Turns = append(prompt.Turns, hub.Turn{Role: hub.RoleOfAssistant, Content: "Two."}, hub.Turn{Role: hub.RoleOfUser, Images: []hub.Image{{MediaType: "image/webp", Data: []byte("w")}}})
	if got := ask(t.Context(), p, prompt); got.err != nil {
		t.Fatal(got.err)
	}
	turns := srv.Requests()[0].Turns
	if len(turns) != 3 {
		t.Fatalf("the server got %+v", turns)
	}
	for i, turn := range prompt.Turns {
		if turns[i].Text != turn.Content || len(turns[i].Images) != len(turn.Images) {
			t.Fatalf("turn %d: %+v, want %+v", i, turns[i], turn)
		}
		for k, img := range turn.Images {
			if got := turns[i].Images[k]; got.MediaType != img.MediaType || !bytes.Equal(got.Data, img.Data) {
				t.Errorf("image %d of turn %d: %+v, want %+v", k, i, got, img)
			}
		}
	}
}

func (s suite) parameters(t *testing.T) {
	srv, p := s.serve(t, fake.Script{Tokens: ten})
	zero, most, limit := 0.0, 0.9, 50
	for _, change := range []func(*hub.Prompt){
		func(p *hub.Prompt) { p.Temperature, p.MaxTokens = &zero, &limit },
		func(p *hub.Prompt) { p.TopP = &most },
		func(p *hub.Prompt) { p.ReasoningEffort = "high" },
		func(p *hub.Prompt) { p.ReasoningEffort = hub.EffortOff },
	} {
		prompt := hello()
		change(&prompt)
		if got := ask(t.Context(), p, prompt); got.err != nil {
			t.Fatal(got.err)
		}
	}
	got := srv.Requests()
	if r := got[0]; r.Temperature == nil || *r.Temperature != 0 || r.TopP != nil || r.MaxTokens != 50 || r.Effort != "" {
		t.Errorf("temperature 0 and 50 tokens: %s", r.Body)
	}
	if r := got[1]; r.TopP == nil || *r.TopP != 0.9 || r.Temperature != nil {
		t.Errorf("top_p 0.9: %s", r.Body)
	}
	if r := got[2]; r.Effort == "" || r.Temperature != nil || r.TopP != nil {
		t.Errorf("high effort: %s", r.Body)
	}
	if r := got[3]; strings.Contains(r.Body, `"off"`) {
		t.Errorf("no effort, in words that no vendor knows: %s", r.Body)
	}
}

func (s suite) system(t *testing.T) {
	srv, p := s.serve(t, fake.Script{Tokens: ten})
	prompt := hello()
	prompt.Turns = append([]hub.Turn{{Role: hub.RoleOfSystem, Content: "Be brief."}}, prompt.Turns...)
	if got := ask(t.Context(), p, prompt); got.err != nil {
		t.Fatal(got.err)
	}
	got := srv.Requests()[0]
	if got.System != "Be brief." || len(got.Turns) != 1 || got.Turns[0].Role != "user" || got.Turns[0].Text != "Hello" {
		t.Errorf("the server got %s", got.Body)
	}
}

func (s suite) usage(t *testing.T) {
	_, p := s.serve(t, fake.Script{Tokens: fake.Numbered(4), Reasoning: []string{"a", "b"}, Usage: true})
	want := hub.Usage{InputTokens: 7, OutputTokens: 6, CachedTokens: 3, ReasoningTokens: 2}
	if got := ask(t.Context(), p, hello()); got.usage == nil || *got.usage != want {
		t.Errorf("usage %+v, want %+v", got.usage, want)
	}
}

func (s suite) noUsage(t *testing.T) {
	_, p := s.serve(t, fake.Script{Tokens: ten})
	if got := ask(t.Context(), p, hello()); got.err != nil || got.usage != nil {
		t.Errorf("usage %+v, %v; want none", got.usage, got.err)
	}
}

func (s suite) wait(t *testing.T) {
	for name, header := range map[string]string{"Retry-After": "40", "Retry-After-Ms": "40000", "X-Ratelimit-Reset": "40s"} {
		_, p := s.serve(t, fake.Script{Status: 429, Header: map[string][]string{name: {header}}})
		var e *hub.Error
		if got := ask(t.Context(), p, hello()); !errors.As(got.err, &e) || e.RetryAfter != 40*time.Second {
			t.Errorf("%s: got %#v, want a wait of 40 s", name, got.err)
		}
	}
}

// within holds that a cancelled call returns within a second.
func within(t *testing.T, since time.Time) {
	t.Helper()
	if d := time.Since(since); d > time.Second {
		t.Errorf("returned after %s, want at most 1 s", d)
	}
}

func (s suite) cancel(t *testing.T) {
	srv, p := s.serve(t, fake.Script{Tokens: fake.Numbered(10), StallAfter: 3, Every: time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	n, stopped := 0, time.Now()
	for _, err := range p.Stream(ctx, hello()) {
		if err != nil {
			t.Fatalf("a cancelled answer failed: %v", err)
		}
		if n++; n == 3 {
			stopped = time.Now()
			stop()
		}
	}
	within(t, stopped)
	if n != 3 {
		t.Errorf("%d deltas, want 3", n)
	}
	left(t, srv)
}

func (s suite) leave(t *testing.T) {
	srv, p := s.serve(t, fake.Script{Tokens: fake.Numbered(10), StallAfter: 3, Every: time.Millisecond})
	stopped := time.Now()
	for _, err := range p.Stream(t.Context(), hello()) {
		if err != nil {
			t.Fatal(err)
		}
		stopped = time.Now()
		break
	}
	within(t, stopped)
	left(t, srv)
}

// left waits until the server has seen its client go.
func left(t *testing.T, srv *fake.Server) {
	t.Helper()
	select {
	case <-srv.Left():
	case <-time.After(patient):
		t.Error("the server still writes")
	}
}

func (s suite) early(t *testing.T) {
	_, p := s.serve(t, fake.Script{Tokens: ten})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if got := ask(ctx, p, hello()); got.err != nil || got.text != "" || got.finish != "" {
		t.Errorf("got %+v, want nothing", got)
	}
}

func (s suite) waiting(t *testing.T) {
	_, p := s.serve(t, fake.Script{Status: 429, RetryAfter: 20 * time.Second})
	ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer stop()
	start := time.Now()
	if got := ask(ctx, p, hello()); got.err != nil {
		t.Errorf("got %v, want nothing", got.err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("returned after %s", d)
	}
}

func (s suite) unreachable(t *testing.T) {
	srv, p := s.serve(t, fake.Script{})
	srv.Close()
	if got := ask(t.Context(), p, hello()); hub.CodeOf(got.err) != hub.CodeProviderNetwork {
		t.Errorf("got %v", got.err)
	}
}

func (s suite) unreachableModels(t *testing.T) {
	srv, p := s.serve(t, fake.Script{})
	srv.Close()
	if list, err := p.Models(t.Context()); hub.CodeOf(err) != hub.CodeProviderNetwork {
		t.Errorf("got %v, %v", list, err)
	}
}

func (s suite) badURL(t *testing.T) {
	srv, _ := s.serve(t, fake.Script{})
	for _, url := range []string{"ftp://example.com", "http://user:" + key + "@example.com", "https://example.com?key=" + key, "://", "https://"} {
		p := s.provider(srv, wire.Options{BaseURL: url})
		got := ask(t.Context(), p, hello())
		_, err := p.Models(t.Context())
		for _, err := range []error{got.err, err} {
			if hub.CodeOf(err) != hub.CodeProviderInvalid || strings.Contains(err.Error(), key) {
				t.Errorf("%s: %v", url, err)
			}
		}
	}
}

// guarded holds that a user's base URL does not reach this machine.
func (s suite) guarded(t *testing.T) {
	srv, _ := s.serve(t, fake.Script{Tokens: ten})
	_, port, _ := strings.Cut(strings.TrimPrefix(srv.URL, "http://"), ":")
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		p := s.provider(srv, wire.Options{BaseURL: "http://" + host + ":" + port + s.d.Path(), Guarded: true})
		got := ask(t.Context(), p, hello())
		_, err := p.Models(t.Context())
		for _, err := range []error{got.err, err} {
			var e *hub.Error
			if !errors.As(err, &e) || e.Code != hub.CodeProviderInvalid || !strings.Contains(e.Msg, "not allowed") {
				t.Errorf("%s: %v", host, err)
			}
		}
	}
	if n := srv.Calls("m"); n != 0 {
		t.Errorf("the server was reached %d times", n)
	}
}

// secret holds that the key goes to the server in a header and is found neither
// in errors nor in the log, even if the server repeats it.
func (s suite) secret(t *testing.T) {
	echo := strings.Replace(s.d.Error(500, ""), "scripted failure", "failure of "+key, 1)
	denied := strings.Replace(s.d.Error(400, ""), "scripted failure", "invalid: "+key, 1)
	for name, sc := range map[string]fake.Script{
		"in an error":             {Status: 500, Body: echo, FailFirst: 1, Tokens: ten, Inject: s.d.Frame(echo)},
		"in an invalid request":   {Status: 400, Body: denied},
		"in an error in band":     {Tokens: ten, Inject: s.d.Frame(echo)},
		"in text":                 {Tokens: ten, Inject: key + " is wrong\n"},
		"in an unknown error":     {Status: 401, Body: key},
		"in an error of no shape": {Tokens: ten, Inject: "event: error\ndata: {\"key\":\"" + key + "\"}\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := fake.New(map[string]fake.Script{"m": sc})
			defer srv.Close()
			var log lockedBuffer
			p := s.provider(srv, wire.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			got := ask(t.Context(), p, hello())
			var e *hub.Error
			if !errors.As(got.err, &e) || strings.Contains(got.err.Error()+e.Msg+fmt.Sprintf("%+v", e), key) {
				t.Errorf("the error is %#v", got.err)
			}
			if strings.Contains(log.String(), key) {
				t.Errorf("the log says %s", log.String())
			}
			if r := srv.Requests()[0]; r.Key != key || strings.Contains(r.URL, key) || strings.Contains(r.Body, key) {
				t.Errorf("the key came as %q to %s", r.Key, r.URL)
			}
		})
	}
}

// lockedBuffer is a log that many may write.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// reuse holds that a whole answer leaves its connection to the next one.
func (s suite) reuse(t *testing.T) {
	srv, p := s.serve(t, fake.Script{Tokens: ten})
	for range 5 {
		if got := ask(t.Context(), p, hello()); got.err != nil {
			t.Fatal(got.err)
		}
	}
	if n := srv.Connections(); n != 1 {
		t.Errorf("%d connections for 5 answers, want 1", n)
	}
}

// Models holds that a provider lists the models of the dialect's servers.
func Models(t *testing.T, d fake.Dialect, open Open, want func(id string) hub.Model) {
	s := suite{d, open}
	names := []string{"a", "b", "c", "d", "e"}
	scripts := map[string]fake.Script{}
	for _, name := range names {
		scripts[name] = fake.Script{}
	}
	srv := fake.New(scripts)
	defer srv.Close()
	got, err := s.provider(srv, wire.Options{}).Models(t.Context())
	if err != nil || len(got) != len(names) {
		t.Fatalf("Models = %+v, %v; want %q", got, err, names)
	}
	for i, name := range names {
		if have, want := mustJSON(t, got[i]), mustJSON(t, want(name)); have != want {
			t.Errorf("got %s, want %s", have, want)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
