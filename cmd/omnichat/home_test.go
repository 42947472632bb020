package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// home is a server as people run one at home: it answers each path with bytes, and
// keeps the questions.
type home struct {
	*httptest.Server

	mu      sync.Mutex
	answers map[string]string // by path
	fails   []string          // what the next questions get instead: a status, a space and a body
	asked   []string          // the bodies of questions
	paths   []string          // of all requests, in their order
}

func newHome(t *testing.T, answers map[string]string) *home {
	h := &home{answers: answers}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.paths = append(h.paths, r.URL.Path)
		answer, ok := h.answers[r.URL.Path]
		switch {
		case r.URL.Path == "/v1/chat/completions" && len(h.fails) > 0:
			h.asked = append(h.asked, string(body))
			status, rest, _ := strings.Cut(h.fails[0], " ")
			h.fails = h.fails[1:]
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(map[string]int{"400": 400, "500": 500, "503": 503}[status])
			answer = rest
		case r.URL.Path == "/v1/chat/completions":
			h.asked = append(h.asked, string(body))
			w.Header().Set("Content-Type", "text/event-stream")
			answer = `data: {"choices":[{"index":0,"delta":{"content":"ok"}}]}` + "\n\n" + `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":` + answer + "}\n\ndata: [DONE]\n\n"
		case !ok:
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(h.Close)
	return h
}

// next has the next questions fail.
func (h *home) next(fails ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails = fails
}

func (h *home) set(path, answer string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[path] = answer
}

// question is the last one that was asked.
func (h *home) question(t *testing.T) (q struct {
	Messages  []struct{ Role, Content string }
	MaxTokens int    `json:"max_tokens"`
	Effort    string `json:"reasoning_effort"`
}, asked int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := json.Unmarshal([]byte(h.asked[len(h.asked)-1]), &q); err != nil {
		t.Fatal(err)
	}
	return q, len(h.asked)
}

func startHome(t *testing.T, h *home, env map[string]string) *server {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: []string{"ok"}}})
	t.Cleanup(provider.Close)
	env["OLLAMA_HOST"] = h.URL
	return startServer(t, provider, env)
}

const (
	ollamaShow = `{"capabilities":["completion"],"model_info":{"general.architecture":"llama","llama.context_length":262144}}`
	ollamaTags = `{"models":[{"name":"small:latest","model":"small:latest"}]}`
	smallUsage = `{"prompt_tokens":10,"completion_tokens":1}`
)

func noticesOf(m hub.Message) string {
	var codes []string
	for _, n := range m.Notices {
		codes = append(codes, string(n.Code))
	}
	return strings.Join(codes, " ")
}

// TestConversationIsCutToTheContextInForce asks a model of Ollama that nobody has
// listed: it is not loaded, then loaded with less than it was trained with.
func TestConversationIsCutToTheContextInForce(t *testing.T) {
	h := newHome(t, map[string]string{"/api/tags": ollamaTags, "/api/show": ollamaShow, "/api/ps": `{"models":[]}`, "/v1/chat/completions": `{"prompt_tokens":4096,"completion_tokens":1}`})
	c := startHome(t, h, map[string]string{}).user("ann")
	session := c.session()
	ask := func(mark string) hub.Message {
		return c.message(session, c.ask(map[string]any{
			"session_id": session, "content": mark + strings.Repeat(" many words", 3000), "model": "ollama/small:latest", "reasoning_effort": "high",
		}).id)
	}
	ask("first")
	if m := ask("second"); noticesOf(m) != "input_short" {
		t.Errorf("the server dropped the first message, and the notices are %v", m.Notices)
	}
	if q, _ := h.question(t); len(q.Messages) != 3 || q.Effort != "" {
		t.Errorf("asked with %d messages and the effort %q of a model that does not think", len(q.Messages), q.Effort)
	}
	h.set("/api/ps", `{"models":[{"name":"small:latest","model":"small:latest","context_length":4096}]}`)
	m := ask("third")
	if q, _ := h.question(t); len(q.Messages) != 1 || !strings.HasPrefix(q.Messages[0].Content, "third") || !strings.Contains(noticesOf(m), "context_cut") {
		t.Errorf("asked with %d messages, notices %v", len(q.Messages), m.Notices)
	}
}

// TestImageForABlindModelIsRefused asks with an image what nobody has listed.
func TestImageForABlindModelIsRefused(t *testing.T) {
	h := newHome(t, map[string]string{"/api/show": ollamaShow, "/v1/chat/completions": smallUsage})
	c := startHome(t, h, map[string]string{}).user("ann")
	ask := map[string]any{"content": "look", "model": "ollama/small", "attachments": []hub.FileID{c.upload("cat.png", pixel).ID}}
	if status, code, field := c.try(http.MethodPost, "/chat/stream", ask); status != http.StatusBadRequest || code != string(hub.CodeNoVision) || field != "attachments" {
		t.Errorf("%d %s %s", status, code, field)
	}
}

