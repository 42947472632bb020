package hub

import (
	_ "embed"
	"encoding/json"
	"strings"
)

// catalogJSON is what is known of common models: prices in US dollars for a
// million tokens as their vendors list them, and what they can do. Providers
// say more of their own models; the admin changes prices in the page.
//
//go:embed catalog.json
var catalogJSON []byte

// catalogEntry is of all models whose names begin with Name, unless a longer
// one fits.
type catalogEntry struct {
	Name      string `json:"name"`
	Context   int64  `json:"context"`
	Vision    *bool  `json:"vision"`
	Reasoning bool   `json:"reasoning"`
	Small     string `json:"small"` // of this family, the model that makes titles
	Price     *Price `json:"price"`
}

var catalog = readCatalog()

func readCatalog() []catalogEntry {
	var entries []catalogEntry
	if err := json.Unmarshal(catalogJSON, &entries); err != nil {
		panic("hub: catalog.json: " + err.Error()) // a test reads it
	}
	return entries
}

// bareName is a model's name without providers and vendors before it, small.
func bareName(model string) string {
	return strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
}

// known finds a model in the catalog.
func known(model string) (best catalogEntry, ok bool) {
	name := bareName(model)
	for _, e := range catalog {
		if strings.HasPrefix(name, e.Name) && len(e.Name) > len(best.Name) {
			best, ok = e, true
		}
	}
	return best, ok
}

// complete adds what the catalog knows to what the provider said.
func (m *Model) complete() {
	e, ok := known(m.ID)
	if !ok {
		return
	}
	if m.Context == 0 && !m.Whole {
		m.Context = e.Context
	}
	if m.Vision == nil {
		m.Vision = e.Vision
	}
	m.Reasoning = m.Reasoning || e.Reasoning && !m.Whole
	if m.Price == nil {
		m.Price = e.Price
	}
}

// thoughtless says that a model is listed as one that does not reason.
func (m Model) thoughtless() bool {
	_, ok := known(m.ID)
	return (ok || m.Whole) && !m.Reasoning
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
// beginning of its bare one, or what ships. It returns nil if there is none.
func priceOf(custom []ModelPrice, model string) *Price {
	var best *ModelPrice
	for i, p := range custom {
		if strings.EqualFold(p.Model, model) {
			return &custom[i].Price
		}
		if strings.HasPrefix(bareName(model), strings.ToLower(p.Model)) && (best == nil || len(p.Model) > len(best.Model)) {
			best = &custom[i]
		}
	}
	if best != nil {
		return &best.Price
	}
	if e, ok := known(model); ok {
		return e.Price
	}
	return nil
}
