package hub

import (
	"context"
	"maps"
	"runtime/debug"
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

// listMax is how many lists and descriptions are kept.
const listMax = 1000

// priceCache holds the prices that were read lately.
type priceCache struct {
	mu    sync.Mutex
	items []ModelPrice
	until time.Time
}

func (c *priceCache) get() ([]ModelPrice, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.items, time.Now().Before(c.until)
}

func (c *priceCache) put(items []ModelPrice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items, c.until = items, time.Now().Add(modelsFor)
}

// forget has them read anew.
func (c *priceCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Time{}
}

// listings has what providers listed lately, for all who may ask them.
type listings struct {
	mu sync.Mutex
	of map[listed]*listing
}

// listed is a provider, or one model of it that was described.
type listed struct {
	provider Provider
	model    string
}

// listing is what was read last, and the reading that is under way.
type listing struct {
	models []Model // of a reading that failed: those of the one before
	err    error
	until  time.Time
	busy   chan struct{} // closed when the reading has ended; nil if there is none
}

// lately returns what is known, read anew if that is too old. Whoever else wants the
// same meanwhile waits for the same reading; ctx ends the wait, and not the reading.
func (h *Hub) lately(ctx context.Context, of listed, read func(ctx context.Context) ([]Model, time.Duration, error)) ([]Model, error) {
	l := &h.lists
	l.mu.Lock()
	e := l.of[of]
	if e == nil {
		if l.of == nil || len(l.of) >= listMax {
			l.of = map[listed]*listing{}
		}
		e = &listing{}
		l.of[of] = e
	}
	if time.Now().Before(e.until) {
		defer l.mu.Unlock()
		return e.models, e.err
	}
	if e.busy == nil {
		e.busy = make(chan struct{})
		h.loops.Go(func() { h.readList(e, read) })
	}
	busy := e.busy
	l.mu.Unlock()
	select {
	case <-busy:
	case <-ctx.Done():
		return nil, errUnlisted
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.models, e.err
}

// readList reads a list for all who wait for it.
func (h *Hub) readList(e *listing, read func(ctx context.Context) ([]Model, time.Duration, error)) {
	var models []Model
	var goodFor time.Duration
	var err error
	defer func() {
		if r := recover(); r != nil {
			h.log.Error("provider panicked", "panic", r, "stack", string(debug.Stack()))
			err = errUnlisted
		}
		h.lists.mu.Lock()
		defer h.lists.mu.Unlock()
		close(e.busy)
		e.busy, e.err, e.until = nil, err, time.Now().Add(goodFor)
		if err == nil {
			e.models = models
		} else {
			e.until = time.Now().Add(partFor)
		}
	}()
	models, goodFor, err = read(h.base)
}

var errUnlisted = &Error{Code: CodeProviderTimeout, Msg: "The provider did not list its models in time."}

// list returns a provider's models, and why they were not read the last time.
func (h *Hub) list(ctx context.Context, name string, v Vendor) ([]Model, error) {
	return h.lately(ctx, listed{provider: v.Provider}, func(ctx context.Context) ([]Model, time.Duration, error) {
		models, err := v.Models(ctx)
		if err != nil {
			h.log.Warn("list models", "provider", name, "err", err)
		}
		return kept(models), modelsFor, err
	})
}

// What is kept of a provider's list, which is whatever a server says that a user
// names.
const (
	keptMax = 5000
	nameMax = 200 // bytes of a model's id or name
)

// kept is a list without models that cannot be asked and what is too long. It
// holds on to nothing of what it was read from.
func kept(models []Model) []Model {
	if models == nil {
		return nil
	}
	out := make([]Model, 0, min(len(models), keptMax))
	for _, m := range models {
		if len(out) == keptMax {
			break
		}
		if len(m.ID) > nameMax {
			continue
		}
		if len(m.Name) > nameMax {
			m.Name = ""
		}
		m.ID, m.Name = strings.Clone(m.ID), strings.Clone(m.Name)
		out = append(out, m)
	}
	return out
}

// ModelList is what a user can ask, and the providers that could not be listed.
type ModelList struct {
	Items  []Model      `json:"items"`
	Failed []FailedList `json:"failed"`
}

// Models lists what the user can ask, of all providers, the default model first.
// Of a provider that does not answer it has what that said before.
func (h *Hub) Models(ctx context.Context, user UserID) (ModelList, error) {
	out := ModelList{Items: []Model{}, Failed: []FailedList{}}
	providers, err := h.vendors.For(ctx, user)
	if err != nil {
		return out, err
	}
	prices := h.customPrices(ctx)
	names := slices.Sorted(maps.Keys(providers))
	lists, failed := h.listAll(ctx, names, providers)
	for i, name := range names {
		v := providers[name]
		if failed[i] != nil {
			out.Failed = append(out.Failed, FailedList{Provider: name, Error: h.listFailure(failed[i], h.knows(ctx, user, v.Owner))})
		}
		for _, m := range lists[i] {
			out.Items = append(out.Items, finished(m, name, v, prices))
		}
	}
	if i := slices.IndexFunc(out.Items, func(m Model) bool { return m.ID == h.opt.DefaultModel }); i > 0 {
		out.Items = slices.Concat(out.Items[i:i+1], out.Items[:i], out.Items[i+1:]) // clients take the first for the default
	}
	return out, nil
}

// listAll lists many providers at once.
func (h *Hub) listAll(ctx context.Context, names []string, providers map[string]Vendor) ([][]Model, []error) {
	lists := make([][]Model, len(names))
	failed := make([]error, len(names))
	var asked sync.WaitGroup
	for i, name := range names {
		asked.Go(func() {
			failed[i] = guarded(h.log, "list of models", func() (err error) {
				lists[i], err = h.list(ctx, name, providers[name])
				return err
			})
		})
	}
	asked.Wait()
	return lists, failed
}

// finished is a model as it is told, of what its provider says of it.
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

// customPrices are the admin's, as read lately; while the database is away, as
// read before.
func (h *Hub) customPrices(ctx context.Context) []ModelPrice {
	items, ok := h.prices.get()
	if ok {
		return items
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // an answer does not wait for them
	defer cancel()
	fresh, err := h.store.Prices(ctx)
	if err != nil {
		h.log.Warn("read the prices", "err", err)
		return items
	}
	h.prices.put(fresh)
	return fresh
}

// describeFor is how long a provider may take to say what a model can do before it
// is asked, and describedFor how long that is good.
const (
	describeFor  = 3 * time.Second
	describedFor = 10 * time.Second
)

// modelOf says what is known of a model that is about to be asked. What the catalog
// does not know of its vendor's own, the provider is asked, by the first who needs
// it; without an answer in time it is unknown.
func (h *Hub) modelOf(ctx context.Context, v Vendor, id string) Model {
	ctx, cancel := context.WithTimeout(ctx, describeFor)
	defer cancel()
	provider, name, _ := strings.Cut(id, "/")
	m := Model{ID: name}
	if _, ok := knownAt(id, v); !ok {
		if described := h.describe(ctx, v, name); described.ID != "" {
			m = described
		} else {
			models, _ := h.list(ctx, provider, v) // why it failed, the list has logged
			for _, listed := range models {
				if listed.ID == name {
					m = listed
				}
			}
		}
	}
	return finished(m, provider, v, h.customPrices(ctx))
}

// describe has the provider describe one model, if it can.
func (h *Hub) describe(ctx context.Context, v Vendor, name string) Model {
	d, ok := v.Provider.(Describer)
	if !ok {
		return Model{}
	}
	got, err := h.lately(ctx, listed{v.Provider, name}, func(ctx context.Context) ([]Model, time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, describeFor)
		defer cancel()
		m, err := d.Describe(ctx, name)
		if err != nil {
			h.log.Warn("describe a model", "model", name, "err", err)
		}
		if m.Context == 0 && m.ID != "" { // known once the model is loaded
			return []Model{m}, 0, err
		}
		return []Model{m}, describedFor, err
	})
	if err != nil || len(got) == 0 {
		return Model{}
	}
	return got[0]
}

// toldPrice is what the provider itself has listed as a model's price, if it has.
func (h *Hub) toldPrice(v Vendor, id string) *Price {
	_, name, _ := strings.Cut(id, "/")
	h.lists.mu.Lock()
	defer h.lists.mu.Unlock()
	e := h.lists.of[listed{provider: v.Provider}]
	if e == nil {
		return nil
	}
	for _, m := range e.models {
		if m.ID == name {
			return m.Price
		}
	}
	return nil
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
func (h *Hub) providerOf(ctx context.Context, user UserID, field, id string) (Vendor, string, error) {
	name, model, ok := strings.Cut(id, "/")
	if !ok || model == "" {
		return Vendor{}, "", Invalid(field, "must be provider/model")
	}
	providers, err := h.vendors.For(ctx, user)
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
	if len(models.Items) == 0 {
		return "", Invalid("model", "is required: no provider lists its models now")
	}
	return models.Items[0].ID, nil
}
