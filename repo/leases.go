package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

// Renew is hub.Leases's. Leases long past are removed with it.
func (r *Repo) Renew(ctx context.Context, replica string, l hub.Renewal) (oldest int, err error) {
	underWay := []byte("{}")
	if len(l.Used) > 0 {
		if underWay, err = json.Marshal(l.Used); err != nil {
			return 0, fmt.Errorf("what is under way: %w", err)
		}
	}
	err = r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO replicas (id, expires_at, under_way, format) VALUES (?, now() + ? * interval '1 millisecond', ?, ?)
			ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at, under_way = excluded.under_way, format = excluded.format`,
			replica, l.TTL.Milliseconds(), string(underWay), l.Format).Exec(ctx)
		if err != nil {
			return err
		}
		if _, err = tx.NewRaw("DELETE FROM replicas WHERE expires_at < now() - interval '1 hour'").Exec(ctx); err != nil {
			return err
		}
		return tx.NewRaw("SELECT coalesce(min(format), ?) FROM replicas WHERE expires_at > now()", l.Format).Scan(ctx, &oldest)
	})
	return oldest, err
}

// usedFor is how long what a replica's answers have used counts after it has died:
// until they are settled, and booked.
const usedFor = 15 * time.Second

// UsedElsewhere is hub.Leases's.
func (r *Repo) UsedElsewhere(ctx context.Context, replica string, user hub.UserID) (all hub.Used, err error) {
	var rows []string
	err = r.db.NewRaw("SELECT under_way FROM replicas WHERE id <> ? AND under_way <> '{}' AND expires_at > now() - ? * interval '1 millisecond'",
		replica, usedFor.Milliseconds()).Scan(ctx, &rows)
	for _, row := range rows {
		var used map[hub.UserID]hub.Used
		if err == nil {
			err = json.Unmarshal([]byte(row), &used)
		}
		all.Tokens += used[user].Tokens
		all.Cost += used[user].Cost
	}
	return all, fail(err)
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

// SealedSecret is SharedSecret for one that the database does not show where
// OMNICHAT_KEY_SECRET is set. One that lies there as it is gets sealed.
func (r *Repo) SealedSecret(ctx context.Context, name string, fresh []byte) (secret []byte, err error) {
	bound := []byte("shared secret " + name)
	sealed := func(secret []byte) []byte {
		if r.seal == nil {
			return secret
		}
		return r.seal.Seal([]byte{sealVersion}, nil, secret, bound)
	}
	kept, err := r.SharedSecret(ctx, name, sealed(fresh))
	switch {
	case err != nil:
		return nil, err
	case len(kept) > len(fresh) && r.seal == nil:
		return nil, errors.New("it is encrypted, and OMNICHAT_KEY_SECRET is missing: all replicas need the same one")
	case len(kept) > len(fresh):
		if secret, err = r.seal.Open(nil, nil, kept[1:], bound); err != nil {
			return nil, fmt.Errorf("OMNICHAT_KEY_SECRET is not the one that it was encrypted with: %w", err)
		}
		return secret, nil
	case r.seal == nil:
		return kept, nil
	}
	return kept, r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("UPDATE secrets SET value = ? WHERE name = ? AND value = ?", sealed(kept), name, kept).Exec(ctx)
		return err
	})
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
