package ollama

import (
	"io"
	"net/http"
	"net/http/httptest"
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
		return hub.Model{ID: id, Name: id, Vision: &sees, Reasoning: true}
	})
}

func TestModelThatIsNotShownIsListed(t *testing.T) {
	srv := fake.New(map[string]fake.Script{"unknown": {}})
	defer srv.Close()
	got, err := open(wire.Options{BaseURL: srv.URL}).Models(t.Context())
	if err != nil || len(got) != 1 || got[0] != (hub.Model{ID: "unknown", Name: "unknown", OwnContext: true}) {
		t.Errorf("Models = %+v, %v", got, err)
	}
}

func TestContextIsTheOneInForce(t *testing.T) {
	const trained = `"model_info":{"general.architecture":"llama","llama.context_length":262144}`
	for name, tt := range map[string]struct {
		show, ps string
		want     int64
	}{
		"loaded":                    {`{` + trained + `}`, `{"models":[{"name":"m:latest","model":"m:latest","size":1,"context_length":4096}]}`, 4096},
		"loaded otherwise than set": {`{"parameters":"num_ctx 8192",` + trained + `}`, `{"models":[{"name":"m:latest","context_length":"2048"}]}`, 2048},
		"set in its Modelfile":      {`{"parameters":"stop \"a\"\nnum_ctx                        8192",` + trained + `}`, `{"models":[]}`, 8192},
		"another one is loaded":     {`{` + trained + `}`, `{"models":[{"name":"m:4b","model":"m:4b","context_length":4096}]}`, 0},
		"not loaded":                {`{` + trained + `}`, `{"models":[]}`, 0},
		"an older server":           {`{` + trained + `}`, `{"models":[{"name":"m:latest"}]}`, 0},
		"one that does not say":     {`{` + trained + `}`, ``, 0},
		"a number that is none":     {`{"parameters":"num_ctx 99999999999999999999"}`, `{"models":null}`, 0},
		"hints of odd types":        {`{"parameters":7,"capabilities":"x","model_info":[]}`, `{"models":[{"name":7},"x",{"name":"m","context_length":4096.0}]}`, 4096},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body := map[string]string{"/api/show": tt.show, "/api/ps": tt.ps, "/api/tags": `{"models":[{"name":"m:latest"},{"size":3},{"name":null}]}`}[r.URL.Path]
				if body == "" {
					w.WriteHeader(http.StatusNotFound)
				}
				_, _ = io.WriteString(w, body)
			}))
			defer srv.Close()
			p := New(Options{BaseURL: srv.URL})
			list, err := p.Models(t.Context())
			if err != nil || len(list) != 1 || list[0].Context != tt.want {
				t.Errorf("listed %+v, %v; want a context of %d", list, err, tt.want)
			}
			if m, err := p.Describe(t.Context(), "m"); err != nil || m.Context != tt.want || !m.OwnContext {
				t.Errorf("described %+v, %v; want a context of %d", m, err, tt.want)
			}
		})
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
