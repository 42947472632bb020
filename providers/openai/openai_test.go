package openai_test

import (
	"encoding/json"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/openai"
	"github.com/omnichat/omnichat/providers/providertest"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

func TestMain(m *testing.M) {
	// Idle connections of clients that nobody uses any more end by themselves.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func open(baseURL string, firstByte, idle time.Duration) hub.Provider {
	return openai.New(openai.Options{APIKey: "secret-key", BaseURL: baseURL, FirstByte: firstByte, Idle: idle})
}

func TestConformance(t *testing.T) { providertest.Run(t, open) }

func TestModelsListsWhatTheServerHas(t *testing.T) {
	srv := fake.New(map[string]fake.Script{"b": {}, "a": {}})
	defer srv.Close()
	models, err := open(srv.BaseURL(), 0, 0).Models(t.Context())
	if err != nil || len(models) != 2 || models[0].ID != "a" || models[1].ID != "b" {
		t.Errorf("Models = %v, %v", models, err)
	}
}

func TestRequestSendsWhatTheLibraryDrops(t *testing.T) {
	srv := fake.New(map[string]fake.Script{"o3-mini": {Tokens: []string{"ok"}}})
	defer srv.Close()
	zero, limit := 0.0, 5
	prompt := hub.Prompt{
		Model: "o3-mini", Temperature: &zero, MaxTokens: &limit,
		Turns: []hub.Turn{{Role: hub.RoleOfSystem, Content: "be brief"}, {Role: hub.RoleOfUser}},
	}
	for _, err := range open(srv.BaseURL(), 0, 0).Stream(t.Context(), prompt) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(srv.Bodies()[0]), &got); err != nil {
		t.Fatal(err)
	}
	messages, _ := got["messages"].([]any)
	if got["temperature"] != 0.0 || got["max_tokens"] != 5.0 || len(messages) != 2 || messages[1].(map[string]any)["content"] != "" {
		t.Errorf("request %v", got)
	}
}
