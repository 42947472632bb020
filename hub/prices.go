package hub

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub/background"
)

// priceTable is the prices that the admin has set, as they were read lately. It is safe
// for concurrent use.
type priceTable struct {
	store Store
	bg    *background.Group

	mu    sync.Mutex
	items []ModelPrice
	until time.Time // when they are read again
}

func (t *priceTable) get() ([]ModelPrice, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.items, time.Now().Before(t.until)
}

func (t *priceTable) put(items []ModelPrice) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.items, t.until = items, time.Now().Add(modelsFor)
}

// forget has them read anew.
func (t *priceTable) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = time.Time{}
}

// custom returns the prices; while the database is away, those that were read before.
func (t *priceTable) custom(ctx context.Context) []ModelPrice {
	items, ok := t.get()
	if ok {
		return items
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // an answer does not wait for them
	defer cancel()
	fresh, err := t.store.Prices(ctx)
	if err != nil {
		t.bg.Logger.Warn("read the prices", "err", err)
		return items
	}
	t.put(fresh)
	return fresh
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
