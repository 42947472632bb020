// Package providertest is the suite that every provider passes over its real
// wire format.
package providertest

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// result is an answer read to its end.
type result struct {
	text, reasoning string
	finish          hub.Reason
	usage           *hub.Usage
	err             error
}

func ask(ctx context.Context, p hub.Provider) (r result) {
	prompt := hub.Prompt{Model: "m", Turns: []hub.Turn{{Role: hub.RoleOfUser, Content: "Hello"}}}
	for d, err := range p.Stream(ctx, prompt) {
		if err != nil {
			r.err = err
			return r
		}
		r.text += d.Text
		r.reasoning += d.Reasoning
		if d.Finish != "" {
			r.finish = d.Finish
		}
		if d.Usage != nil {
			r.usage = d.Usage
		}
	}
	return r
}

const multi = "data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"joined\"}}]}\n\n"

// Open makes a provider that asks the server at the base URL, and takes silence
// of either limit as a failure: before the first byte, and after it.
type Open func(baseURL string, firstByte, idle time.Duration) hub.Provider

// patient is the limit where a case is not about silence.
const patient = 30 * time.Second

// Run holds a provider against the suite.
func Run(t *testing.T, hasty Open) {
	open := func(baseURL string) hub.Provider { return hasty(baseURL, patient, patient) }
	ten := fake.Numbered(10)
	whole := strings.Join(ten, "")
	half := strings.Join(ten[:5], "")
	tests := map[string]struct {
		script    fake.Script
		text      string
		reasoning string
		finish    hub.Reason
		code      hub.Code
		calls     int
		firstByte time.Duration // patient if 0
		idle      time.Duration
	}{
		"text":                        {script: fake.Script{Tokens: ten}, text: whole, finish: hub.ReasonStop},
		"reasoning":                   {script: fake.Script{Reasoning: []string{"let me ", "think"}, Tokens: ten}, text: whole, reasoning: "let me think", finish: hub.ReasonStop},
		"reasoning by its other name": {script: fake.Script{Reasoning: []string{"hm"}, ThinkKey: "reasoning", Tokens: ten}, text: whole, reasoning: "hm", finish: hub.ReasonStop},
		"cut by length":               {script: fake.Script{Tokens: ten, Finish: "length"}, text: whole, finish: hub.ReasonLength},
		"cut by a filter":             {script: fake.Script{Tokens: ten, Finish: "content_filter"}, text: whole, finish: hub.ReasonContentFilter},
		"tool calls":                  {script: fake.Script{Finish: "tool_calls"}, finish: hub.ReasonToolCalls},
		"split at every byte":         {script: fake.Script{Tokens: []string{"grün ", "日本", "🙂"}, Bytewise: true}, text: "grün 日本🙂", finish: hub.ReasonStop},
		"last line without its end":   {script: fake.Script{Tokens: ten, NoDone: true, NoNewline: true}, text: whole, finish: hub.ReasonStop},
		"no [DONE]":                   {script: fake.Script{Tokens: ten, NoDone: true}, text: whole, finish: hub.ReasonStop},
		"no finish_reason":            {script: fake.Script{Tokens: ten, NoFinish: true}, text: whole, finish: hub.ReasonStop},
		"truncated":                   {script: fake.Script{Tokens: ten, NoFinish: true, NoDone: true}, text: whole, code: hub.CodeProviderTruncated},
		"connection cut":              {script: fake.Script{Tokens: ten, BreakAfter: 5}, text: half, code: hub.CodeProviderTruncated},
		"310 comments first":          {script: fake.Script{Before: strings.Repeat(": keep-alive\n\n", 310), Tokens: ten}, text: whole, finish: hub.ReasonStop},
		"data over several lines":     {script: fake.Script{Before: multi, Tokens: ten}, text: "joined" + whole, finish: hub.ReasonStop},
		"malformed chunk":             {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: "data: {\"choices\":[{\n\n"}, text: half, code: hub.CodeProviderError},
		"error in band":               {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: "data: {\"error\":{\"message\":\"x\",\"code\":429}}\n\n"}, text: half, code: hub.CodeProviderRateLimit},
		"error after a comment":       {script: fake.Script{Before: ": hi\n\ndata: {\"error\": {\"message\":\"server overloaded\"}}\n\n"}, code: hub.CodeProviderOverloaded, calls: 3},
		"error that is not the key":   {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: "data: {\"id\":\"1\", \"error\":{\"message\":\"x\",\"type\":\"insufficient_quota\"}}\n\n"}, text: half, code: hub.CodeProviderQuota},
		"error event":                 {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"}, text: half, code: hub.CodeProviderOverloaded},
		"plain text in the stream":    {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: "Internal Server Error\n"}, text: half, code: hub.CodeProviderError},
		"error, then silence":         {script: fake.Script{Tokens: ten, BreakAfter: 5, Inject: "data: {\"error\":\"boom\"}\n\n", Open: true}, text: half, code: hub.CodeProviderError},
		"silence in mid-answer":       {script: fake.Script{Tokens: ten, StallAfter: 5, Every: time.Millisecond}, idle: time.Second, text: half, code: hub.CodeProviderTimeout},
		"silence from the start":      {script: fake.Script{Silent: true}, firstByte: 300 * time.Millisecond, code: hub.CodeProviderTimeout},
		"401":                         {script: fake.Script{Status: 401}, code: hub.CodeProviderAuth, calls: 1},
		"403":                         {script: fake.Script{Status: 403}, code: hub.CodeProviderPermission, calls: 1},
		"404":                         {script: fake.Script{Status: 404}, code: hub.CodeModelNotFound, calls: 1},
		"400":                         {script: fake.Script{Status: 400}, code: hub.CodeProviderInvalid, calls: 1},
		"context too long":            {script: fake.Script{Status: 400, Body: `{"error":{"message":"maximum context length is 8192 tokens","code":"context_length_exceeded"}}`}, code: hub.CodeContextLength, calls: 1},
		"quota used up":               {script: fake.Script{Status: 429, Body: `{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}`}, code: hub.CodeProviderQuota, calls: 1},
		"429 with too long a wait":    {script: fake.Script{Status: 429, RetryAfter: time.Hour}, code: hub.CodeProviderRateLimit, calls: 1},
		"500 for ever":                {script: fake.Script{Status: 500}, code: hub.CodeProviderError, calls: 3},
		"500 once":                    {script: fake.Script{Status: 500, FailFirst: 1, Tokens: ten}, text: whole, finish: hub.ReasonStop, calls: 2},
		"error in a list":             {script: fake.Script{Status: 400, Body: `[{"error":{"code":401,"message":"bad key","status":"UNAUTHENTICATED"}}]`}, code: hub.CodeProviderAuth, calls: 1},
		"error as text":               {script: fake.Script{Status: 404, Body: `{"error":"model not found"}`}, code: hub.CodeModelNotFound, calls: 1},
		"redirect":                    {script: fake.Script{Status: 302}, code: hub.CodeProviderError, calls: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := fake.New(map[string]fake.Script{"m": tt.script})
			defer srv.Close()
			got := ask(t.Context(), hasty(srv.BaseURL(), cmp.Or(tt.firstByte, patient), cmp.Or(tt.idle, patient)))
			if got.text != tt.text || got.reasoning != tt.reasoning || got.finish != tt.finish || hub.CodeOf(got.err) != tt.code {
				t.Errorf("got %q, thinking %q, finish %q, error %v; want %q, %q, %q, code %q",
					got.text, got.reasoning, got.finish, got.err, tt.text, tt.reasoning, tt.finish, tt.code)
			}
			if n := srv.Calls("m"); tt.calls > 0 && n != tt.calls {
				t.Errorf("%d calls, want %d", n, tt.calls)
			}
			if got.err != nil && strings.Contains(got.err.Error(), "secret-key") {
				t.Errorf("the key is in the error %v", got.err)
			}
		})
	}
	t.Run("usage", func(t *testing.T) { usage(t, open) })
	t.Run("the wait is told", func(t *testing.T) { wait(t, open) })
	t.Run("cancel reaches the server", func(t *testing.T) { cancel(t, open) })
	t.Run("leaving reaches the server", func(t *testing.T) { leave(t, open) })
	t.Run("unreachable", func(t *testing.T) {
		srv := fake.New(nil)
		srv.Close()
		if got := ask(t.Context(), open(srv.BaseURL())); hub.CodeOf(got.err) != hub.CodeProviderNetwork {
			t.Errorf("got %v", got.err)
		}
	})
}

