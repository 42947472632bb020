package wire

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// The messages are servers' own.
func TestWhatARefusalNamesIsMended(t *testing.T) {
	const body = `{"model":"m","messages":[{"role":"user","content":"temperature"}],"stream":true,"stream_options":{"include_usage":true},"max_tokens":32000,"temperature":0.5,"top_p":0.9,"reasoning_effort":"high"}`
	const gemini = `{"contents":[],"generationConfig":{"temperature":0.5,"thinkingConfig":{"includeThoughts":true}}}`
	const claude = `{"model":"m","max_tokens":64000,"messages":[],"stream":true,"temperature":0.5,"thinking":{"type":"enabled"}}`
	tests := map[string]struct {
		body, said, param string
		want              string // the field that is changed, and how; "" for none
	}{
		"OpenAI's longer name":  {body, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "max_tokens", "max_tokens=>max_completion_tokens"},
		"without the field":     {body, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "", "max_tokens=>max_completion_tokens"},
		"too large a number":    {body, "max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you provided 32000.", "max_tokens", "max_tokens<16384"},
		"a value":               {body, "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.", "temperature", "temperature"},
		"Pydantic":              {body, `[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{"include_usage":true}}]`, "", "stream_options"},
		"vLLM":                  {body, `[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]`, "", "stream_options"},
		"Groq":                  {body, "property 'stream_options' is unsupported", "", "stream_options"},
		"an inner field":        {body, "Unknown field: stream_options.include_usage", "", "stream_options"},
		"Ollama":                {body, `"qwen2.5:0.5b" does not support thinking`, "", "reasoning_effort"},
		"Ollama's newer words":  {body, `think value "medium" is not supported for this model`, "", "reasoning_effort"},
		"xAI":                   {body, "Model grok-4 does not support parameter reasoningEffort.", "", "reasoning_effort"},
		"Bedrock":               {body, "The model returned: `temperature` and `top_p` cannot both be specified for this model.", "", "temperature"},
		"LiteLLM":               {body, "litellm.UnsupportedParamsError: x does not support parameters: ['top_p'], for model=m", "", "top_p"},
		"Anthropic":             {claude, "`temperature` is deprecated for this model.", "", "temperature"},
		"Anthropic's limit":     {claude, "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet-20241022", "", "max_tokens<8192"},
		"Anthropic's thinking":  {claude, "adaptive thinking is not supported on this model", "", "thinking"},
		"Gemini":                {gemini, "Thinking level is not supported for this model.", "", "generationConfig.thinkingConfig"},
		"Gemini's payload":      {gemini, `Invalid JSON payload received. Unknown name "thinkingConfig" at 'generation_config': Cannot find field.`, "", "generationConfig.thinkingConfig"},
		"what was not sent":     {body, "Unsupported parameter: 'presence_penalty'", "presence_penalty", ""},
		"what a request needs":  {body, "messages: at least one message is required", "messages", ""},
		"nothing that is named": {body, "Bad request", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, ok := mendFor([]byte(tt.body), &StatusError{Status: 400, Detail: tt.said, Param: tt.param})
			got := m.field
			if m.name != "" {
				got += "=>" + m.name
			}
			if m.most > 0 {
				got += "<" + json.Number(strings.TrimSpace(string(mustMarshal(t, m.most)))).String()
			}
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("mends %q, want %q", got, tt.want)
			}
		})
	}
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// picky is a server that refuses some fields, one after the other.
func picky(t *testing.T, status int, refuses ...string) (*Client, func() []map[string]any) {
	t.Helper()
	var asked []map[string]any
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		asked = append(asked, body)
		for _, name := range refuses {
			if _, has := body[name]; has {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"error":{"message":"Unsupported parameter: '`+name+`' is not supported with this model.","param":"`+name+`"}}`)
				return
			}
		}
		_, _ = io.WriteString(w, "data: ok\n\n")
	}))
	t.Cleanup(srv.Close)
	return NewClient(Options{BaseURL: srv.URL, Logger: slog.New(slog.DiscardHandler)}), func() []map[string]any { return asked }
}

func keys(body map[string]any) (out []string) {
	for _, k := range []string{"max_tokens", "max_completion_tokens", "temperature", "top_p", "stream_options"} {
		if _, ok := body[k]; ok {
			out = append(out, k)
		}
	}
	return out
}

// refusedOnce runs one question and returns its error.
func refusedOnce(t *testing.T, c *Client, body map[string]any) error {
	t.Helper()
	for _, err := range c.Answer(t.Context(), "/x", http.Header{}, body, newEcho) {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestARefusalIsRememberedForTheModel(t *testing.T) {
	c, asked := picky(t, 400, "max_tokens", "temperature")
	question := func(model string, temperature float64) map[string]any {
		return map[string]any{"model": model, "max_tokens": 50, "temperature": temperature, "top_p": 0.9}
	}
	if err := refusedOnce(t, c, question("m", 0.5)); err != nil {
		t.Fatal(err)
	}
	got := asked()
	if len(got) != 3 || !reflect.DeepEqual(keys(got[2]), []string{"max_completion_tokens", "top_p"}) || got[2]["max_completion_tokens"] != 50.0 {
		t.Fatalf("asked with %v", got)
	}
	if err := refusedOnce(t, c, question("m", 0.7)); err != nil || len(asked()) != 4 {
		t.Errorf("the second question: %v, after %d requests", err, len(asked()))
	}
	if err := refusedOnce(t, c, question("other", 0.5)); err != nil || len(asked()) != 7 {
		t.Errorf("another model's: %v, after %d requests", err, len(asked()))
	}
}

func TestMendsAreThreeAtMost(t *testing.T) {
	c, asked := picky(t, 422, "temperature", "top_p", "stream_options", "max_tokens", "max_completion_tokens")
	body := map[string]any{"model": "m", "max_tokens": 50, "temperature": 1, "top_p": 1, "stream_options": map[string]any{}}
	err := refusedOnce(t, c, body)
	if hub.CodeOf(err) != hub.CodeProviderInvalid || !strings.Contains(err.Error(), "'temperature'") || len(asked()) != 1+mendsMax {
		t.Errorf("%v after %d requests; want the first refusal after %d", err, len(asked()), 1+mendsMax)
	}
}

func TestOtherStatusesAreNotMended(t *testing.T) {
	for _, status := range []int{401, 403, 404, 413} {
		c, asked := picky(t, status, "temperature")
		if err := refusedOnce(t, c, map[string]any{"model": "m", "temperature": 1}); err == nil || len(asked()) != 1 {
			t.Errorf("%d: %v after %d requests", status, err, len(asked()))
		}
	}
}

func TestRefusedValuesAreNotRefusedFields(t *testing.T) {
	m, ok := mendFor([]byte(`{"temperature":1.5}`), &StatusError{Detail: "temperature: must be between 0 and 1"})
	if !ok || string(m.apply([]byte(`{"temperature":1.5}`))) != `{}` || string(m.apply([]byte(`{"temperature":0.5}`))) != `{"temperature":0.5}` {
		t.Errorf("%+v", m)
	}
}

func FuzzMend(f *testing.F) {
	f.Add(`{"model":"m","max_tokens":5,"generationConfig":{"topP":1}}`, "max_tokens 4 topP", "")
	f.Fuzz(func(t *testing.T, body, said, param string) {
		m, ok := mendFor([]byte(body), &StatusError{Detail: said, Param: param})
		if got := m.apply([]byte(body)); ok && !json.Valid(got) {
			t.Errorf("%q of %q by %+v", got, body, m)
		}
	})
}

// The bodies are of Ollama and llama.cpp.
func TestFailuresOfServersAtHome(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		code   hub.Code
		again  bool
		said   string
	}{
		"too little memory": {500, `{"error":{"message":"model requires more system memory (61.1 GiB) than is available (22.1 GiB)","type":"api_error","param":null,"code":null}}`, hub.CodeProviderInvalid, false, "61.1 GiB"},
		"no eyes":           {500, `{"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may need to provide the mmproj","type":"server_error"}}`, hub.CodeNoVision, false, "mmproj"},
		"no eyes, a 400":    {400, `{"error":{"message":"this model does not support image input","type":"invalid_request_error"}}`, hub.CodeNoVision, false, "image input"},
		"out of memory":     {500, `{"error":"llama runner process has terminated: cudaMalloc failed: out of memory"}`, hub.CodeProviderInvalid, false, "cudaMalloc"},
		"a broken file":     {500, `{"error":{"message":"unable to load model: /models/blobs/sha256-x"}}`, hub.CodeProviderInvalid, false, "unable to load"},
		"text alone":        {500, "no template for this model\n", hub.CodeProviderInvalid, false, "no template"},
		"another failure":   {500, `{"error":{"message":"The server had an error while processing your request. Sorry about that!"}}`, hub.CodeProviderError, true, "Sorry"},
		"a proxy's":         {502, "<html>Bad Gateway</html>", hub.CodeProviderError, true, ""},
		"busy":              {503, `{"error":{"message":"server busy, please try again.  maximum pending requests exceeded"}}`, hub.CodeProviderOverloaded, true, "busy"},
	} {
		err := statusError(&http.Response{StatusCode: tt.status, Header: http.Header{}}, []byte(tt.body))
		if err.Code != tt.code || Retryable(err) != tt.again || !strings.Contains(err.Said, tt.said) || strings.Contains(err.Msg, "GiB") || loading(err) {
			t.Errorf("%s: %+v, again %v", name, err, Retryable(err))
		}
	}
}

func TestModelThatLoadsIsWaitedFor(t *testing.T) {
	for _, body := range []string{
		`{"error":{"message":"Loading model","type":"unavailable_error","code":503}}`,
		`{"error":"Model x/y is currently loading","estimated_time":20.0}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			c := NewClient(Options{BaseURL: "http://127.0.0.1:1", Logger: slog.New(slog.DiscardHandler)})
			failed := statusError(&http.Response{StatusCode: 503, Header: http.Header{}}, []byte(body))
			began := time.Now()
			shown, err := c.retry(t.Context(), func() (bool, error) {
				if time.Since(began) < 4*time.Minute {
					return false, failed
				}
				return true, nil
			})
			if !shown || err != nil {
				t.Errorf("%s: %v, %v after %s", body, shown, err, time.Since(began))
			}
			began = time.Now()
			if _, err := c.retry(t.Context(), func() (bool, error) { return false, failed }); hub.CodeOf(err) != hub.CodeProviderOverloaded || time.Since(began) > LoadMax {
				t.Errorf("%s: gives up with %v after %s", body, err, time.Since(began))
			}
		})
	}
}

func TestServersAtHomeAreWaitedForLonger(t *testing.T) {
	for url, want := range map[string]time.Duration{
		"http://127.0.0.1:8080/v1": LoadMax, "http://[::1]:1": LoadMax, "http://192.168.1.7:1234/v1": LoadMax, "http://10.0.0.2": LoadMax, "http://box:11434": LoadMax,
		"http://box.local": LoadMax, "http://host.docker.internal:1/v1": LoadMax, "https://api.openai.com/v1": 120 * time.Second, "https://8.8.8.8/v1": 120 * time.Second,
	} {
		if got := NewClient(Options{BaseURL: url}).opt.FirstByte; got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	if got := NewClient(Options{BaseURL: "http://127.0.0.1", FirstByte: time.Second}).opt.FirstByte; got != time.Second {
		t.Errorf("what is set is %s", got)
	}
}

// echo is a decoder whose every event is text.
type echo struct{}

func newEcho() Decoder { return echo{} }

func (echo) Event(e Event, t *Teller) (bool, error) {
	t.Text(string(e.Data))
	return false, nil
}

func (echo) End(t *Teller) { t.Done() }

func (echo) Usage() *hub.Usage { return nil }
