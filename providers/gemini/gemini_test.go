package gemini

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
	"github.com/omnichat/omnichat/providers/providertest"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

func TestMain(m *testing.M) {
	// Idle connections of clients that nobody uses any more end by themselves.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func open(opt wire.Options) hub.Provider { return New(Options(opt)) }

func TestConformance(t *testing.T) { providertest.Run(t, fake.Gemini, open) }

func FuzzDecoder(f *testing.F) { providertest.Fuzz(f, fake.Gemini, newDecoder) }

func BenchmarkDecoder(b *testing.B) { providertest.Benchmark(b, fake.Gemini, newDecoder) }

func TestModels(t *testing.T) {
	providertest.Models(t, fake.Gemini, open, func(id string) hub.Model {
		return hub.Model{ID: id, Name: "Gemini " + id, Context: 1048576, Reasoning: true}
	})
}

// TestEndlessListOfModels has a server that always has one page more.
func TestEndlessListOfModels(t *testing.T) {
	var pages atomic.Int64
	page := strings.Repeat(`{"name":"models/m","supportedGenerationMethods":["generateContent"]},`, wire.ListMax)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"nextPageToken":"%d","models":[%s{}]}`, pages.Add(1), page)
	}))
	defer srv.Close()
	if list, err := open(wire.Options{BaseURL: srv.URL}).Models(t.Context()); err != nil || len(list) != wire.ListMax || pages.Load() != 1 {
		t.Errorf("%d models of %d pages, %v", len(list), pages.Load(), err)
	}
}

func decode(in string) (text string, finish hub.Reason, err error) {
	err = wire.Decode(strings.NewReader(in), newDecoder(), func(d hub.Delta) bool {
		text += d.Text
		finish = d.Finish
		return true
	})
	return text, finish, err
}

func TestBlockedPromptIsTheFiltersWork(t *testing.T) {
	_, _, err := decode("data: {\"promptFeedback\":{\"blockReason\":\"PROHIBITED_CONTENT\"},\"usageMetadata\":{\"promptTokenCount\":7}}\n\n")
	if hub.CodeOf(err) != hub.CodeContentFilter {
		t.Errorf("got %v", err)
	}
}

// A reason that nobody knows ends an answer as any other does; one that says that
// the model failed counts where there is none.
func TestFinishReasonsThatAreFailures(t *testing.T) {
	for _, reason := range []string{"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "NEW_ONE", "FUNCTION_CALL", "function_call"} {
		text, finish, err := decode(string(fake.Render(fake.Gemini, fake.Script{Tokens: []string{"a"}, Finish: reason})))
		if text != "a" || finish != hub.ReasonStop || err != nil {
			t.Errorf("%s after a text: %q, %q, %v", reason, text, finish, err)
		}
	}
	for reason, want := range map[string]hub.Code{"MALFORMED_FUNCTION_CALL": hub.CodeProviderError, "UNEXPECTED_TOOL_CALL": hub.CodeProviderError, "OTHER": "", "FUNCTION_CALL": ""} {
		if _, _, err := decode(string(fake.Render(fake.Gemini, fake.Script{Finish: reason}))); hub.CodeOf(err) != want {
			t.Errorf("%s alone: %v, want %q", reason, err, want)
		}
	}
	if _, finish, err := decode(string(fake.Render(fake.Gemini, fake.Script{Finish: "FUNCTION_CALL", Tools: []fake.Tool{{Name: "f", Arguments: []string{"{}"}}}}))); finish != hub.ReasonToolCalls || err != nil {
		t.Errorf("with a call: %q, %v", finish, err)
	}
}

// An answer without a word is one: the reason is kept.
func TestAnswerWithoutParts(t *testing.T) {
	text, finish, err := decode("data: {\"candidates\":[{\"content\":{\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}]}\n\n")
	if text != "" || finish != hub.ReasonStop || err != nil {
		t.Errorf("got %q, %q, %v", text, finish, err)
	}
}

func TestThinkingByModel(t *testing.T) {
	limit := 1000
	for _, tt := range []struct {
		model, effort, want string
	}{
		{"gemini-2.0-flash", "", `{"maxOutputTokens":1000}`},
		{"gemma-3-27b-it", "", `{"maxOutputTokens":1000}`},
		{"gemini-2.5-pro", "", `{"maxOutputTokens":1000,"thinkingConfig":{"includeThoughts":true}}`},
		{"gemini-2.5-flash", "low", `{"maxOutputTokens":2024,"thinkingConfig":{"includeThoughts":true,"thinkingBudget":1024}}`},
		{"gemini-3.5-flash", "medium", `{"maxOutputTokens":9192,"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"medium"}}`},
		{"gemini-flash-latest", "", `{"maxOutputTokens":1000,"thinkingConfig":{"includeThoughts":true}}`},
	} {
		raw, err := json.Marshal(newRequest(hub.Prompt{Model: tt.model, ReasoningEffort: tt.effort, MaxTokens: &limit}).GenerationConfig)
		if err != nil || string(raw) != tt.want {
			t.Errorf("%s, effort %q: %s, %v; want %s", tt.model, tt.effort, raw, err, tt.want)
		}
	}
}

