package main

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/anthropic"
	"github.com/omnichat/omnichat/providers/demo"
	"github.com/omnichat/omnichat/providers/gemini"
	"github.com/omnichat/omnichat/providers/ollama"
	"github.com/omnichat/omnichat/providers/openai"
)

// vendorNames are the providers that the settings turn on.
var vendorNames = []string{"openai", "anthropic", "gemini", "ollama", "demo"}

// vendors is [hub.Vendors]: the providers of the settings, and those that were
// added in the page.
type vendors struct {
	cfg      Config
	log      *slog.Logger
	settings map[string]hub.Provider
	infos    []hub.EndpointInfo // of settings
	added    interface {
		Endpoints(ctx context.Context, who hub.Access) ([]hub.Endpoint, error)
	}

	mu   sync.Mutex
	made map[hub.UserID]map[string]made // of the endpoints there are, by owner and name
}

var _ hub.Vendors = (*vendors)(nil)

type made struct {
	at       time.Time // the endpoint's UpdatedAt
	provider hub.Provider
}

func newVendors(cfg Config, log *slog.Logger) *vendors {
	v := &vendors{cfg: cfg, log: log, settings: map[string]hub.Provider{}, made: map[hub.UserID]map[string]made{}}
	add := func(name, kind, baseURL, key string) {
		v.settings[name] = v.open(hub.Endpoint{Name: name, Kind: kind, BaseURL: baseURL, APIKey: key})
		v.infos = append(v.infos, hub.EndpointInfo{Name: name, Kind: kind, BaseURL: baseURL, Source: hub.FromSettings, HasKey: key != ""})
	}
	if cfg.OpenAIKey != "" || cfg.OpenAIBaseURL != "" {
		add("openai", "openai", cfg.OpenAIBaseURL, cfg.OpenAIKey)
	}
	if cfg.AnthropicKey != "" || cfg.AnthropicBaseURL != "" {
		add("anthropic", "anthropic", cfg.AnthropicBaseURL, cfg.AnthropicKey)
	}
	if cfg.GeminiKey != "" || cfg.GeminiBaseURL != "" {
		add("gemini", "gemini", cfg.GeminiBaseURL, cfg.GeminiKey)
	}
	if cfg.OllamaHost != "" {
		add("ollama", "ollama", cfg.OllamaHost, "")
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Endpoints)) {
		key := os.Getenv("OMNICHAT_ENDPOINT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_KEY")
		add(name, "openai", cfg.Endpoints[name], key)
	}
	if cfg.Demo == "on" || cfg.Demo == "auto" && len(v.settings) == 0 {
		v.settings["demo"] = demo.New(demo.Options{})
	}
	return v
}

// open makes the provider of an endpoint. One that a user has added may not
// reach the server's own network.
func (v *vendors) open(e hub.Endpoint) hub.Provider {
	guarded := e.Owner != ""
	switch e.Kind {
	case "anthropic":
		return anthropic.New(anthropic.Options{APIKey: e.APIKey, BaseURL: e.BaseURL, FirstByte: v.cfg.FirstByte, Idle: v.cfg.Idle, Guarded: guarded, Owner: string(e.Owner), Logger: v.log})
	case "gemini":
		return gemini.New(gemini.Options{APIKey: e.APIKey, BaseURL: e.BaseURL, FirstByte: v.cfg.FirstByte, Idle: v.cfg.Idle, Guarded: guarded, Owner: string(e.Owner), Logger: v.log})
	case "ollama":
		return ollama.New(ollama.Options{APIKey: e.APIKey, BaseURL: e.BaseURL, FirstByte: v.cfg.FirstByte, Idle: v.cfg.Idle, Guarded: guarded, Owner: string(e.Owner), Logger: v.log})
	}
	return openai.New(openai.Options{APIKey: e.APIKey, BaseURL: e.BaseURL, FirstByte: v.cfg.FirstByte, Idle: v.cfg.Idle, Guarded: guarded, Owner: string(e.Owner), Logger: v.log})
}

// For is hub.Vendors': a user's own go before everyone's of the same name.
func (v *vendors) For(ctx context.Context, user hub.UserID) (map[string]hub.Vendor, error) {
	list, err := v.added.Endpoints(ctx, hub.Own(user))
	if err != nil {
		return nil, err
	}
	all := map[string]hub.Vendor{}
	for name, p := range v.settings {
		all[name] = vendor(p, "")
	}
	now := map[hub.UserID]map[string]made{user: {}, "": {}}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range list {
		m, ok := v.made[e.Owner][e.Name]
		if !ok || !m.at.Equal(e.UpdatedAt) {
			m = made{at: e.UpdatedAt, provider: v.open(e)}
		}
		now[e.Owner][e.Name] = m
		if _, own := now[user][e.Name]; e.Owner != "" || !own {
			all[e.Name] = vendor(m.provider, e.Owner)
		}
	}
	for owner, providers := range now {
		v.made[owner] = providers
		if len(providers) == 0 {
			delete(v.made, owner)
		}
	}
	return all, nil
}

// vendor is a provider with whose it is and where it is asked.
func vendor(p hub.Provider, owner hub.UserID) hub.Vendor {
	v := hub.Vendor{Provider: p, Owner: owner}
	if at, ok := p.(interface{ Address() string }); ok { // the demo is nowhere
		v.Address = at.Address()
	}
	if l, ok := p.(hub.ImageLimiter); ok {
		v.Images = l.ImageLimit()
	}
	return v
}
