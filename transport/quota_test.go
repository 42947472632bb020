package transport_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
)

// TestQuotaRefusesWhatGoesOverIt fills a user's 20 bytes: 6 of a question, 6 of its
// answer, 7 of a file.
func TestQuotaRefusesWhatGoesOverIt(t *testing.T) {
	s := open(t, transportDefaults, hub.Options{UserBytes: 20}).users()
	first := map[string]any{"content": "as one", "message_id": hub.NewID()}
	_, session, answer := s.ask(s.ann, first)
	file := s.upload(s.ann, "a.txt", "text/plain", "7 bytes")
	if got := s.do("GET", "/limits", s.ann, nil, 200)["storage"].(map[string]any); got["used"] != 19.0 || got["quota"] != 20.0 {
		t.Errorf("storage %v", got)
	}
	s.refuses(map[string]refusal{
		"a question":             {body: `{"content":"no"}`, status: 507, code: hub.CodeQuotaExceeded},
		"a question with a file": {body: `{"content":"no","attachments":["` + file + `"]}`, status: 507, code: hub.CodeQuotaExceeded},
		"a file":                 {path: "/attachments?name=b.txt", body: "no", status: 507, code: hub.CodeQuotaExceeded},
		"a wrong question":       {body: `{"content":""}`, status: 400, code: hub.CodeInvalid, field: "content"},
	})
	p := s.do("POST", "/chat/stream", s.ann, map[string]any{"content": "no"}, 507)
	if want := "19 bytes of 20 bytes"; !strings.Contains(p["detail"].(string), want) || !strings.Contains(p["detail"].(string), "delete chats or files") {
		t.Errorf("detail %q, want %q and a way out", p["detail"], want)
	}
	conn := s.connect(s.ann)
	if e := s.tell(conn, `{"type":"send","ref":7,"content":"no"}`); e["type"] != "error" || e["ref"] != 7.0 || e["code"] != string(hub.CodeQuotaExceeded) {
		t.Errorf("a WebSocket is told %v", e)
	}
	if text, _, again := s.ask(s.ann, first); again != answer || !strings.Contains(text, `"finish"`) {
		t.Errorf("what was asked before: %s of %s", text, again)
	}
	if text, _, _ := s.ask(s.bob, map[string]any{"content": "a long answer to bob"}); !strings.Contains(text, `"reason":"stop"`) {
		t.Errorf("an answer that goes over ends with %s", text)
	}
	again, err := json.Marshal(map[string]any{"parent_id": answer})
	if err != nil {
		t.Fatal(err)
	}
	s.ask(s.ann, map[string]any{"content": "1"}) // the last byte, and an answer over it
	s.refuses(map[string]refusal{"an answer more": {body: string(again), status: 507, code: hub.CodeQuotaExceeded}})
	s.do("DELETE", "/sessions/"+session, s.ann, nil, 204)
	s.ask(s.ann, map[string]any{"content": "room"})
}
