package transport_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

// items reads a list.
func items(t *testing.T, b []byte) []map[string]any {
	t.Helper()
	var list struct {
		Items []map[string]any `json:"items"`
	}
	if err := json.Unmarshal(b, &list); err != nil || list.Items == nil {
		t.Fatalf("no list: %v: %s", err, b)
	}
	return list.Items
}

func (s *site) list(path, token string) []map[string]any {
	s.t.Helper()
	res := s.send("GET", path, token, "", nil)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		s.t.Fatalf("%s: %s, %v: %s", path, res.Status, err, b)
	}
	return items(s.t, b)
}

func TestPricesAreTheAdmins(t *testing.T) {
	s := open(t, transportDefaults).users()
	price := map[string]any{"input": 1.5, "cached_input": 0, "output": 1e6}
	for path, model := range map[string]string{
		"gpt-x": "gpt-x", "openrouter%2Fmeta%2fllama-3:70b": "openrouter/meta/llama-3:70b", "groq/x/y": "groq/x/y", "50%25": "50%", "a%20b": "a b",
	} {
		s.do("PUT", "/prices/"+path, s.bob, price, 403)
		s.do("DELETE", "/prices/"+path, s.bob, nil, 403)
		s.do("DELETE", "/prices/"+path, s.ann, nil, 404)
		s.do("PUT", "/prices/"+path, s.ann, price, 204)
		first := s.list("/prices", s.bob)[0]
		if first["model"] != model || first["custom"] != true || first["input"] != 1.5 || first["cached_input"] != 0.0 || first["output"] != 1e6 {
			t.Errorf("%s became %v", path, first)
		}
		s.do("DELETE", "/prices/"+path, s.ann, nil, 204)
		if first := s.list("/prices", s.bob)[0]; first["custom"] != false {
			t.Errorf("%s stayed: %v", path, first)
		}
	}
	bad := func(body, field string) refusal {
		return refusal{method: "PUT", path: "/prices/m", body: body, status: 400, code: "invalid", field: field}
	}
	s.refuses(map[string]refusal{
		"no input":      bad(`{"cached_input":1,"output":1}`, "input"),
		"null output":   bad(`{"input":1,"cached_input":1,"output":null}`, "output"),
		"below nothing": bad(`{"input":1,"cached_input":-1,"output":1}`, "cached_input"),
		"too dear":      bad(`{"input":1,"cached_input":1,"output":1000001}`, "output"),
		"in words":      bad(`{"input":"dear","cached_input":1,"output":1}`, "input"),
		"unknown field": bad(`{"input":1,"cached_input":1,"output":1,"custom":true}`, "custom"),
		"no model":      {method: "PUT", path: "/prices/", body: `{"input":1,"cached_input":1,"output":1}`, status: 400, code: "invalid", field: "model"},
		"NUL":           {method: "PUT", path: "/prices/a%00", body: `{"input":1,"cached_input":1,"output":1}`, status: 400, code: "invalid", field: "model"},
		"broken UTF-8":  {method: "PUT", path: "/prices/%ff", body: `{"input":1,"cached_input":1,"output":1}`, status: 400, code: "invalid", field: "model"},
		"long model":    {method: "PUT", path: "/prices/" + strings.Repeat("x", 201), body: `{"input":1,"cached_input":1,"output":1}`, status: 400, code: "invalid", field: "model"},
		"NUL to delete": {method: "DELETE", path: "/prices/a%00", status: 404, code: "not_found"},
	})
}

func TestUsageOfOthersIsTheAdmins(t *testing.T) {
	s := open(t, transportDefaults).users()
	s.ask(s.bob, map[string]any{"content": "one two"})
	for path, want := range map[string]int{
		"/usage": 1, "/usage?by=day": 1, "/usage?by=model&days=1": 1, "/usage?by=session&days=366": 1, "/usage?by=day&everyone=false": 1,
	} {
		if got := s.list(path, s.bob); len(got) != want || got[0]["answers"] != 1.0 {
			t.Errorf("bob's %s: %v", path, got)
		}
		if got := s.list(path, s.ann); len(got) != 0 {
			t.Errorf("ann's %s: %v", path, got)
		}
	}
	for _, path := range []string{"/usage?by=user", "/usage?everyone=true", "/usage?by=model&everyone=true", "/usage?by=user&everyone=false"} {
		if got := s.list(path, s.ann); len(got) != 1 || got[0]["answers"] != 1.0 {
			t.Errorf("everyone's %s: %v", path, got)
		}
		if p := s.do("GET", path, s.bob, nil, 403); p["code"] != "forbidden" {
			t.Errorf("bob's %s: %v", path, p)
		}
	}
	if got := s.list("/usage?by=user", s.ann); got[0]["label"] != "bob" {
		t.Errorf("by user: %v", got)
	}
	today := s.do("GET", "/usage?days=1", s.bob, nil, 200)
	since, err := time.Parse(time.RFC3339, today["since"].(string))
	if err != nil || since.Location() != time.UTC || !since.Equal(since.Truncate(24*time.Hour)) || time.Since(since) > 25*time.Hour {
		t.Errorf("since %v: %v", today["since"], err)
	}
	s.refuses(map[string]refusal{
		"by what":         {method: "GET", path: "/usage?by=hour", status: 400, code: "invalid", field: "by"},
		"no days":         {method: "GET", path: "/usage?days=0", status: 400, code: "invalid", field: "days"},
		"too many days":   {method: "GET", path: "/usage?days=367", status: 400, code: "invalid", field: "days"},
		"days in words":   {method: "GET", path: "/usage?days=all", status: 400, code: "invalid", field: "days"},
		"everyone's what": {method: "GET", path: "/usage?everyone=yes", status: 400, code: "invalid", field: "everyone"},
		"nobody's":        {method: "GET", path: "/usage", token: "x", status: 401, code: "unauthenticated"},
	})
}
