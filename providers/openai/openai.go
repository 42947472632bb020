// Package openai asks OpenAI, and any server that speaks its chat completions.
package openai

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/picture"
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
	Owner     string        // the user whose provider it is; empty for everyone's
	Logger    *slog.Logger  // slog.Default() if nil
}

// Provider is one such server. All methods may be called concurrently.
type Provider struct {
	client *wire.Client
	header http.Header
	models []string
	own    bool         // OpenAI's own server
	root   *wire.Client // of a server at home, which has more than the API
}

var (
	_ hub.Provider     = (*Provider)(nil)
	_ hub.ImageLimiter = (*Provider)(nil)
)

// New returns a provider. It makes no connection yet.
func New(opt Options) *Provider {
	opt.BaseURL = cmp.Or(opt.BaseURL, baseURL)
	p := &Provider{header: http.Header{}, models: opt.Models, own: own(opt.BaseURL), client: wire.NewClient(wire.Options{
		APIKey: opt.APIKey, BaseURL: opt.BaseURL, FirstByte: opt.FirstByte, Idle: opt.Idle, Guarded: opt.Guarded, Owner: opt.Owner, Logger: opt.Logger,
	})}
	p.root = p.client.At(strings.TrimSuffix(p.client.Base(), "/v1"))
	if opt.APIKey != "" {
		p.header.Set("Authorization", "Bearer "+opt.APIKey)
	}
	return p
}

// Address is where the server is asked.
func (p *Provider) Address() string { return p.client.Base() }

// ImageLimit is hub.ImageLimiter's: 20 MB an image, and no GIF that moves.
func (p *Provider) ImageLimit() picture.Limit {
	return picture.Limit{Bytes: 20 << 20, Still: true}
}

// Stream answers a prompt. It asks again only while nothing has arrived.
func (p *Provider) Stream(ctx context.Context, prompt hub.Prompt) iter.Seq2[hub.Delta, error] {
	return p.client.Answer(ctx, "/chat/completions", p.header, request(prompt, p.own), chat.NewDecoder)
}

// Models lists what the server has, within 5 s.
func (p *Provider) Models(ctx context.Context) ([]hub.Model, error) {
	if len(p.models) > 0 {
		list := make([]hub.Model, len(p.models))
		for i, id := range p.models {
			list[i] = model(wire.Hints{"id": id}, p.own)
		}
		return list, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	list, _, err := p.client.List(ctx, "/models", p.header, listKeys...)
	if err != nil {
		return nil, p.elsewhere(ctx, err)
	}
	out := models(list, p.own)
	switch kindOf(list) {
	case llamaCpp:
		p.propsOf(ctx, list, out)
	case lmStudio:
		// What is loaded, and how, its own list says.
		if more, _, err := p.root.List(ctx, "/api/v0/models", p.header, listKeys...); err == nil && len(models(more, false)) > 0 {
			out = models(more, false)
		}
	}
	return out, nil
}

// listKeys are where compatible servers have their lists.
var listKeys = []string{"data", "models", "items", "result", "results"}

// elsewhere looks, after a list has failed at an address without /v1, whether the
// server has one there, and then says so.
func (p *Provider) elsewhere(ctx context.Context, err error) error {
	var failed *hub.Error
	if !errors.As(err, &failed) || strings.HasSuffix(p.client.Base(), "/v1") ||
		failed.Code != hub.CodeProviderAddress && failed.Code != hub.CodeModelNotFound && failed.Code != hub.CodeProviderError && failed.Code != hub.CodeProviderInvalid {
		return err
	}
	there := p.client.Base() + "/v1"
	if _, _, err := p.client.At(there).List(ctx, "/models", p.header, listKeys...); err == nil {
		failed.Code, failed.Said = hub.CodeProviderAddress, ""
		failed.Msg, failed.Try = "There is no list of models at this address, but there is one with /v1 at its end.", there
	}
	return err
}

// propsOf asks llama.cpp what it has loaded. One that has several models loaded or
// none is asked for each that is loaded.
func (p *Provider) propsOf(ctx context.Context, list []wire.Hints, out []hub.Model) {
	state := map[string]string{}
	for _, m := range list {
		state[m.Text("id")] = m.Of("status").Text("value")
	}
	for i := range out {
		path := "/props"
		switch state[out[i].ID] {
		case "": // one server, one model
		case "loaded":
			path += "?autoload=false&model=" + url.QueryEscape(out[i].ID)
		default:
			continue
		}
		var props wire.Hints
		if p.root.JSON(ctx, http.MethodGet, path, p.header, nil, &props) == nil { // else it keeps that to itself
			completeProps(&out[i], props)
		}
	}
}

// Describe is hub.Describer's: at home, where a model may have been loaded anew
// since the list was read.
func (p *Provider) Describe(ctx context.Context, model string) (hub.Model, error) {
	if !p.client.AtHome() || len(p.models) > 0 {
		return hub.Model{}, nil
	}
	list, err := p.Models(ctx)
	for _, m := range list {
		if m.ID == model {
			return m, nil
		}
	}
	return hub.Model{}, err
}
