package hub

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EndpointsMax is how many endpoints one user may own.
const EndpointsMax = 20

// Endpoint is a provider that was added in the page: a vendor's kind, where it
// is and the key for it.
type Endpoint struct {
	Name      string    // the provider's, as in "name/model"
	Kind      string    // openai, anthropic, gemini or ollama
	BaseURL   string    // "" for the vendor's own
	APIKey    string    // never given out, never logged
	Owner     UserID    // whose alone it is; "" if everyone may ask it
	UpdatedAt time.Time // tells a changed one from the one before
}

// EndpointSource is where a provider was set up.
type EndpointSource string

// The sources of a provider.
const (
	FromSettings EndpointSource = "settings" // of the server
	FromAdmin    EndpointSource = "admin"    // in the page, for everyone
	FromUser     EndpointSource = "user"     // in the page, for the user alone
)

// EndpointInfo is what is told of a provider that is set up.
type EndpointInfo struct {
	Name    string         `json:"name"`
	Kind    string         `json:"kind"`
	BaseURL string         `json:"base_url"` // only to who has set it up
	Source  EndpointSource `json:"source"`
	HasKey  bool           `json:"has_key"`
	Error   *ListFailure   `json:"error"` // why its models are not listed; nil if they are
}

// Endpoints lists the providers that are set up, as the user may see them, and
// which of them do not list their models.
func (h *Hub) Endpoints(ctx context.Context, user UserID) ([]EndpointInfo, error) {
	list, err := h.store.Endpoints(ctx, user)
	if err != nil {
		return nil, err
	}
	providers, err := h.catalogue.vendors.For(ctx, user)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(providers))
	_, failed := h.catalogue.listAll(ctx, names, providers)
	shared := h.catalogue.knows(ctx, user, "")
	out := slices.Clone(h.opt.Builtin)
	for _, e := range list {
		info := EndpointInfo{Name: e.Name, Kind: e.Kind, BaseURL: e.BaseURL, Source: FromAdmin, HasKey: e.APIKey != ""}
		if e.Owner != "" {
			info.Source = FromUser
		}
		out = append(out, info)
	}
	for i := range out {
		e := &out[i]
		own := e.Source == FromUser
		if !own && !shared {
			e.BaseURL = ""
		}
		at := slices.Index(names, e.Name)
		if at < 0 || failed[at] == nil || own != (providers[e.Name].Owner != "") {
			continue // the user's own of that name is asked instead
		}
		f := listFailure(failed[at], own || shared)
		e.Error = &f
	}
	if out == nil {
		out = []EndpointInfo{}
	}
	return out, nil
}

// Kinds of endpoints that can be added.
var endpointKinds = []string{"openai", "anthropic", "gemini", "ollama"}

// PutEndpoint adds or changes a provider: the owner's own, or everyone's.
func (h *Hub) PutEndpoint(ctx context.Context, e Endpoint) error {
	switch {
	case !ValidEndpointName(e.Name):
		return Invalid("name", "must be 1 to 40 small letters, digits or -")
	case !slices.Contains(endpointKinds, e.Kind):
		return Invalid("kind", "must be one of "+strings.Join(endpointKinds, ", "))
	case slices.ContainsFunc(h.opt.Builtin, func(b EndpointInfo) bool { return b.Name == e.Name && e.Owner == "" }):
		return Invalid("name", "is a provider of the server's settings")
	case e.BaseURL != "" && !ValidBaseURL(e.BaseURL):
		return Invalid("base_url", "must be "+BaseURLRule)
	case e.Kind == "ollama" && e.Owner != "" && e.BaseURL == "":
		return Invalid("base_url", "is required")
	}
	err := h.store.PutEndpoint(ctx, e)
	return err
}

// DeleteEndpoint removes a provider that was added in the page.
func (h *Hub) DeleteEndpoint(ctx context.Context, owner UserID, name string) error {
	err := h.store.DeleteEndpoint(ctx, owner, name)
	return err
}

// ValidEndpointName says whether a provider may be called so.
func ValidEndpointName(name string) bool {
	if name == "" || len(name) > 40 {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// BaseURLRule says in words what [ValidBaseURL] takes.
const BaseURLRule = "a URL such as https://api.example.org/v1, without a name, password, query or fragment"

// ValidBaseURL says whether requests can be sent below a URL. All who may see the
// provider see it: nothing secret may be in it.
func ValidBaseURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && u.RawQuery == "" && !u.ForceQuery && !strings.Contains(s, "#")
}