func TestTurnsOfOneRoleAreMerged(t *testing.T) {
	raw, err := json.Marshal(newRequest(hub.Prompt{Model: "m", Turns: []hub.Turn{
		{Role: hub.RoleOfUser, Content: "1"}, {Role: hub.RoleOfAssistant}, {Role: hub.RoleOfUser, Content: "2"}, {Role: hub.RoleOfAssistant, Content: "3"},
	}}).Contents)
	want := `[{"role":"user","parts":[{"text":"1"},{"text":"2"}]},{"role":"model","parts":[{"text":"3"}]}]`
	if err != nil || string(raw) != want {
		t.Errorf("got %s, %v; want %s", raw, err, want)
	}
}

// A call that is replayed without its result is refused.
func TestCallsAreKeptAndNotReplayed(t *testing.T) {
	part := `{"functionCall":{"name":"f","args":{}},"thoughtSignature":"s"}`
	var kept []json.RawMessage
	err := wire.Decode(strings.NewReader("data: {\"candidates\":[{\"content\":{\"parts\":["+part+"]},\"finishReason\":\"STOP\"}]}\n\n"), newDecoder(), func(d hub.Delta) bool {
		if d.Opaque != nil {
			kept = append(kept, d.Opaque)
		}
		return true
	})
	if err != nil || len(kept) != 1 || string(kept[0]) != `{"at":0,"part":`+part+`}` {
		t.Fatalf("kept %s, %v", kept, err)
	}
	if got := parts(hub.Turn{Role: hub.RoleOfAssistant, Opaque: kept}); len(got) != 0 {
		t.Errorf("replayed %s", got)
	}
}

func TestBase(t *testing.T) {
	for given, want := range map[string]string{
		"": "https://generativelanguage.googleapis.com/v1beta", "https://proxy": "https://proxy/v1beta", "https://proxy/": "https://proxy/v1beta",
		"https://proxy/v1": "https://proxy/v1", "https://proxy/v1beta/": "https://proxy/v1beta",
	} {
		if got := base(given); got != want {
			t.Errorf("base(%q) = %q, want %q", given, got, want)
		}
	}
}

func TestThinkingIsTurnedOffAsFarAsItCanBe(t *testing.T) {
	for model, want := range map[string]string{
		"gemini-2.5-flash": `{"includeThoughts":false,"thinkingBudget":0}`, "gemini-2.5-pro": `{"includeThoughts":false,"thinkingBudget":128}`,
		"gemini-3-flash": `{"includeThoughts":false,"thinkingLevel":"minimal"}`, "gemini-3-pro": `{"includeThoughts":false,"thinkingLevel":"low"}`,
		"gemini-2.0-flash": "null",
	} {
		got, err := json.Marshal(newRequest(hub.Prompt{Model: model, ReasoningEffort: hub.EffortOff}).GenerationConfig.ThinkingConfig)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", model, got, err, want)
		}
	}
}
