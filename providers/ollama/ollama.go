// Package ollama asks an Ollama server, on this machine or elsewhere.
package ollama

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/chat"
	"github.com/omnichat/omnichat/providers/internal/wire"
)

// Options says which server is asked.
type Options struct {
	APIKey    string        // for a server behind a proxy that wants one, or ollama.com
	BaseURL   string        // may be host:port; http://127.0.0.1:11434 if empty
	FirstByte time.Duration // 5 minutes if 0: it may load a model first
	Idle      time.Duration // 60 s if 0
	Guarded   bool          // the base URL is a user's: only the open internet is reached
	Logger    *slog.Logger  // slog.Default() if nil
}

// Provider is one such server.
type Provider struct {
	client *wire.Client
	header http.Header
}

// New returns a provider. It makes no connection yet.
func New(opt Options) *Provider {
	opt.BaseURL = base(opt.BaseURL)
	opt.FirstByte = cmp.Or(opt.FirstByte, wire.LoadMax)
	p := &Provider{client: wire.NewClient(wire.Options(opt)), header: http.Header{}}
	if opt.APIKey != "" {
		p.header.Set("Authorization", "Bearer "+opt.APIKey)
	}
	return p
}

// Address is where the server is asked.
func (p *Provider) Address() string { return p.client.Base() }

// Stream answers a prompt. It asks again only while nothing has arrived.
func (p *Provider) Stream(ctx context.Context, prompt hub.Prompt) iter.Seq2[hub.Delta, error] {
	return p.client.Answer(ctx, "/v1/chat/completions", p.header, chat.NewRequest(prompt, chat.Quirks{}), chat.NewDecoder)
}

// Models lists what the server has pulled, within 5 s. What a model can do is
// asked for each; without an answer in time it is unknown.
func (p *Provider) Models(ctx context.Context) ([]hub.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var list tags
	if err := p.client.JSON(ctx, http.MethodGet, "/api/tags", p.header, nil, &list); err != nil {
		return nil, err
	}
	shown := make([]show, len(list.Models))
	turn := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i, m := range list.Models {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			// A model that fails here is listed all the same.
			_ = p.client.JSON(ctx, http.MethodPost, "/api/show", p.header, map[string]string{"model": m.Name}, &shown[i])
		})
	}
	wg.Wait()
	return list.models(shown), nil
}
