package hub

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// modelsFor is how long a list of models, or the table of prices, is good.
const modelsFor = time.Minute

// partFor is how long a list is good that lacks a provider's models: so long
// nobody waits for that provider again.
const partFor = 10 * time.Second

// listMax is how many users' lists are kept.
const listMax = 1000

// cache holds what was read lately, by user where that matters.
type cache[T any] struct {
	mu    sync.Mutex
	items map[UserID]cached[T]
}

type cached[T any] struct {
	items []T
	until time.Time
}

func (c *cache[T]) get(user UserID) ([]T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got, ok := c.items[user]
	return got.items, ok && time.Now().Before(got.until)
}

func (c *cache[T]) put(user UserID, items []T, goodFor time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items == nil || len(c.items) >= listMax {
		c.items = map[UserID]cached[T]{}
	}
	c.items[user] = cached[T]{items: items, until: time.Now().Add(goodFor)}
}

// forget has everything read anew.
func (c *cache[T]) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = nil
}

// Models lists what the user can ask, of all providers, the default model first.
// Of a provider that does not answer it has what that said before.
func (h *Hub) Models(ctx context.Context, user UserID) ([]Model, error) {
	if items, ok := h.models.get(user); ok {
		return items, nil
	}
	providers, err := h.vendors.For(ctx, user)
	if err != nil {
		return nil, err
	}
	prices := h.customPrices(ctx)
	names := make([]string, 0, len(providers))
	for name := range providers {
		names = append(names, name)
	}
	slices.Sort(names)
	lists := make([][]Model, len(names))
	failed := make([]error, len(names))
	var asked sync.WaitGroup
	ask := context.WithoutCancel(ctx) // the list is kept, whoever hangs up; providers have a limit of their own
	for i, name := range names {
		asked.Go(func() { lists[i], failed[i] = providers[name].Models(ask) })
	}
	asked.Wait()
	before, _ := h.models.get(user)
	items := []Model{}
	goodFor := modelsFor
	for i, name := range names {
		if failed[i] != nil {
			h.log.Warn("list models", "provider", name, "err", failed[i])
			goodFor = partFor
			for _, m := range before {
				if m.Provider == name {
					items = append(items, m)
				}
			}
			continue
		}
		for _, m := range lists[i] {
			m.ID, m.Provider = name+"/"+m.ID, name
			m.complete()
			if p := priceOf(prices, m.ID); p != nil {
				m.Price = p
			}
			items = append(items, m)
		}
	}
	if i := slices.IndexFunc(items, func(m Model) bool { return m.ID == h.opt.DefaultModel }); i > 0 {
		items = slices.Concat(items[i:i+1], items[:i], items[i+1:]) // clients take the first for the default
	}
	h.models.put(user, items, goodFor)
	return items, nil
}

// customPrices are the admin's, as read lately; while the database is away, as
// read before.
func (h *Hub) customPrices(ctx context.Context) []ModelPrice {
	items, ok := h.prices.get("")
	if ok {
		return items
	}
	fresh, err := h.store.Prices(ctx)
	if err != nil {
		h.log.Warn("read the prices", "err", err)
		return items
	}
	h.prices.put("", fresh, modelsFor)
	return fresh
}

// modelLately says what is known of a model without asking its provider: what
// that said the last time, or the catalog.
func (h *Hub) modelLately(user UserID, id string) Model {
	items, _ := h.models.get(user)
	for _, m := range items {
		if m.ID == id {
			return m
		}
	}
	m := Model{ID: id}
	m.complete()
	return m
}

// knownModel checks that a model's provider is there. Whether the provider has
// the model, the provider says.
func (h *Hub) knownModel(ctx context.Context, user UserID, field, id string) error {
	if id == "" {
		return nil
	}
	_, _, err := h.providerOf(ctx, user, field, id)
	return err
}

// providerOf finds the provider of a model, and the model's name there.
func (h *Hub) providerOf(ctx context.Context, user UserID, field, id string) (Provider, string, error) {
	name, model, ok := strings.Cut(id, "/")
	if !ok || model == "" {
		return nil, "", Invalid(field, "must be provider/model")
	}
	providers, err := h.vendors.For(ctx, user)
	if err != nil {
		return nil, "", err
	}
	if providers[name] == nil {
		return nil, "", Invalid(field, "names a provider that is not set up here")
	}
	return providers[name], model, nil
}

// resolveModel returns the model to ask, the default one for "". Whether there is
// such a one is not looked at.
func (h *Hub) resolveModel(ctx context.Context, user UserID, id string) (string, error) {
	if id == "" {
		id = h.opt.DefaultModel
	}
	if id != "" {
		return id, nil
	}
	models, err := h.Models(ctx, user)
	if err != nil {
		return "", err
	}
	if len(models) == 0 {
		return "", Invalid("model", "is required: no provider lists its models now")
	}
	return models[0].ID, nil
}
