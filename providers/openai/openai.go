// Package openai asks any server that speaks OpenAI's chat completions.
package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"time"

	api "github.com/sashabaranov/go-openai"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
)

// Options says which server is asked.
type Options struct {
	APIKey    string        // may be empty for servers that need none
	BaseURL   string        // with the /v1; OpenAI's own if empty
	Models    []string      // what is listed; the server is asked if empty
	FirstByte time.Duration // 120 s if 0
	Idle      time.Duration // 60 s if 0
	Logger    *slog.Logger  // slog.Default() if nil
}

// Provider is one such server.
type Provider struct {
	opt    Options
	base   string
	client *wire.Client
	api    *api.Client // for everything but the stream, whose reader hides errors
	log    *slog.Logger
}

// New returns a provider. It makes no connection yet.
func New(opt Options) *Provider {
	cfg := api.DefaultConfig(opt.APIKey)
	if opt.BaseURL != "" {
		cfg.BaseURL = opt.BaseURL
	}
	client := wire.NewClient(opt.FirstByte, opt.Idle)
	cfg.HTTPClient = client
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	return &Provider{opt: opt, base: cfg.BaseURL, client: client, api: api.NewClientWithConfig(cfg), log: opt.Logger}
}

// Models lists what the server has, within 5 s.
func (p *Provider) Models(ctx context.Context) ([]hub.Model, error) {
	ids := p.opt.Models
	if len(ids) == 0 {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		list, err := p.api.ListModels(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range list.Models {
			ids = append(ids, m.ID)
		}
		slices.Sort(ids)
	}
	models := make([]hub.Model, len(ids))
	for i, id := range ids {
		models[i] = hub.Model{ID: id, Name: id}
	}
	return models, nil
}

// Stream answers a prompt. It asks again only while nothing has arrived.
func (p *Provider) Stream(ctx context.Context, prompt hub.Prompt) iter.Seq2[hub.Delta, error] {
	return func(yield func(hub.Delta, error) bool) {
		body, err := json.Marshal(request(prompt))
		if err != nil {
			yield(hub.Delta{}, wire.Fail(hub.CodeProviderInvalid, err))
			return
		}
		a := answer{yield: yield}
		err = wire.Retry(ctx, func() (bool, error) {
			err := p.client.Stream(ctx, func(ctx context.Context) (io.ReadCloser, error) { return p.send(ctx, body) }, a.event)
			return a.shown, err
		})
		if a.left || ctx.Err() != nil {
			return
		}
		if err == nil {
			err = a.end()
		}
		if err != nil {
			yield(hub.Delta{}, err)
		}
	}
}

// send asks for a stream and returns its body.
func (p *Provider) send(ctx context.Context, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, wire.Fail(hub.CodeProviderInvalid, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	if p.opt.APIKey != "" {
		req.Header.Set("Authorization", "Bearer "+p.opt.APIKey)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}
