package anthropic

import (
	"bytes"
	"encoding/json"
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

func TestConformance(t *testing.T) { providertest.Run(t, fake.Anthropic, open) }

func FuzzDecoder(f *testing.F) { providertest.Fuzz(f, fake.Anthropic, newDecoder) }

func BenchmarkDecoder(b *testing.B) { providertest.Benchmark(b, fake.Anthropic, newDecoder) }

func TestModels(t *testing.T) {
	sees := true
	providertest.Models(t, fake.Anthropic, open, func(id string) hub.Model {
		return hub.Model{ID: id, Name: "Claude " + id, Context: 200000, Vision: &sees, Reasoning: true}
	})
}

func TestThinkingByModel(t *testing.T) {
	warm, limit := 0.5, 1000
	for _, tt := range []struct {
		model, effort, want string
	}{
		{"claude-3-5-haiku-latest", "high", `{"max_tokens":1000,"temperature":0.5}`},
		{"claude-3-haiku-20240307", "", `{"max_tokens":1000,"temperature":0.5}`},
		{"claude-3-7-sonnet-latest", "low", `{"max_tokens":3048,"thinking":{"budget_tokens":2048,"type":"enabled"}}`},
		{"claude-sonnet-4-20250514", "medium", `{"max_tokens":9192,"thinking":{"budget_tokens":8192,"type":"enabled"}}`},
		{"claude-opus-4-1-20250805", "high", `{"max_tokens":17000,"thinking":{"budget_tokens":16000,"type":"enabled"}}`},
		{"claude-haiku-4-5", "", `{"max_tokens":1000,"temperature":0.5}`},
		{"claude-opus-4-6", "", `{"max_tokens":1000,"temperature":0.5}`},
		{"claude-opus-4-6", "low", `{"max_tokens":3048,"output_config":{"effort":"low"},"thinking":{"display":"summarized","type":"adaptive"}}`},
		{"claude-opus-4-7", "", `{"max_tokens":1000}`},
		{"claude-sonnet-5-5", "high", `{"max_tokens":25576,"output_config":{"effort":"high"},"thinking":{"display":"summarized","type":"adaptive"}}`},
		{"glm-5", "low", `{"max_tokens":3048,"thinking":{"budget_tokens":2048,"type":"enabled"}}`},
	} {
		raw, err := json.Marshal(newRequest(hub.Prompt{Model: tt.model, ReasoningEffort: tt.effort, Temperature: &warm, MaxTokens: &limit}))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{"model", "stream", "messages"} {
			delete(got, other)
		}
		if have, err := json.Marshal(got); err != nil || string(have) != tt.want {
			t.Errorf("%s, effort %q: %s, want %s", tt.model, tt.effort, have, tt.want)
		}
	}
}

func TestRequestIsCached(t *testing.T) {
	raw, err := json.Marshal(newRequest(hub.Prompt{Model: "claude-haiku-4-5", Turns: []hub.Turn{
		{Role: hub.RoleOfSystem, Content: "Be brief."}, {Role: hub.RoleOfUser, Content: "1"}, {Role: hub.RoleOfAssistant}, {Role: hub.RoleOfUser, Content: "2"},
	}}))
	want := `{"model":"claude-haiku-4-5","max_tokens":16384,"stream":true,` +
		`"system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],` +
		`"messages":[{"role":"user","content":[{"type":"text","text":"1"}]},{"role":"user","content":[{"type":"text","text":"2","cache_control":{"type":"ephemeral"}}]}]}`
	if err != nil || string(raw) != want {
		t.Errorf("got %s, %v; want %s", raw, err, want)
	}
}

// A block that was cut before its signature would be refused.
func TestUnsignedThinkingIsNotKept(t *testing.T) {
	in := fake.Render(fake.Anthropic, fake.Script{Reasoning: []string{"hm"}, Tokens: []string{"yes"}})
	err := wire.Decode(bytes.NewReader(in), newDecoder(), func(d hub.Delta) bool {
		if d.Opaque != nil {
			t.Errorf("kept %s", d.Opaque)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
}

func TestThinkingIsTurnedOff(t *testing.T) {
	warm := 0.5
	for model, want := range map[string]string{
		"claude-3-5-sonnet-latest": `null 0.5`, "claude-sonnet-4-5": `null 0.5`, "claude-sonnet-4-6": `{"type":"disabled"} 0.5`,
		"claude-opus-5": `{"type":"disabled"} null`, "glm-5": `null 0.5`,
	} {
		r := newRequest(hub.Prompt{Model: model, ReasoningEffort: hub.EffortOff, Temperature: &warm})
		thinking, _ := json.Marshal(r.Thinking)
		temperature, _ := json.Marshal(r.Temperature)
		if got := string(thinking) + " " + string(temperature); got != want {
			t.Errorf("%s: %s, want %s", model, got, want)
		}
	}
}