func usage(t *testing.T, open func(string) hub.Provider) {
	srv := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(4), Reasoning: []string{"a", "b"}, Usage: true}})
	defer srv.Close()
	want := hub.Usage{InputTokens: 7, OutputTokens: 4, CachedTokens: 3, ReasoningTokens: 2}
	if got := ask(t.Context(), open(srv.BaseURL())); got.usage == nil || *got.usage != want {
		t.Errorf("usage %+v, want %+v", got.usage, want)
	}
}

func wait(t *testing.T, open func(string) hub.Provider) {
	srv := fake.New(map[string]fake.Script{"m": {Status: 429, RetryAfter: 40 * time.Second}})
	defer srv.Close()
	got := ask(t.Context(), open(srv.BaseURL()))
	var e *hub.Error
	if !errors.As(got.err, &e) || e.RetryAfter != 40*time.Second {
		t.Errorf("got %#v, want a wait of 40 s", got.err)
	}
}

func cancel(t *testing.T, open func(string) hub.Provider) {
	srv := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(10), StallAfter: 3, Every: time.Millisecond}})
	defer srv.Close()
	ctx, stop := context.WithCancel(t.Context())
	n := 0
	for d, err := range open(srv.BaseURL()).Stream(ctx, hub.Prompt{Model: "m"}) {
		if err != nil {
			t.Fatalf("a cancelled answer failed: %v", err)
		}
		if n++; n == 3 && d.Text != "" {
			stop()
		}
	}
	stop()
	left(t, srv)
}

func leave(t *testing.T, open func(string) hub.Provider) {
	srv := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(10), StallAfter: 3, Every: time.Millisecond}})
	defer srv.Close()
	for _, err := range open(srv.BaseURL()).Stream(t.Context(), hub.Prompt{Model: "m"}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	left(t, srv)
}

// left waits until the server has seen its client go.
func left(t *testing.T, srv *fake.Server) {
	t.Helper()
	began := time.Now()
	select {
	case <-srv.Left():
		t.Logf("the server saw its client go after %s", time.Since(began))
	case <-time.After(10 * time.Second):
		t.Error("the server still writes 10 s later")
	}
}
