// Package ollama asks an Ollama server, on this machine or elsewhere.
package ollama

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/picture"
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
	Owner     string        // the user whose provider it is; empty for everyone's
	Logger    *slog.Logger  // slog.Default() if nil
}

// Provider is one such server. All methods may be called concurrently.
type Provider struct {
	client *wire.Client
	header http.Header

	mu   sync.Mutex
	cold map[string]bool // models that were not loaded when they were described last
}

var (
	_ hub.Provider     = (*Provider)(nil)
	_ hub.ImageLimiter = (*Provider)(nil)
	_ hub.Describer    = (*Provider)(nil)
)

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

// ImageLimit is hub.ImageLimiter's: no GIF.
func (p *Provider) ImageLimit() picture.Limit {
	return picture.Limit{Still: true}
}

// Stream answers a prompt. It asks again only while nothing has arrived. A model
// that is not loaded yet is loaded first, which may take minutes without a byte.
func (p *Provider) Stream(ctx context.Context, prompt hub.Prompt) iter.Seq2[hub.Delta, error] {
	return func(yield func(hub.Delta, error) bool) {
		watch, stop := context.WithCancel(ctx)
		var watching sync.WaitGroup
		watching.Go(func() { p.watch(watch, prompt.Model) })
		over := func() { stop(); watching.Wait() }
		defer over()
		for d, err := range p.client.Answer(ctx, "/v1/chat/completions", p.header, chat.NewRequest(prompt, chat.Quirks{}), chat.NewDecoder) {
			over()
			p.setCold(prompt.Model, false)
			if !yield(d, err) {
				return
			}
		}
	}
}

const (
	watchFrom  = 2 * time.Second // a model that is loaded answers sooner
	watchEvery = 3 * time.Second
)

// watch tells that a model is being loaded, if it was not when it was described or
// is not after a while, until ctx ends.
func (p *Provider) watch(ctx context.Context, name string) {
	for wait := time.NewTimer(watchFrom); ; wait.Reset(watchEvery) {
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		if !p.isCold(name) { // while it loads, Ollama may list it already
			if loaded, err := p.loaded(ctx); err != nil || find(loaded, name) != nil {
				continue
			}
		}
		hub.Tell(ctx, hub.Loading)
	}
}

func (p *Provider) isCold(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cold[name]
}

func (p *Provider) setCold(name string, cold bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cold == nil || len(p.cold) > 1000 {
		p.cold = map[string]bool{}
	}
	if delete(p.cold, name); cold {
		p.cold[name] = true
	}
}

// loaded lists the models that are loaded now.
func (p *Provider) loaded(ctx context.Context) ([]wire.Hints, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	list, _, err := p.client.List(ctx, "/api/ps", p.header, "models")
	return list, err
}

// show asks what one model can do.
func (p *Provider) show(ctx context.Context, name string) wire.Hints {
	var out wire.Hints
	// A model that fails here is listed all the same.
	_ = p.client.JSON(ctx, http.MethodPost, "/api/show", p.header, map[string]string{"model": name}, &out)
	return out
}

// Models lists what the server has pulled, within 5 s. What a model can do is
// asked for each; without an answer in time it is unknown.
func (p *Provider) Models(ctx context.Context) ([]hub.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	list, _, err := p.client.List(ctx, "/api/tags", p.header, "models")
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(m wire.Hints) bool { return nameOf(m) == "" })
	models, chats := make([]hub.Model, len(list)), make([]bool, len(list))
	var loaded []wire.Hints
	known := make(chan struct{}) // closed once that is
	turn := make(chan struct{}, 8)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(known)
		loaded, _ = p.loaded(ctx) // older servers do not say
	})
	for i, entry := range list {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			shown := p.show(ctx, nameOf(entry)) // may be large, and is not kept
			<-known
			models[i], chats[i] = model(nameOf(entry), shown, find(loaded, nameOf(entry)))
		})
	}
	wg.Wait()
	out := []hub.Model{}
	for i, m := range models {
		if chats[i] {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b hub.Model) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// Describe is hub.Describer's.
func (p *Provider) Describe(ctx context.Context, name string) (hub.Model, error) {
	var loaded []wire.Hints
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { loaded, err = p.loaded(ctx) })
	shown := p.show(ctx, name)
	wg.Wait()
	p.setCold(name, err == nil && find(loaded, name) == nil)
	m, _ := model(name, shown, find(loaded, name))
	return m, nil
}
