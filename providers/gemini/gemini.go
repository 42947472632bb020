// Package gemini asks Gemini by Google's own generateContent API.
//
// The adapter is ours: the official SDK costs several times the CPU per token
// and megabytes of binary, and takes a stream that breaks off for whole.
package gemini

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/picture"
	"github.com/omnichat/omnichat/providers/internal/wire"
)

// Options says which server is asked.
type Options struct {
	APIKey    string
	BaseURL   string        // with or without the version; https://generativelanguage.googleapis.com if empty
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
}

var (
	_ hub.Provider     = (*Provider)(nil)
	_ hub.ImageLimiter = (*Provider)(nil)
)

// New returns a provider. It makes no connection yet.
func New(opt Options) *Provider {
	opt.BaseURL = base(opt.BaseURL)
	p := &Provider{client: wire.NewClient(wire.Options(opt)), header: http.Header{}}
	if opt.APIKey != "" {
		p.header.Set("X-Goog-Api-Key", opt.APIKey) // never in the URL, which is logged
	}
	return p
}

// Address is where the server is asked.
func (p *Provider) Address() string { return p.client.Base() }

// ImageLimit is hub.ImageLimiter's: a request holds 20 MB, and no GIF.
func (p *Provider) ImageLimit() picture.Limit {
	return picture.Limit{Bytes: 14 << 20, Still: true}
}

// Stream answers a prompt. It asks again only while nothing has arrived.
func (p *Provider) Stream(ctx context.Context, prompt hub.Prompt) iter.Seq2[hub.Delta, error] {
	path := "/models/" + url.PathEscape(prompt.Model) + ":streamGenerateContent?alt=sse"
	return p.client.Answer(ctx, path, p.header, newRequest(prompt), newDecoder)
}

// Models lists what the key may ask, within 5 s.
func (p *Provider) Models(ctx context.Context) ([]hub.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	list := []hub.Model{}
	for token := ""; ; {
		query := url.Values{"pageSize": {"1000"}}
		if token != "" {
			query.Set("pageToken", token)
		}
		page, beside, err := p.client.List(ctx, "/models?"+query.Encode(), p.header, "models", "data")
		if err != nil {
			return nil, err
		}
		list = append(list, models(page)...)
		next := beside.Text("nextPageToken")
		if next == "" || next == token || len(list) >= wire.ListMax {
			return list, nil
		}
		token = next
	}
}
