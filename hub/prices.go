package hub

import (
	"context"
	"strings"
	"sync"
	"time"
)

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

// customPrices are the admin's, as read lately; while the database is away, as
// read before.
func (c *catalogue) customPrices(ctx context.Context) []ModelPrice {
	items, ok := c.prices.get()
	if ok {
		return items
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // an answer does not wait for them
	defer cancel()
	fresh, err := c.store.Prices(ctx)
	if err != nil {
		c.bg.Logger.Warn("read the prices", "err", err)
		return items
	}
	c.prices.put(fresh)
	return fresh
}

// toldPrice is what the provider itself has listed as a model's price, if it has.
func (c *catalogue) toldPrice(v Vendor, id string) *Price {
	_, name, _ := strings.Cut(id, "/")
	c.lists.mu.Lock()
	defer c.lists.mu.Unlock()
	e := c.lists.of[listed{provider: v.Provider}]
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
	if p := priceOf(c.customPrices(ctx), v, model); p != nil {
		return p
	}
	return c.toldPrice(v, model)
}

// shippedPrices is the table of prices as it ships.
func shippedPrices() []ModelPrice {
	out := []ModelPrice{}
	for _, e := range catalog {
		if e.Price != nil {
			out = append(out, ModelPrice{Model: e.Name, Price: *e.Price})
		}
	}
	return out
}

// priceOf finds a model's price: the admin's for its full name or the longest
// beginning of its bare one, or what ships. It returns nil if there is none. What
// ships is of the vendor's own address, and what the admin sets is of the vendors'
// and of the providers that everyone may ask: a user's own endpoint may be called
// like one of those, and its models like a vendor's.
func priceOf(custom []ModelPrice, v Vendor, model string) *Price {
	e, ok := knownAt(model, v)
	var best *ModelPrice
	for i, p := range custom {
		if v.Owner == "" && strings.EqualFold(p.Model, model) {
			return &custom[i].Price
		}
		if (v.Owner == "" || ok) && strings.HasPrefix(bareName(model), strings.ToLower(p.Model)) && (best == nil || len(p.Model) > len(best.Model)) {
			best = &custom[i]
		}
	}
	switch {
	case best != nil:
		return &best.Price
	case ok:
		return e.Price
	}
	return nil
}
