package wire

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
)

// The messages are servers' own.
func TestSystemThatIsRefusedStandsInTheFirstTurn(t *testing.T) {
	const body = `{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}],"temperature":1}`
	const joined = `{"model":"m","messages":[{"role":"user","content":"Be brief.\n\nHi"},{"role":"assistant","content":"Hello"}],"temperature":1}`
	tests := map[string]struct{ body, said, want string }{
		"Gemma's template":           {body, "System role not supported", joined},
		"with vLLM's words":          {body, "System role not supported None", joined},
		"with llama.cpp's":           {body, "got exception: {\"code\":500,\"message\":\"System role not supported at row 1, column 80\",\"type\":\"server_error\"}", joined},
		"a Mistral's":                {body, "Only user and assistant roles are supported!", joined},
		"one that counts turns":      {body, "Conversation roles must alternate user/assistant/user/assistant/...", joined},
		"OpenAI's first that reason": {body, "Unsupported value: 'messages[0].role' does not support 'system' with this model.", joined},
		"by a list":                  {body, "Invalid role: 'system'", joined},
		"beside an image": {
			`{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"image_url","image_url":{"url":"data:"}}]}]}`, "System role not supported",
			`{"messages":[{"role":"user","content":[{"type":"text","text":"Be brief."},{"type":"text","text":"Hi"},{"type":"image_url","image_url":{"url":"data:"}}]}]}`,
		},
		"Gemini's": {
			`{"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}`, "Developer instruction is not enabled for models/gemma-3-27b-it",
			`{"contents":[{"role":"user","parts":[{"text":"Be brief."},{"text":"Hi"}]}]}`,
		},
		"Anthropic's": {
			`{"system":[{"type":"text","text":"Be brief."}],"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]}`, "System role not supported",
			`{"messages":[{"role":"user","content":[{"type":"text","text":"Be brief."},{"type":"text","text":"Hi"}]}]}`,
		},
		"none that was sent":     {`{"messages":[{"role":"user","content":"Hi"}]}`, "System role not supported", ""},
		"no turn of a person":    {`{"messages":[{"role":"system","content":"Be brief."}]}`, "System role not supported", ""},
		"another thing entirely": {body, "The system is not available at the moment, try again", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, ok := mendFor([]byte(tt.body), &StatusError{Status: 400, Detail: tt.said})
			if tt.want == "" {
				if ok {
					t.Errorf("it mends %q", m.field)
				}
				return
			}
			var got, want any
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(m.apply([]byte(tt.body)), &got); err != nil || !ok || !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestRefusedSystemIsRememberedForTheModel(t *testing.T) {
	for name, status := range map[string]int{"a bad request": 400, "a fault of the server": 500} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				var body struct {
					Messages []struct{ Role, Content string }
				}
				_ = json.NewDecoder(r.Body).Decode(&body)
				if body.Messages[0].Role == "system" {
					w.WriteHeader(status)
					_, _ = io.WriteString(w, `{"error":{"code":500,"message":"System role not supported","type":"server_error"}}`)
					return
				}
				_, _ = io.WriteString(w, "data: "+body.Messages[0].Content[:9]+"\n\n")
			}))
			defer srv.Close()
			c := NewClient(Options{BaseURL: srv.URL, Logger: slog.New(slog.DiscardHandler)})
			question := map[string]any{"model": "m", "messages": []map[string]string{{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}}}
			for n, want := range []int{2, 3} {
				if err := refusedOnce(t, c, question); err != nil || asked != want {
					t.Errorf("question %d: %v, after %d requests", n, err, asked)
				}
			}
		})
	}
}
