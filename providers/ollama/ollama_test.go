package ollama

import (
	"encoding/json"
	"testing"

	"go.uber.org/goleak"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/chat"
	"github.com/omnichat/omnichat/providers/internal/wire"
	"github.com/omnichat/omnichat/providers/providertest"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

func TestMain(m *testing.M) {
	// Idle connections of clients that nobody uses any more end by themselves.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func open(opt wire.Options) hub.Provider { return New(Options(opt)) }

func TestConformance(t *testing.T) { providertest.Run(t, fake.Ollama, open) }

func FuzzDecoder(f *testing.F) { providertest.Fuzz(f, fake.Ollama, chat.NewDecoder) }

func BenchmarkDecoder(b *testing.B) { providertest.Benchmark(b, fake.Ollama, chat.NewDecoder) }

func TestModels(t *testing.T) {
	sees := true
	providertest.Models(t, fake.Ollama, open, func(id string) hub.Model {
		return hub.Model{ID: id, Name: id, Context: 131072, Vision: &sees, Reasoning: true}
	})
}

func TestModelThatIsNotShownIsListed(t *testing.T) {
	srv := fake.New(map[string]fake.Script{"unknown": {}})
	defer srv.Close()
	got, err := open(wire.Options{BaseURL: srv.URL}).Models(t.Context())
	if err != nil || len(got) != 1 || got[0] != (hub.Model{ID: "unknown", Name: "unknown"}) {
		t.Errorf("Models = %+v, %v", got, err)
	}
}

func TestContextIsWhatTheModelfileSays(t *testing.T) {
	info := map[string]json.RawMessage{"general.architecture": json.RawMessage(`"llama"`), "llama.context_length": json.RawMessage("131072")}
	for parameters, want := range map[string]int64{"": 131072, "stop \"a\"\nnum_ctx                        8192": 8192, "num_ctx 99999999999999999999": 131072} {
		if got := (show{Parameters: parameters, Info: info}).context(); got != want {
			t.Errorf("%q: %d, want %d", parameters, got, want)
		}
	}
}

func TestBase(t *testing.T) {
	for host, want := range map[string]string{
		"": "http://127.0.0.1:11434", "box": "http://box:11434", "box:80": "http://box:80", "10.0.0.1": "http://10.0.0.1:11434",
		"[::1]": "http://[::1]:11434", "[::1]:80": "http://[::1]:80", "https://box/": "https://box", "http://box:11434/v1": "http://box:11434",
	} {
		if got := base(host); got != want {
			t.Errorf("base(%q) = %q, want %q", host, got, want)
		}
	}
}

func TestNoKeyIsSentWithoutOne(t *testing.T) {
	srv := fake.New(map[string]fake.Script{"m": {}})
	defer srv.Close()
	for _, err := range open(wire.Options{BaseURL: srv.URL}).Stream(t.Context(), hub.Prompt{Model: "m"}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if h := srv.Requests()[0].Header; h.Get("Authorization") != "" {
		t.Errorf("headers %v", h)
	}
}
