// Package anthropic asks Claude by Anthropic's own Messages API.
//
// The adapter is ours: against the official SDK it adds no megabytes to the
// binary, costs a fraction of the CPU per token, and sees a stream that breaks
// off, which the SDK reports as whole.
package anthropic

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/picture"
	"github.com/omnichat/omnichat/providers/internal/wire"
)

// Options says which server is asked.
type Options struct {
	APIKey    string
	BaseURL   string        // with or without the /v1; https://api.anthropic.com if empty
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
	opt.BaseURL = strings.TrimSuffix(strings.TrimRight(cmp.Or(opt.BaseURL, "https://api.anthropic.com"), "/"), "/v1")
	p := &Provider{client: wire.NewClient(wire.Options(opt)), header: http.Header{}}
	p.header.Set("Anthropic-Version", "2023-06-01")
	if opt.APIKey != "" {
		p.header.Set("X-Api-Key", opt.APIKey)
	}
	return p
}

// Address is where the server is asked.
func (p *Provider) Address() string { return p.client.Base() }

// ImageLimit is hub.ImageLimiter's: 5 MiB in base64, and 8000 pixels a side.
func (p *Provider) ImageLimit() picture.Limit {
	return picture.Limit{Bytes: 5 << 20 / 4 * 3, Side: 8000}
}

// Stream answers a prompt. It asks again only while nothing has arrived.
func (p *Provider) Stream(ctx context.Context, prompt hub.Prompt) iter.Seq2[hub.Delta, error] {
	return p.client.Answer(ctx, "/v1/messages", p.header, newRequest(prompt), newDecoder)
}

// Models lists what the key may ask, newest first as Anthropic does, within 5 s.
func (p *Provider) Models(ctx context.Context) ([]hub.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	list := []hub.Model{}
	for after := ""; ; {
		query := url.Values{"limit": {"100"}}
		if after != "" {
			query.Set("after_id", after)
		}
		page, beside, err := p.client.List(ctx, "/v1/models?"+query.Encode(), p.header, "data", "models")
		if err != nil {
			return nil, err
		}
		list = append(list, models(page)...)
		last, more := beside.Text("last_id"), beside.Bool("has_more")
		if more == nil || !*more || last == "" || last == after || len(list) >= wire.ListMax {
			return list, nil
		}
		after = last
	}
}
