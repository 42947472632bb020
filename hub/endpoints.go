package hub

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Endpoints lists the providers that are set up, as the user may see them, and
// which of them do not list their models.
func (h *Hub) Endpoints(ctx context.Context, who Access) ([]EndpointInfo, error) {
	if err := who.MayAll(ScopeRead); err != nil {
		return nil, err
	}
	list, err := h.store.Endpoints(ctx, who)
	if err != nil {
		return nil, err
	}
	providers, err := h.catalogue.vendors.For(ctx, who.User)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(providers))
	_, failed := h.catalogue.lists.listAll(ctx, names, providers)
	shared := h.catalogue.knows(ctx, who.User, "")
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

// mayChange refuses to change the providers of an owner; those of everyone are the admin's.
func (a Access) mayChange(owner UserID) error {
	switch owner {
	case "":
		return a.MayAll(ScopeAdmin)
	case a.User:
		return a.MayAll(ScopeAccount)
	}
	return NotFound("provider")
}

// PutEndpoint adds or changes a provider: the owner's own, or everyone's.
func (h *Hub) PutEndpoint(ctx context.Context, who Access, e Endpoint) error {
	if err := who.mayChange(e.Owner); err != nil {
		return err
	}
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
	return h.store.PutEndpoint(ctx, e)
}

// DeleteEndpoint removes a provider that was added in the page.
func (h *Hub) DeleteEndpoint(ctx context.Context, who Access, owner UserID, name string) error {
	if err := who.mayChange(owner); err != nil {
		return err
	}
	return h.store.DeleteEndpoint(ctx, owner, name)
}
