package transport_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/omnichat/omnichat/hub"
)

// answered sends a command to ask and returns its ack and the answer's finish,
// having held all events against the document.
func (s *site) answered(conn *websocket.Conn, command string) (ack, finish map[string]any) {
	s.t.Helper()
	if err := conn.Write(s.t.Context(), websocket.MessageText, []byte(command)); err != nil {
		s.t.Fatal(err)
	}
	for ack == nil || finish == nil {
		_, data, err := conn.Read(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			var e map[string]any
			if err := json.Unmarshal(line, &e); err != nil {
				s.t.Fatal(err)
			}
			checkFrame(s.t, e)
			switch e["type"] {
			case "ack":
				ack = e
			case "finish":
				finish = e
			case "error":
				s.t.Fatalf("refused: %s", line)
			}
		}
	}
	return ack, finish
}

func TestAllThatAProviderSendsIsToldAndKept(t *testing.T) {
	s := open(t, transportDefaults).users()
	s.do("PUT", "/prices/fake%2Fecho", s.ann, map[string]any{"input": 1, "cached_input": 0.1, "output": 2}, 204)
	ack, finish := s.answered(s.connect(s.ann), `{"type":"send","ref":1,"content":"all","temperature":1,"max_tokens":9,"reasoning_effort":"low"}`)
	kept := s.list("/sessions/"+ack["session_id"].(string)+"/messages", s.ann)[1]
	want := map[string]any{
		"tool_calls": []any{map[string]any{"id": "call_1", "name": "look", "arguments": `{"at":"it"}`}},
		"usage":      map[string]any{"input_tokens": 1000.0, "output_tokens": 100.0, "cached_tokens": 10.0, "reasoning_tokens": 5.0, "cost": 0.001191},
	}
	for field, v := range want {
		if !reflect.DeepEqual(finish[field], v) || !reflect.DeepEqual(kept[field], v) {
			t.Errorf("%s: told %v, kept %v, want %v", field, finish[field], kept[field], v)
		}
	}
	if finish["thinking_ms"] == nil || finish["thinking_ms"] != kept["thinking_ms"] || kept["reasoning"] != "Hm." {
		t.Errorf("thinking: told %v, kept %v", finish, kept)
	}
	if b, err := json.Marshal([]any{finish, kept}); err != nil || strings.Contains(string(b), "signature") {
		t.Errorf("what is for the provider alone is told: %s, %v", b, err)
	}
}

// TestAbsurdUsageIsBounded has an endpoint report what cannot be, of a model that
// has a price: the answer ends, what is no count is estimated, and the books
// stay readable.
func TestAbsurdUsageIsBounded(t *testing.T) {
	s := open(t, transportDefaults).users()
	s.do("PUT", "/prices/fake%2Fecho", s.ann, map[string]any{"input": 1000, "cached_input": 1000, "output": 1000}, 204)
	conn := s.connect(s.ann)
	for range 3 {
		_, finish := s.answered(conn, `{"type":"send","ref":1,"content":"lie"}`)
		if u, _ := finish["usage"].(map[string]any); u["input_tokens"] != 5.0 || u["estimated"] != true || u["cached_tokens"] != nil || u["cost"] == nil {
			t.Errorf("finish %v", finish)
		}
	}
	books := s.list("/usage?by=model", s.ann)
	if len(books) != 1 || books[0]["answers"] != 3.0 || books[0]["cost"].(float64) <= 0 {
		t.Errorf("the books say %v", books)
	}
	s.do("GET", "/limits", s.ann, nil, 200)
}

func TestFailedAnswerSaysHowLongToWait(t *testing.T) {
	s := open(t, transportDefaults).users()
	_, finish := s.answered(s.connect(s.ann), `{"type":"send","ref":1,"content":"fail"}`)
	failure, _ := finish["error"].(map[string]any)
	if failure["code"] != string(hub.CodeProviderRateLimit) || failure["retry_after"] != 7.0 {
		t.Errorf("failure %v", failure)
	}
}

func TestDailyLimitSaysWhenItEnds(t *testing.T) {
	s := open(t, transportDefaults, hub.Options{DailyTokens: 2}).users()
	s.ask(s.ann, map[string]any{"content": "one"})
	res := s.send("POST", "/chat/stream", s.ann, "application/json", strings.NewReader(`{"content":"two"}`))
	wait, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if p := s.read(res, 429); p["code"] != string(hub.CodeDailyLimit) || err != nil || wait < 1 || wait > 24*60*60 {
		t.Errorf("problem %v, wait %d, %v", p, wait, err)
	}
	if got := s.do("GET", "/limits", s.ann, nil, 200); got["used_tokens"] != 2.0 {
		t.Errorf("limits %v", got)
	}
	s.ask(s.bob, map[string]any{"content": "one"})
}
