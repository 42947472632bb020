package openai

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

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

func open(opt wire.Options) hub.Provider {
	return New(Options{APIKey: opt.APIKey, BaseURL: opt.BaseURL, FirstByte: opt.FirstByte, Idle: opt.Idle, Guarded: opt.Guarded, Owner: opt.Owner, Logger: opt.Logger})
}

func TestConformance(t *testing.T) { providertest.Run(t, fake.OpenAI, open) }

func FuzzDecoder(f *testing.F) { providertest.Fuzz(f, fake.OpenAI, chat.NewDecoder) }

func BenchmarkDecoder(b *testing.B) { providertest.Benchmark(b, fake.OpenAI, chat.NewDecoder) }

func TestModels(t *testing.T) {
	providertest.Models(t, fake.OpenAI, open, func(id string) hub.Model { return hub.Model{ID: id, Name: id} })
}

// The lists are as the servers' pages have them, cut.
func TestModelsOfCompatibleServers(t *testing.T) {
	yes, no := true, false
	good := []hub.Model{{ID: "good", Name: "good"}}
	tests := map[string]struct {
		list string
		own  bool
		want []hub.Model
	}{
		"OpenAI": {
			list: `{"data":[{"id":"gpt-4o"},{"id":"o3-mini"},{"id":"gpt-5-mini"},{"id":"gpt-5-chat-latest"},{"id":"text-embedding-3-small"},{"id":"whisper-1"},{"id":"gpt-4o-realtime-preview"}]}`,
			own:  true,
			want: []hub.Model{{ID: "gpt-4o", Name: "gpt-4o"}, {ID: "gpt-5-chat-latest", Name: "gpt-5-chat-latest"}, {ID: "gpt-5-mini", Name: "gpt-5-mini", Reasoning: true}, {ID: "o3-mini", Name: "o3-mini", Reasoning: true}},
		},
		"OpenRouter": {
			list: `{"data":[{"id":"a/b","name":"A: B","context_length":131072,"architecture":{"input_modalities":["text","image"],"output_modalities":["text"]},"supported_parameters":["reasoning"]},{"id":"a/draws","architecture":{"output_modalities":["image"]}}]}`,
			want: []hub.Model{{ID: "a/b", Name: "A: B", Context: 131072, Vision: &yes, Reasoning: true}},
		},
		"vLLM": {list: `{"object":"list","data":[{"id":"m","max_model_len":4096}]}`, want: []hub.Model{{ID: "m", Name: "m", Context: 4096}}},
		"Groq": {list: `{"data":[{"id":"m","context_window":8192}]}`, want: []hub.Model{{ID: "m", Name: "m", Context: 8192}}},
		"Mistral, which lists some twice": {
			list: `{"data":[{"id":"m","max_context_length":32768,"capabilities":{"vision":false}},{"id":"m","max_context_length":32768,"capabilities":{"vision":false}}]}`,
			want: []hub.Model{{ID: "m", Name: "m", Context: 32768, Vision: &no}},
		},
		"Together":            {list: `[{"id":"m","type":"chat","context_length":100},{"id":"e","type":"embedding"}]`, want: []hub.Model{{ID: "m", Name: "m", Context: 100}}},
		"llama.cpp":           {list: `{"data":[{"id":"m","meta":{"n_ctx_train":2048},"capabilities":["completion"]}]}`, want: []hub.Model{{ID: "m", Name: "m", Context: 2048}}},
		"llama.cpp of a fork": {list: `{"models":[{"name":"m","model":"m"}],"object":"list","data":[{"id":"/models/m.gguf","owned_by":"llamacpp","meta":{"n_ctx_train":32768,"n_ctx":2048}}]}`, want: []hub.Model{{ID: "/models/m.gguf", Name: "/models/m.gguf", Context: 2048}}},
		"LM Studio":           {list: `{"data":[{"id":"m","type":"vlm","state":"loaded","max_context_length":131072,"loaded_context_length":4096},{"id":"e","type":"embeddings"}]}`, want: []hub.Model{{ID: "m", Name: "m", Context: 4096, Vision: &yes}}},
		"OpenRouter's prices": {list: `{"data":[{"id":"a/b","supported_parameters":["temperature"],"pricing":{"prompt":"0.0000025","completion":"0.00001","input_cache_read":"0.00000125"}}]}`, want: []hub.Model{{ID: "a/b", Name: "a/b", Thoughtless: true, Price: &hub.Price{Input: 2.5, CachedInput: 1.25, Output: 10}}}},
		"none":                {list: `{"data":null}`, want: []hub.Model{}},
		"nothing at all":      {list: `{"object":"list"}`, want: []hub.Model{}},

		"another key":          {list: `{"models":[{"id":"good"}]}`, want: good},
		"names alone":          {list: `["good"]`, want: good},
		"names in an object":   {list: `{"data":["good"]}`, want: good},
		"a hint in quotes":     {list: `{"data":[{"id":"good"},{"id":"odd","context_length":"131072"}]}`, want: []hub.Model{good[0], {ID: "odd", Name: "odd", Context: 131072}}},
		"hints of odd types":   {list: `{"data":[{"id":"good","context_length":{},"name":7,"type":[],"architecture":"x","supported_parameters":"y","capabilities":3,"meta":null,"pricing":[],"max_model_len":true}]}`, want: good},
		"ids of odd types":     {list: `{"data":[{"id":7},{"id":null},{"name":"x"},{"id":""},{"id":" "},7,null,[],{"id":"good"}]}`, want: good},
		"a number that is not": {list: `{"data":[{"id":"good","context_length":"lots","context_window":-1}]}`, want: good},
		"a rounded number":     {list: `{"data":[{"id":"good","context_length":131072.4}]}`, want: []hub.Model{{ID: "good", Name: "good", Context: 131072}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			list, err := wire.Entries([]byte(tt.list), listKeys...)
			if err != nil {
				t.Fatal(err)
			}
			if got := models(list, tt.own); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestOnlyOpenAIsOwnModelsAreSpecial(t *testing.T) {
	warm, limit := 0.5, 5
	for _, tt := range []struct {
		base, model, field string
		warm               bool
	}{
		{baseURL, "o3-mini", "max_completion_tokens", false},
		{baseURL, "gpt-5", "max_completion_tokens", false},
		{"https://eu.api.openai.com/v1", "gpt-5.1", "max_completion_tokens", false},
		{baseURL, "gpt-5-chat-latest", "max_tokens", true},
		{baseURL, "gpt-4o", "max_tokens", true},
		{"http://127.0.0.1:8000/v1", "gpt-5", "max_tokens", true},
		{"https://api.openai.com.example.org/v1", "o3-mini", "max_tokens", true},
	} {
		raw, err := json.Marshal(request(hub.Prompt{Model: tt.model, Temperature: &warm, MaxTokens: &limit}, own(tt.base)))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if _, has := got["temperature"]; got[tt.field] != 5.0 || has != tt.warm {
			t.Errorf("%s at %s: %s", tt.model, tt.base, raw)
		}
	}
}

func TestRequestSendsWhatTheLibraryDrops(t *testing.T) {
	zero := 0.0
	raw, err := json.Marshal(request(hub.Prompt{Model: "m", Temperature: &zero, Turns: []hub.Turn{{Role: hub.RoleOfUser}}}, false))
	if err != nil || !strings.Contains(string(raw), `"temperature":0`) || !strings.Contains(string(raw), `{"role":"user","content":""}`) {
		t.Errorf("request %s, %v", raw, err)
	}
}

func TestThinkingIsTurnedOffInTheServersWords(t *testing.T) {
	for _, tt := range []struct{ base, model, want string }{
		{baseURL, "gpt-5.1", `"reasoning_effort":"none"`},
		{baseURL, "gpt-5-mini", `"reasoning_effort":"minimal"`},
		{baseURL, "o3-mini", `"reasoning_effort":"low"`},
		{"http://127.0.0.1:8000/v1", "qwen3", `"chat_template_kwargs":{"enable_thinking":false,"thinking":false}`},
		{"http://127.0.0.1:8000/v1", "qwen3", `"reasoning_effort":"none"`},
	} {
		raw, err := json.Marshal(request(hub.Prompt{Model: tt.model, ReasoningEffort: hub.EffortOff}, own(tt.base)))
		if err != nil || !strings.Contains(string(raw), tt.want) || tt.base == baseURL && strings.Contains(string(raw), "kwargs") {
			t.Errorf("%s at %s: %s, %v", tt.model, tt.base, raw, err)
		}
	}
}

// TestContextOfServersAtHome reads what servers have loaded, not what the models
// were trained with. The bytes are theirs, cut.
func TestContextOfServersAtHome(t *testing.T) {
	const list = `{"object":"list","data":[{"id":"/models/m.gguf","object":"model","owned_by":"llamacpp","meta":{"n_ctx_train":32768}}]}`
	for name, tt := range map[string]struct {
		answers map[string]string
		want    int64
		sees    bool
	}{
		"llama.cpp":                         {map[string]string{"/v1/models": list, "/props": `{"default_generation_settings":{"n_ctx":2048,"params":{}},"total_slots":1,"modalities":{"vision":true,"audio":false}}`}, 2048, true},
		"llama.cpp that keeps it to itself": {map[string]string{"/v1/models": list}, 32768, false},
		"llama.cpp that answers oddly":      {map[string]string{"/v1/models": list, "/props": `{"default_generation_settings":"x"}`}, 32768, false},
		"LM Studio": {map[string]string{
			"/v1/models":     `{"data":[{"id":"/models/m.gguf","object":"model","owned_by":"organization_owner"}]}`,
			"/api/v0/models": `{"data":[{"id":"/models/m.gguf","type":"vlm","arch":"x","state":"loaded","max_context_length":131072,"loaded_context_length":4096}]}`,
		}, 4096, true},
		"vLLM": {map[string]string{"/v1/models": `{"data":[{"id":"/models/m.gguf","owned_by":"vllm","max_model_len":8192}]}`}, 8192, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, ok := tt.answers[r.URL.Path]
				if !ok {
					w.WriteHeader(http.StatusNotFound)
				}
				_, _ = io.WriteString(w, body)
			}))
			defer srv.Close()
			m, err := New(Options{BaseURL: srv.URL + "/v1"}).Describe(t.Context(), "/models/m.gguf")
			if err != nil || m.Context != tt.want || (m.Vision != nil && *m.Vision) != tt.sees {
				t.Errorf("described %+v, %v; want a context of %d", m, err, tt.want)
			}
		})
	}
}

