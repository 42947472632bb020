package repo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

type endpointRow struct {
	bun.BaseModel `bun:"table:endpoints"`

	Owner     hub.UserID `bun:",pk"`
	Name      string     `bun:",pk"`
	UserID    hub.UserID `bun:",nullzero"` // Owner again, for the database
	Kind      string
	BaseURL   string `bun:"base_url"`
	SealedKey []byte
	UpdatedAt time.Time
}

func (e *endpointRow) endpoint() hub.Endpoint {
	return hub.Endpoint{Name: e.Name, Kind: e.Kind, BaseURL: e.BaseURL, Owner: e.Owner, UpdatedAt: e.UpdatedAt.UTC()}
}

// endpointCache has what was read of each user's endpoints since the last change.
// It is for a database that no other process changes: every question needs them.
type endpointCache struct {
	mu      sync.Mutex
	of      map[hub.UserID]cachedEndpoints
	changes int
}

type cachedEndpoints struct {
	list  []hub.Endpoint
	until time.Time
}

// endpointsFor is how long what was read is good: a change whose end is not known
// may come after its forget.
const endpointsFor = 30 * time.Second

// endpointUsers is how many users' endpoints are kept.
const endpointUsers = 10_000

// get returns what is known, or else which change put must have been preceded by.
func (c *endpointCache) get(user hub.UserID) (list []hub.Endpoint, known bool, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got, known := c.of[user]
	return got.list, known && time.Now().Before(got.until), c.changes
}

// put keeps what was read, unless something was changed meanwhile.
func (c *endpointCache) put(user hub.UserID, list []hub.Endpoint, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if changes != c.changes {
		return
	}
	if c.of == nil || len(c.of) >= endpointUsers {
		c.of = map[hub.UserID]cachedEndpoints{}
	}
	c.of[user] = cachedEndpoints{list: list, until: time.Now().Add(endpointsFor)}
}

// forget has all read anew.
func (c *endpointCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of = nil
	c.changes++
}

// Endpoints is hub.SettingsStore's. One whose key cannot be opened has none.
func (r *Repo) Endpoints(ctx context.Context, who hub.Access) ([]hub.Endpoint, error) {
	if r.shared {
		return r.readEndpoints(ctx, who.User)
	}
	list, known, changes := r.endpoints.get(who.User)
	if known {
		return slices.Clone(list), nil
	}
	list, err := r.readEndpoints(ctx, who.User)
	if err == nil {
		r.endpoints.put(who.User, list, changes)
	}
	return slices.Clone(list), err
}

func (r *Repo) readEndpoints(ctx context.Context, user hub.UserID) ([]hub.Endpoint, error) {
	var rows []endpointRow
	if err := r.db.NewSelect().Model(&rows).Where("owner IN ('', ?)", user).Order("owner", "name").Scan(ctx); err != nil {
		return nil, fail(err)
	}
	out := make([]hub.Endpoint, len(rows))
	for i := range rows {
		e := rows[i].endpoint()
		key, err := openKey(r.seal, rows[i].SealedKey, e)
		if err != nil {
			if _, known := r.warned.LoadOrStore([2]string{string(e.Owner), e.Name}, true); !known {
				r.log.Warn("the key of a provider cannot be opened; it must be entered again", "provider", e.Name, "owner", e.Owner, "err", err)
			}
		}
		e.APIKey = key
		out[i] = e
	}
	return out, nil
}

// PutEndpoint is hub.SettingsStore's.
func (r *Repo) PutEndpoint(ctx context.Context, e hub.Endpoint) error {
	row := endpointRow{Owner: e.Owner, Name: e.Name, UserID: e.Owner, Kind: e.Kind, BaseURL: e.BaseURL, UpdatedAt: now()}
	if e.APIKey != "" {
		var err error
		if row.SealedKey, err = sealKey(r.seal, e); err != nil {
			return err
		}
	}
	defer r.endpoints.forget()
	return r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		if err := r.roomForEndpoint(ctx, tx, e); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&row).On("CONFLICT (owner, name) DO UPDATE").
			Set("kind = excluded.kind, base_url = excluded.base_url, updated_at = excluded.updated_at").
			Set(`sealed_key = CASE
				WHEN excluded.sealed_key IS NULL AND ?TableAlias.kind = excluded.kind AND ?TableAlias.base_url = excluded.base_url
				THEN ?TableAlias.sealed_key ELSE excluded.sealed_key END`).
			Exec(ctx)
		return err
	})
}

// roomForEndpoint refuses one that would be too many of its owner's. The user's
// row is locked: no two at once are the last.
func (r *Repo) roomForEndpoint(ctx context.Context, tx bun.Tx, e hub.Endpoint) error {
	if e.Owner == "" {
		return nil
	}
	var locked hub.UserID
	if err := tx.NewRaw("SELECT id FROM users WHERE id = ?"+r.forUpdate(), e.Owner).Scan(ctx, &locked); err != nil {
		return found(err, "user")
	}
	others, err := tx.NewSelect().Model((*endpointRow)(nil)).Where("owner = ?", e.Owner).Where("name <> ?", e.Name).Count(ctx)
	if err != nil || others < hub.EndpointsMax {
		return err
	}
	there, err := tx.NewSelect().Model((*endpointRow)(nil)).Where("owner = ? AND name = ?", e.Owner, e.Name).Exists(ctx)
	if err == nil && !there { // an older version may have left more
		err = hub.Invalid("name", fmt.Sprintf("would be one more than the %d providers that a user may add", hub.EndpointsMax))
	}
	return err
}

// DeleteEndpoint is hub.SettingsStore's.
func (r *Repo) DeleteEndpoint(ctx context.Context, owner hub.UserID, name string) error {
	defer r.endpoints.forget()
	return r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewDelete().Model((*endpointRow)(nil)).Where("owner = ? AND name = ?", owner, name).Exec(ctx)
		return someRow(res, err, "provider")
	})
}
