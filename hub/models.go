package hub

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// modelsFor is how long a list of models is good.
const modelsFor = time.Minute

// modelCache holds the last list of models.
type modelCache struct {
	mu    sync.Mutex
	items []Model
	at    time.Time
}

// Models lists what can be asked, of all providers. A provider that does not
// answer is left out until it does.
func (h *Hub) Models(ctx context.Context) ([]Model, error) {
	h.models.mu.Lock()
	items, at := h.models.items, h.models.at
	h.models.mu.Unlock()
	if items != nil && time.Since(at) < modelsFor {
		return items, nil
	}
	names := make([]string, 0, len(h.providers))
	for name := range h.providers {
		names = append(names, name)
	}
	slices.Sort(names)
	items = []Model{}
	whole := true
	for _, name := range names {
		list, err := h.providers[name].Models(ctx)
		if err != nil {
			h.log.Warn("list models", "provider", name, "err", err)
			whole = false
			continue
		}
		for _, m := range list {
			m.ID, m.Provider = name+"/"+m.ID, name
			items = append(items, m)
		}
	}
	if whole {
		h.models.mu.Lock()
		h.models.items, h.models.at = items, time.Now()
		h.models.mu.Unlock()
	}
	return items, nil
}

// knownModel checks that a model's provider is there. Whether the provider has
// the model, the provider says.
func (h *Hub) knownModel(id string) error {
	if id == "" {
		return nil
	}
	provider, model, ok := strings.Cut(id, "/")
	if !ok || model == "" {
		return Invalid("model", "must be provider/model")
	}
	if h.providers[provider] == nil {
		return Invalid("model", "names a provider that is not set up here")
	}
	return nil
}

// resolveModel returns the model to ask, the default one for "".
func (h *Hub) resolveModel(ctx context.Context, id string) (string, error) {
	if id == "" {
		id = h.opt.DefaultModel
	}
	if id != "" {
		return id, h.knownModel(id)
	}
	models, err := h.Models(ctx)
	if err != nil {
		return "", err
	}
	if len(models) == 0 {
		return "", Invalid("model", "is required: no provider lists its models now")
	}
	return models[0].ID, nil
}
