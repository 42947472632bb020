package repo

import (
	"context"
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
