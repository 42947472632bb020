package transport_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
)

func TestUserSettings(t *testing.T) {
	s := open(t, transportDefaults).users()
	const path = "/users/me/settings"
	is := func(got map[string]any, prompt, model string) {
		t.Helper()
		if want := map[string]any{"system_prompt": prompt, "fallback_model": model}; !reflect.DeepEqual(got, want) {
			t.Errorf("settings %v, want %v", got, want)
		}
	}
	is(s.do("GET", path, s.ann, nil, 200), "", "")
	is(s.do("PATCH", path, s.ann, map[string]any{"system_prompt": "be brief"}, 200), "be brief", "")
	is(s.do("PATCH", path, s.ann, map[string]any{"fallback_model": "fake/echo"}, 200), "be brief", "fake/echo")
	is(s.do("PATCH", path, s.ann, map[string]any{}, 200), "be brief", "fake/echo")
	is(s.do("PATCH", path, s.ann, map[string]any{"system_prompt": "", "fallback_model": ""}, 200), "", "")
	is(s.do("PATCH", path, s.ann, map[string]any{"system_prompt": strings.Repeat("ü", 100_000)}, 200), strings.Repeat("ü", 100_000), "")
	is(s.do("GET", path, s.bob, nil, 200), "", "")
	s.refuses(map[string]refusal{
		"too long":         {method: "PATCH", path: path, body: `{"system_prompt":"` + strings.Repeat("x", 100_001) + `"}`, status: 400, code: "invalid", field: "system_prompt"},
		"null":             {method: "PATCH", path: path, body: `{"system_prompt":null}`, status: 400, code: "invalid", field: "system_prompt"},
		"null model":       {method: "PATCH", path: path, body: `{"fallback_model":null}`, status: 400, code: "invalid", field: "fallback_model"},
		"wrong type":       {method: "PATCH", path: path, body: `{"system_prompt":{"a":"b"}}`, status: 400, code: "invalid", field: "system_prompt"},
		"unknown provider": {method: "PATCH", path: path, body: `{"fallback_model":"nobody/m"}`, status: 400, code: "invalid", field: "fallback_model"},
		"no model":         {method: "PATCH", path: path, body: `{"fallback_model":"fake"}`, status: 400, code: "invalid", field: "fallback_model"},
		"unknown field":    {method: "PATCH", path: path, body: `{"theme":"dark"}`, status: 400, code: "invalid", field: "theme"},
		"no user":          {path: path, method: "GET", token: "x", status: 401, code: "unauthenticated"},
	})
}

func TestLimitsAreToldBefore(t *testing.T) {
	s := open(t, transportDefaults, hub.Options{FileBytes: 1 << 20, FilesPerPrompt: 3, DailyTokens: 1000, DailyCost: 2_500_000_000, UserBytes: 5000}).users()
	want := map[string]any{"file_bytes": float64(1 << 20), "files_per_prompt": 3.0, "daily_tokens": 1000.0, "daily_cost": 2.5, "used_tokens": 0.0, "used_cost": 0.0,
		"storage": map[string]any{"used": 0.0, "quota": 5000.0}}
	if got := s.do("GET", "/limits", s.ann, nil, 200); !reflect.DeepEqual(got, want) {
		t.Errorf("limits %v, want %v", got, want)
	}
}

func TestSessionHasParameters(t *testing.T) {
	s := open(t, transportDefaults).users()
	is := func(got map[string]any, temperature, tokens, effort any) {
		t.Helper()
		if got["temperature"] != temperature || got["max_tokens"] != tokens || got["reasoning_effort"] != effort {
			t.Errorf("parameters of %v, want %v, %v, %v", got, temperature, tokens, effort)
		}
	}
	is(s.do("POST", "/sessions", s.ann, map[string]any{"temperature": nil, "max_tokens": nil}, 201), nil, nil, "")
	made := s.do("POST", "/sessions", s.ann, map[string]any{"temperature": 0, "max_tokens": 100, "reasoning_effort": "low"}, 201)
	is(made, 0.0, 100.0, "low")
	path := "/sessions/" + made["id"].(string)
	is(s.do("PATCH", path, s.ann, map[string]any{"title": "x"}, 200), 0.0, 100.0, "low")
	is(s.do("PATCH", path, s.ann, map[string]any{"temperature": 1.5, "reasoning_effort": "high"}, 200), 1.5, 100.0, "high")
	is(s.do("PATCH", path, s.ann, map[string]any{"max_tokens": nil}, 200), 1.5, nil, "high")
	is(s.do("PATCH", path, s.ann, map[string]any{"temperature": nil, "max_tokens": 2147483647, "reasoning_effort": nil}, 200), nil, 2147483647.0, "")
	is(s.do("GET", path, s.ann, nil, 200), nil, 2147483647.0, "")

	bad := func(body, field string) refusal {
		return refusal{method: "PATCH", path: path, body: body, status: 400, code: "invalid", field: field}
	}
	s.refuses(map[string]refusal{
		"too warm":         bad(`{"temperature":2.1}`, "temperature"),
		"too cold":         bad(`{"temperature":-0.1}`, "temperature"),
		"warm in words":    bad(`{"temperature":"warm"}`, "temperature"),
		"huge temperature": bad(`{"temperature":1e999}`, "temperature"),
		"no tokens":        bad(`{"max_tokens":0}`, "max_tokens"),
		"half a token":     bad(`{"max_tokens":0.5}`, "max_tokens"),
		"endless tokens":   bad(`{"max_tokens":2147483648}`, "max_tokens"),
		"a list of tokens": bad(`{"max_tokens":[1]}`, "max_tokens"),
		"too much effort":  bad(`{"reasoning_effort":"`+strings.Repeat("x", 21)+`"}`, "reasoning_effort"),
		"effort in number": bad(`{"reasoning_effort":3}`, "reasoning_effort"),
		"null title":       bad(`{"title":null}`, "title"),
		"null model":       bad(`{"model":null}`, "model"),
		"null prompt":      bad(`{"system_prompt":null}`, "system_prompt"),
		"made too warm":    {path: "/sessions", body: `{"temperature":3}`, status: 400, code: "invalid", field: "temperature"},
		"made of objects":  {path: "/sessions", body: `{"title":{}}`, status: 400, code: "invalid", field: "title"},
	})
}
