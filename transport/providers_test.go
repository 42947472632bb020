package transport_test

import (
	"io"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
)

const key = "sk-the-secret-key"

// providers returns the sources of the providers that a user sees, by name.
func (s *site) providers(token string) map[string]string {
	s.t.Helper()
	res := s.send("GET", "/providers", token, "", nil)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || strings.Contains(string(b), key) {
		s.t.Fatalf("a key is told: %s, %v", b, err)
	}
	out := map[string]string{}
	for _, item := range items(s.t, b) {
		out[item["name"].(string)] = item["source"].(string) + " " + item["kind"].(string) + " " + item["base_url"].(string)
		if item["has_key"] != true {
			out[item["name"].(string)] += " without key"
		}
	}
	return out
}

func TestProvidersAreTheUsersOrTheAdmins(t *testing.T) {
	s := open(t, transportDefaults, hub.Options{Builtin: []hub.EndpointInfo{{Name: "fake", Kind: "demo", Source: hub.FromSettings, HasKey: true}}}).users()
	same := func(token string, want map[string]string) {
		t.Helper()
		want["fake"] = "settings demo "
		got := s.providers(token)
		if len(got) != len(want) {
			t.Errorf("providers %v, want %v", got, want)
		}
		for name, info := range want {
			if got[name] != info {
				t.Errorf("%s is %q, want %q", name, got[name], info)
			}
		}
	}
	put := func(token, name string, want int, body map[string]any) {
		t.Helper()
		s.do("PUT", "/providers/"+name, token, body, want)
	}
	const url = "https://api.example.org/v1"
	put(s.bob, "mine", 204, map[string]any{"kind": "openai", "base_url": url, "api_key": key})
	put(s.bob, "local", 204, map[string]any{"kind": "ollama", "base_url": url})
	put(s.ann, "ours", 204, map[string]any{"kind": "anthropic", "api_key": key, "shared": true})
	same(s.ann, map[string]string{"ours": "admin anthropic "})
	same(s.bob, map[string]string{"mine": "user openai " + url, "local": "user ollama " + url + " without key", "ours": "admin anthropic "})

	put(s.bob, "ours", 403, map[string]any{"kind": "openai", "shared": true})
	s.do("DELETE", "/providers/ours?shared=true", s.bob, nil, 403)
	s.do("DELETE", "/providers/ours", s.bob, nil, 404)
	s.do("DELETE", "/providers/mine", s.ann, nil, 404)
	s.do("DELETE", "/providers/mine?shared=true", s.ann, nil, 404)
	same(s.bob, map[string]string{"mine": "user openai " + url, "local": "user ollama " + url + " without key", "ours": "admin anthropic "})

	put(s.bob, "mine", 204, map[string]any{"kind": "openai", "base_url": url, "api_key": nil}) // keeps the key
	same(s.bob, map[string]string{"mine": "user openai " + url, "local": "user ollama " + url + " without key", "ours": "admin anthropic "})
	s.do("DELETE", "/providers/mine", s.bob, nil, 204)
	s.do("DELETE", "/providers/mine", s.bob, nil, 404)
	s.do("DELETE", "/providers/ours?shared=true", s.ann, nil, 204)
	same(s.bob, map[string]string{"local": "user ollama " + url + " without key"})
}

func TestProvidersThatAreRefused(t *testing.T) {
	s := open(t, transportDefaults, hub.Options{Builtin: []hub.EndpointInfo{{Name: "fake", Kind: "demo", Source: hub.FromSettings}}}).users()
	bad := func(name, body, field string) refusal {
		return refusal{method: "PUT", path: "/providers/" + name, body: body, status: 400, code: "invalid", field: field}
	}
	s.refuses(map[string]refusal{
		"capital name":        bad("Mine", `{"kind":"openai"}`, "name"),
		"long name":           bad(strings.Repeat("x", 41), `{"kind":"openai"}`, "name"),
		"slash in the name":   bad("a%2fb", `{"kind":"openai"}`, "name"),
		"NUL in the name":     bad("a%00", `{"kind":"openai"}`, "name"),
		"the settings' name":  bad("fake", `{"kind":"openai","shared":true}`, "name"),
		"no kind":             bad("mine", `{}`, "kind"),
		"unknown kind":        bad("mine", `{"kind":"magic"}`, "kind"),
		"kind of list":        bad("mine", `{"kind":["openai"]}`, "kind"),
		"no URL":              bad("mine", `{"kind":"openai","base_url":"somewhere"}`, "base_url"),
		"URL of a file":       bad("mine", `{"kind":"openai","base_url":"file:///etc/passwd"}`, "base_url"),
		"URL with password":   bad("mine", `{"kind":"openai","base_url":"https://a:b@example.org"}`, "base_url"),
		"long URL":            bad("mine", `{"kind":"openai","base_url":"https://example.org/`+strings.Repeat("x", 500)+`"}`, "base_url"),
		"own ollama nowhere":  bad("mine", `{"kind":"ollama"}`, "base_url"),
		"two lines of key":    bad("mine", `{"kind":"openai","api_key":"a\r\nX-Evil: 1"}`, "api_key"),
		"key in number":       bad("mine", `{"kind":"openai","api_key":7}`, "api_key"),
		"long key":            bad("mine", `{"kind":"openai","api_key":"`+strings.Repeat("x", 4001)+`"}`, "api_key"),
		"shared in words":     bad("mine", `{"kind":"openai","shared":"yes"}`, "shared"),
		"unknown field":       bad("mine", `{"kind":"openai","owner":"ann"}`, "owner"),
		"shared in the query": {method: "DELETE", path: "/providers/mine?shared=1", status: 400, code: "invalid", field: "shared"},
		"strange to delete":   {method: "DELETE", path: "/providers/a%00b", status: 404, code: "not_found"},
		"list for nobody":     {method: "GET", path: "/providers", token: "x", status: 401, code: "unauthenticated"},
	})
}