func TestAnAddressWithoutItsEndIsSaid(t *testing.T) {
	for name, elsewhere := range map[string]http.HandlerFunc{
		"a 404": http.NotFound,
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<!doctype html><title>Chat</title>")
		},
		"another object": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"error":"Unexpected endpoint or method. (GET /models)"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("/", elsewhere)
			mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data":[{"id":"good"}]}`) })
			srv := httptest.NewServer(mux)
			defer srv.Close()
			_, err := New(Options{BaseURL: srv.URL + "/"}).Models(t.Context())
			var e *hub.Error
			if !errors.As(err, &e) || e.Code != hub.CodeProviderAddress || e.Try != srv.URL+"/v1" || e.Asked != srv.URL+"/models" {
				t.Errorf("%+v", err)
			}
		})
	}
}

// TestEndlessEmptyDeltasAreSilence has a server that is stuck send signs of life
// for ever.
func TestEndlessEmptyDeltasAreSilence(t *testing.T) {
	for _, delta := range []string{`{}`, `{"content":""}`, `{"role":"assistant","content":null,"reasoning_content":""}`, `{"tool_calls":[]}`} {
		t.Run(delta, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n")
				for r.Context().Err() == nil {
					_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":"+delta+"}]}\n\n")
					_ = http.NewResponseController(w).Flush()
					time.Sleep(time.Millisecond)
				}
			}))
			defer srv.Close()
			p := New(Options{BaseURL: srv.URL, FirstByte: 500 * time.Millisecond, Idle: 100 * time.Millisecond})
			var last error
			for _, err := range p.Stream(t.Context(), hub.Prompt{Model: "m", Turns: []hub.Turn{{Role: hub.RoleOfUser, Content: "hi"}}}) {
				last = err
			}
			if hub.CodeOf(last) != hub.CodeProviderTimeout {
				t.Errorf("it ended with %v", last)
			}
		})
	}
}