// TestRolesAlternateAfterAFailure asks once more after an answer that failed without
// a word.
func TestRolesAlternateAfterAFailure(t *testing.T) {
	h := newHome(t, map[string]string{"/api/show": ollamaShow, "/v1/chat/completions": smallUsage})
	c := startHome(t, h, map[string]string{}).user("ann")
	session := c.session()
	h.next(`400 {"error":{"message":"no"}}`)
	c.ask(map[string]any{"session_id": session, "content": "one", "model": "ollama/small"})
	c.ask(map[string]any{"session_id": session, "content": "two", "model": "ollama/small"})
	if q, _ := h.question(t); len(q.Messages) != 1 || q.Messages[0].Content != "one\n\ntwo" {
		t.Errorf("asked with %+v", q.Messages)
	}
}

// TestProvidersWordsAreForWhoSetItUp has a failure, a list that fails and an address
// told to the admin, and what they mean to everyone else.
func TestProvidersWordsAreForWhoSetItUp(t *testing.T) {
	h := newHome(t, map[string]string{"/api/show": ollamaShow, "/v1/chat/completions": smallUsage})
	s := startHome(t, h, map[string]string{})
	for _, tt := range []struct {
		name string
		sees bool
	}{{"admin", true}, {"bob", false}} {
		c := s.user(tt.name)
		session := c.session()
		h.next(`500 {"error":{"message":"model requires more system memory (61.1 GiB) than is available (22.1 GiB)","type":"api_error"}}`)
		h.mu.Lock()
		before := len(h.paths)
		h.mu.Unlock()
		m := c.message(session, c.ask(map[string]any{"session_id": session, "content": "go", "model": "ollama/small"}).id)
		if m.Error == nil || m.Error.Code != hub.CodeProviderInvalid || !strings.Contains(m.Error.Detail, "memory") || strings.Contains(m.Error.Detail, "61.1 GiB") != tt.sees {
			t.Errorf("%s is told %+v", tt.name, m.Error)
		}
		h.mu.Lock()
		again := strings.Count(strings.Join(h.paths[before:], " "), "/v1/chat/completions")
		h.mu.Unlock()
		if again != 1 {
			t.Errorf("asked %d times", again)
		}
		var models hub.ModelList
		c.call(http.MethodGet, "/models", nil, &models)
		if len(models.Failed) != 1 || models.Failed[0].Provider != "ollama" || models.Failed[0].Error.Code != hub.CodeProviderAddress || strings.Contains(models.Failed[0].Error.Asked, h.URL) != tt.sees {
			t.Errorf("%s: failed %+v", tt.name, models.Failed)
		}
		var providers struct{ Items []hub.EndpointInfo }
		c.call(http.MethodGet, "/providers", nil, &providers)
		for _, p := range providers.Items {
			if (p.BaseURL != "") != tt.sees || (p.Error != nil) != (p.Name == "ollama") {
				t.Errorf("%s sees %+v", tt.name, p)
			}
		}
	}
}

// TestModelThatLoadsIsToldLive follows an answer whose model is loaded first.
func TestModelThatLoadsIsToldLive(t *testing.T) {
	h := newHome(t, map[string]string{"/api/show": ollamaShow, "/v1/chat/completions": smallUsage})
	c := startHome(t, h, map[string]string{}).user("ann")
	ctx := soon(t)
	w, err := c.socket(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.conn.CloseNow()
	session := c.session()
	if err := w.send(ctx, map[string]any{"type": "subscribe", "ref": 1, "session_id": session}); err != nil {
		t.Fatal(err)
	}
	loading := `503 {"error":{"message":"Loading model","type":"unavailable_error","code":503}}`
	h.next(loading, loading)
	v := c.ask(map[string]any{"session_id": session, "content": "go", "model": "ollama/small"})
	if m := c.message(session, v.id); v.text() != "ok" || noticesOf(m) != "model_loading" {
		t.Errorf("%q, notices %v, error %+v", v.text(), m.Notices, m.Error)
	}
	if _, err := w.until(ctx, "notice"); err != nil {
		t.Errorf("nobody was told: %v", err)
	}
}

// TestTitleIsAskedAfterTheAnswer has one slot: what is asked beside the answer would
// delay it.
func TestTitleIsAskedAfterTheAnswer(t *testing.T) {
	h := newHome(t, map[string]string{"/api/show": ollamaShow, "/v1/chat/completions": smallUsage})
	c := startHome(t, h, map[string]string{"OMNICHAT_TITLE_MODEL": "ollama/small"}).user("ann")
	c.ask(map[string]any{"content": "go on and on", "model": "ollama/small"})
	for ctx := soon(t); ; {
		if q, n := h.question(t); n == 2 {
			if q.MaxTokens == 0 || q.MaxTokens > 200 {
				t.Errorf("a title may have %d tokens", q.MaxTokens)
			}
			return
		}
		if ctx.Err() != nil {
			t.Fatal("no title was asked for")
		}
		pauseFor(ctx, 10*time.Millisecond)
	}
}
