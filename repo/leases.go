package repo

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

// Renew is hub.Leases's. Leases long past are removed with it.
func (r *Repo) Renew(ctx context.Context, replica string, ttl time.Duration) error {
	return r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO replicas (id, expires_at) VALUES (?, now() + ? * interval '1 millisecond')
			ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`, replica, ttl.Milliseconds()).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("DELETE FROM replicas WHERE expires_at < now() - interval '1 hour'").Exec(ctx)
		return err
	})
}

// Release is hub.Leases's.
func (r *Repo) Release(ctx context.Context, replica string) error {
	_, err := r.db.NewRaw("DELETE FROM replicas WHERE id = ?", replica).Exec(ctx)
	return fail(err)
}

// SharedSecret returns the secret of that name, fresh if there was none.
func (r *Repo) SharedSecret(ctx context.Context, name string, fresh []byte) (secret []byte, err error) {
	err = r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewRaw("INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, fresh).Exec(ctx); err != nil {
			return err
		}
		return tx.NewRaw("SELECT value FROM secrets WHERE name = ?", name).Scan(ctx, &secret)
	})
	if err != nil {
		return nil, fmt.Errorf("shared secret: %w", err)
	}
	return secret, nil
}

// Owned is hub.Leases's.
func (r *Repo) Owned(ctx context.Context, replica string) ([]hub.Ownership, error) {
	var rows []messageRow
	err := r.db.NewSelect().Model(&rows).Column("id", "epoch", "stop_requested_at").
		Where("owner = ? AND status = ?", replica, hub.StatusStreaming).Scan(ctx)
	out := make([]hub.Ownership, len(rows))
	for i, m := range rows {
		out[i] = hub.Ownership{ID: m.ID, Epoch: m.Epoch, Stop: m.StopRequestedAt != nil}
	}
	return out, fail(err)
}
