package hub

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/omnichat/omnichat/hub/background"
)

// catalogue knows which models can be asked, what they can do and what they cost:
// from what providers list, what the admin has set, and what ships. It is safe for
// concurrent use.
type catalogue struct {
	vendors  Vendors
	store    Store
	fallback string // the model that is asked where none is chosen, "" for the first one listed
	bg       *background.Group
	lists    *listings
	prices   *priceTable
}

// ModelList is what a user can ask, and the providers that could not be listed.
type ModelList struct {
	Items  []Model      `json:"items"`
	Failed []FailedList `json:"failed"`
}

func (c *catalogue) models(ctx context.Context, user UserID) (ModelList, error) {
	out := ModelList{Items: []Model{}, Failed: []FailedList{}}
	providers, err := c.vendors.For(ctx, user)
	if err != nil {
		return out, err
	}
	prices := c.prices.custom(ctx)
	names := slices.Sorted(maps.Keys(providers))
	lists, failed := c.lists.listAll(ctx, names, providers)
	for i, name := range names {
		v := providers[name]
		if failed[i] != nil {
			out.Failed = append(out.Failed, FailedList{Provider: name, Error: listFailure(failed[i], c.knows(ctx, user, v.Owner))})
		}
		for _, m := range lists[i] {
			out.Items = append(out.Items, finished(m, name, v, prices))
		}
	}
	if i := slices.IndexFunc(out.Items, func(m Model) bool { return m.ID == c.fallback }); i > 0 {
		out.Items = slices.Concat(out.Items[i:i+1], out.Items[:i], out.Items[i+1:]) // clients take the first for the default
	}
	return out, nil
}

// finished completes what a provider says of a model with the catalog and the prices.
func finished(m Model, name string, v Vendor, prices []ModelPrice) Model {
	m.ID, m.Provider = name+"/"+m.ID, name
	if m.Name == strings.TrimPrefix(m.ID, name+"/") {
		m.Name = baseName(m.Name)
	}
	m.complete(v)
	if p := priceOf(prices, v, m.ID); p != nil {
		m.Price = p
	}
	return m
}

// modelOf returns what is known of a model that is about to be asked: from the catalog that
// ships, if its vendor is asked itself, else from the provider. What the provider does not
// say in time is unknown.
func (c *catalogue) modelOf(ctx context.Context, v Vendor, id string) Model {
	ctx, cancel := context.WithTimeout(ctx, describeFor)
	defer cancel()
	provider, name, _ := strings.Cut(id, "/")
	m := Model{ID: name}
	if _, ok := knownAt(id, v); !ok {
		if described := c.lists.describe(ctx, v, name); described.ID != "" {
			m = described
		} else {
			models, _ := c.lists.list(ctx, provider, v) // why it failed, the list has logged
			for _, listed := range models {
				if listed.ID == name {
					m = listed
				}
			}
		}
	}
	return finished(m, provider, v, c.prices.custom(ctx))
}

// knownModel checks that a model's provider is there. Whether the provider has
// the model, the provider says.
func (c *catalogue) knownModel(ctx context.Context, user UserID, field, id string) error {
	if id == "" {
		return nil
	}
	_, _, err := c.providerOf(ctx, user, field, id)
	return err
}

// providerOf finds the provider of a model, and the model's name there.
func (c *catalogue) providerOf(ctx context.Context, user UserID, field, id string) (Vendor, string, error) {
	name, model, ok := strings.Cut(id, "/")
	if !ok || model == "" {
		return Vendor{}, "", Invalid(field, "must be provider/model")
	}
	providers, err := c.vendors.For(ctx, user)
	if err != nil {
		return Vendor{}, "", err
	}
	v, ok := providers[name]
	if !ok {
		return Vendor{}, "", Invalid(field, "names a provider that is not set up here")
	}
	return v, model, nil
}

// resolveModel returns the model to ask, the default one for "". Whether there is
// such a one is not looked at.
func (c *catalogue) resolveModel(ctx context.Context, user UserID, id string) (string, error) {
	if id == "" {
		id = c.fallback
	}
	if id != "" {
		return id, nil
	}
	models, err := c.models(ctx, user)
	if err != nil {
		return "", err
	}
	if len(models.Items) == 0 {
		return "", Invalid("model", "is required: no provider lists its models now")
	}
	return models.Items[0].ID, nil
}

// knows says whether a user may see where a provider is and what it says itself:
// the admin of those that everyone may ask, and everyone of their own. All others
// learn of a failure what it means for them.
func (c *catalogue) knows(ctx context.Context, user, owner UserID) bool {
	if owner != "" {
		return owner == user
	}
	u, err := c.store.User(ctx, user)
	return err == nil && u.Role == RoleAdmin
}

// failure is what a user may see of a provider's error.
func (c *catalogue) failure(user UserID, v Vendor, err error) *Failure {
	return failureOf(err, func() bool {
		ctx, cancel := context.WithTimeout(c.bg.Context(), 2*time.Second)
		defer cancel()
		return c.knows(ctx, user, v.Owner)
	})
}

// account completes what an answer used: what the provider did not report is
// estimated, and all of it priced. An answer that failed before it began costs
// nothing.
func (c *catalogue) account(ctx context.Context, v Vendor, model string, u *Usage, whole bool, input, output int64) *Usage {
	switch {
	case u == nil:
		u = &Usage{InputTokens: input, OutputTokens: output, Estimated: true}
	case !whole: // what came last was of a moment before the end
		u.OutputTokens, u.Estimated = max(u.OutputTokens, output), true
	}
	u.complete(input, output)
	u.bound()
	if p := c.price(ctx, v, model); p != nil {
		cost := p.Cost(*u)
		u.Cost = &cost
	}
	return u
}

// price is the admin's, the one that ships, or the provider's own; nil if none is
// known.
func (c *catalogue) price(ctx context.Context, v Vendor, model string) *Price {
	if p := priceOf(c.prices.custom(ctx), v, model); p != nil {
		return p
	}
	return c.lists.toldPrice(v, model)
}
