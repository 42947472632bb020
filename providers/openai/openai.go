// Package openai asks OpenAI, and any server that speaks its chat completions.
package openai

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/chat"
	"github.com/omnichat/omnichat/providers/internal/wire"
)

// Options says which server is asked. There may be any number of them.
type Options struct {
	APIKey    string        // may be empty for servers that need none
	BaseURL   string        // with the /v1; OpenAI's own if empty
	Models    []string      // what is listed; the server is asked if empty
	FirstByte time.Duration // 120 s if 0
	Idle      time.Duration // 60 s if 0
	Guarded   bool          // the base URL is a user's: only the open internet is reached
	Logger    *slog.Logger  // slog.Default() if nil
}

// Provider is one such server.
type Provider struct {
	client *wire.Client
	header http.Header
	models []string
	own    bool // OpenAI's own server
}

// New returns a provider. It makes no connection yet.
func New(opt Options) *Provider {
	opt.BaseURL = cmp.Or(opt.BaseURL, baseURL)
	p := &Provider{header: http.Header{}, models: opt.Models, own: own(opt.BaseURL), client: wire.NewClient(wire.Options{
		APIKey: opt.APIKey, BaseURL: opt.BaseURL, FirstByte: opt.FirstByte, Idle: opt.Idle, Guarded: opt.Guarded, Logger: opt.Logger,
	})}
	if opt.APIKey != "" {
		p.header.Set("Authorization", "Bearer "+opt.APIKey)
	}
	return p
}

// Address is where the server is asked.
func (p *Provider) Address() string { return p.client.Base() }

// Stream answers a prompt. It asks again only while nothing has arrived.
func (p *Provider) Stream(ctx context.Context, prompt hub.Prompt) iter.Seq2[hub.Delta, error] {
	return p.client.Answer(ctx, "/chat/completions", p.header, request(prompt, p.own), chat.NewDecoder)
}

// Models lists what the server has, within 5 s.
func (p *Provider) Models(ctx context.Context) ([]hub.Model, error) {
	if len(p.models) > 0 {
		list := make([]hub.Model, len(p.models))
		for i, id := range p.models {
			list[i] = model(listed{ID: id}, p.own)
		}
		return list, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var answer listing
	if err := p.client.JSON(ctx, http.MethodGet, "/models", p.header, nil, &answer); err != nil {
		return nil, err
	}
	return answer.models(p.own), nil
}
