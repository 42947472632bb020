package hub

import (
	"cmp"
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
	Host      string `json:"host"` // its vendor's: only there its price counts
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

// knownAt finds a model in the catalog whose vendor is the one that is asked.
func knownAt(model string, v Vendor) (catalogEntry, bool) {
	e, ok := known(model)
	return e, ok && v.at(e.Host)
}

// complete adds what the catalog knows to what the provider said.
func (m *Model) complete(v Vendor) {
	if m.Name == "" || m.Name == m.ID {
		m.Name = baseName(m.ID)
	}
	e, ok := known(m.ID)
	if !ok {
		return
	}
	if m.Context == 0 && !m.OwnContext {
		m.Context = e.Context
	}
	if m.Vision == nil {
		m.Vision = e.Vision
	}
	m.Reasoning = m.Reasoning || e.Reasoning && !m.Thoughtless
	if m.Price == nil && v.at(e.Host) {
		m.Price = e.Price
	}
}

// baseName is what a model is called whose id is the path of a file.
func baseName(id string) string {
	path := strings.ReplaceAll(id, "\\", "/")
	drive := len(path) > 2 && path[1] == ':' && path[2] == '/'
	file := strings.HasSuffix(strings.ToLower(path), ".gguf") || strings.HasSuffix(strings.ToLower(path), ".safetensors")
	if !drive && !file && !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "./") && !strings.HasPrefix(path, "../") &&
		!strings.HasPrefix(path, "~/") && !strings.HasPrefix(path, "file:") {
		return id
	}
	path = strings.TrimRight(path, "/")
	return cmp.Or(path[strings.LastIndexByte(path, '/')+1:], id)
}

// thoughtless says that a model is listed as one that does not reason.
func (m Model) thoughtless() bool {
	_, ok := known(m.ID)
	return (ok || m.Thoughtless) && !m.Reasoning
}
