package repo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

// CreateUser stores a new user. The first one ever is made the admin. It
// returns CodeUsernameTaken if the name, in whatever case, is somebody's.
func (r *Repo) CreateUser(ctx context.Context, u hub.User, passwordHash string) (hub.User, error) {
	row := userRow{
		ID: u.ID, Username: u.Username, UsernameKey: strings.ToLower(u.Username), DisplayName: u.DisplayName,
		Role: hub.RoleUser, PasswordHash: passwordHash, CreatedAt: now(),
	}
	err := r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		if r.gate == nil { // SQLite's one writer is a lock already
			if _, err := tx.ExecContext(ctx, "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"); err != nil {
				return err
			}
		}
		some, err := tx.NewSelect().Model((*userRow)(nil)).Exists(ctx)
		if err != nil {
			return err
		}
		if !some {
			row.Role = hub.RoleAdmin
		}
		_, err = tx.NewInsert().Model(&row).Exec(ctx)
		return err
	})
	if taken(err) {
		return hub.User{}, &hub.Error{Code: hub.CodeUsernameTaken, Field: "username", Msg: "this username is taken"}
	}
	if err != nil {
		return hub.User{}, fmt.Errorf("create user: %w", err)
	}
	return row.user(), nil
}

// UserByName returns a user and the hash of the password.
func (r *Repo) UserByName(ctx context.Context, username string) (hub.User, string, error) {
	var row userRow
	if err := r.db.NewSelect().Model(&row).Where("username_key = ?", strings.ToLower(username)).Scan(ctx); err != nil {
		return hub.User{}, "", found(err, "user")
	}
	return row.user(), row.PasswordHash, nil
}

// User returns a user.
func (r *Repo) User(ctx context.Context, id hub.UserID) (hub.User, error) {
	var row userRow
	if err := r.db.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx); err != nil {
		return hub.User{}, found(err, "user")
	}
	return row.user(), nil
}

// SetPasswordHash replaces the hash of a password.
func (r *Repo) SetPasswordHash(ctx context.Context, id hub.UserID, hash string) error {
	return r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*userRow)(nil)).Set("password_hash = ?", hash).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// StartGrant stores the first refresh token of a login and the place that it
// came from, and forgets expired tokens of anybody.
func (r *Repo) StartGrant(ctx context.Context, g hub.Grant, network string) error {
	return r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewDelete().Model((*grantRow)(nil)).Where("expires_at < ?", now()).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&familyRow{ID: g.Family, UserID: g.User}).Exec(ctx); err != nil {
			return err
		}
		if err := notePlace(ctx, tx, g.User, network); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&grantRow{Hash: g.Hash[:], FamilyID: g.Family, ExpiresAt: g.ExpiresAt}).Exec(ctx)
		return err
	})
}

// placesMax is how many places of an account are kept, placeFor how long.
const (
	placesMax = 50
	placeFor  = 180 * 24 * time.Hour
)

// notePlace keeps where an account was logged in from.
func notePlace(ctx context.Context, tx bun.Tx, user hub.UserID, network string) error {
	row := placeRow{UserID: user, Network: network, At: now()}
	if _, err := tx.NewInsert().Model(&row).On("CONFLICT (user_id, network) DO UPDATE").Set("at = EXCLUDED.at").Exec(ctx); err != nil {
		return err
	}
	newest := tx.NewSelect().Model((*placeRow)(nil)).Column("network").Where("user_id = ?", user).Order("at DESC").Limit(placesMax)
	_, err := tx.NewDelete().Model((*placeRow)(nil)).Where("user_id = ? AND (at < ? OR network NOT IN (?))", user, now().Add(-placeFor), newest).Exec(ctx)
	return err
}

// LoggedInFrom says whether an account was logged in from there before.
func (r *Repo) LoggedInFrom(ctx context.Context, user hub.UserID, network string) (bool, error) {
	ok, err := r.db.NewSelect().Model((*placeRow)(nil)).
		Where("user_id = ? AND network = ? AND at > ?", user, network, now().Add(-placeFor)).Exists(ctx)
	return ok, fail(err)
}

// RotateGrant replaces a refresh token by the next one of its family, which lasts
// for idle, and no login for longer than lifetime. The token just replaced is
// forgiven for grace, as two tabs may refresh at once: both get the same next
// one. Any older one revokes the family. What is refused is CodeInvalidGrant,
// and returned as far as it is known.
func (r *Repo) RotateGrant(ctx context.Context, old, next [32]byte, at time.Time, grace, idle, lifetime time.Duration) (hub.Grant, error) {
	var out hub.Grant
	refused := false
	err := r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		var row grantRow
		if err := tx.NewRaw("SELECT * FROM grants WHERE hash = ?"+r.forUpdate(), old[:]).Scan(ctx, &row); err != nil {
			return found(err, "grant")
		}
		var family familyRow
		if err := tx.NewRaw("SELECT * FROM grant_families WHERE id = ?"+r.forUpdate(), row.FamilyID).Scan(ctx, &family); err != nil {
			return found(err, "grant")
		}
		end := hub.TimeOf(family.ID).Add(lifetime)
		out = hub.Grant{Hash: next, Family: family.ID, User: family.UserID, ExpiresAt: at.Add(idle)}
		if out.ExpiresAt.After(end) {
			out.ExpiresAt = end
		}
		if refused = family.RevokedAt != nil || row.ExpiresAt.Before(at) || !at.Before(end); refused {
			return nil
		}
		if row.ReplacedAt == nil {
			if _, err := tx.NewUpdate().Model(&row).Set("replaced_at = ?", at).WherePK().Exec(ctx); err != nil {
				return err
			}
			_, err := tx.NewInsert().Model(&grantRow{Hash: next[:], FamilyID: family.ID, ParentHash: old[:], ExpiresAt: out.ExpiresAt}).Exec(ctx)
			return err
		}
		older, err := tx.NewSelect().Model((*grantRow)(nil)).Where("parent_hash = ? AND replaced_at IS NOT NULL", old[:]).Exists(ctx)
		if err != nil {
			return err
		}
		if older || at.Sub(*row.ReplacedAt) > grace {
			refused, out.Reused = true, true
			_, err := tx.NewUpdate().Model(&family).Set("revoked_at = ?", at).WherePK().Exec(ctx)
			return err
		}
		// A next one that was made with another secret is known to nobody here.
		same, err := tx.NewSelect().Model((*grantRow)(nil)).Where("hash = ? AND parent_hash = ?", next[:], old[:]).Exists(ctx)
		refused = !same
		return err
	})
	if refused || hub.CodeOf(err) == hub.CodeNotFound {
		return out, &hub.Error{Code: hub.CodeInvalidGrant, Msg: "the refresh token is not valid; log in again"}
	}
	return out, err
}

// RevokeGrant revokes a refresh token's family and returns it; none for a token
// that is unknown.
func (r *Repo) RevokeGrant(ctx context.Context, hash [32]byte) (g hub.Grant, err error) {
	err = r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		var row familyRow
		if err := tx.NewRaw("SELECT f.* FROM grant_families f JOIN grants g ON g.family_id = f.id WHERE g.hash = ?", hash[:]).Scan(ctx, &row); err != nil {
			return found(err, "grant")
		}
		g = hub.Grant{Hash: hash, Family: row.ID, User: row.UserID}
		_, err := tx.NewUpdate().Model((*familyRow)(nil)).Set("revoked_at = ?", now()).Where("id = ? AND revoked_at IS NULL", row.ID).Exec(ctx)
		return err
	})
	if hub.CodeOf(err) == hub.CodeNotFound {
		return hub.Grant{}, nil
	}
	return g, err
}

// GrantActive says whether a family of refresh tokens is known and not revoked.
func (r *Repo) GrantActive(ctx context.Context, family string) (bool, error) {
	active, err := r.ActiveGrants(ctx, []string{family})
	return len(active) > 0, err
}

// ActiveGrants returns those of families of refresh tokens that are known and
// not revoked.
func (r *Repo) ActiveGrants(ctx context.Context, families []string) ([]string, error) {
	var out []string
	for part := range slices.Chunk(families, familiesMax) {
		var ids []string
		err := r.db.NewSelect().Model((*familyRow)(nil)).Column("id").
			Where("id IN (?) AND revoked_at IS NULL", bun.List(part)).Scan(ctx, &ids)
		if err != nil {
			return nil, fail(err)
		}
		out = append(out, ids...)
	}
	return out, nil
}

// familiesMax bounds what one query asks for: SQLite takes a million bytes.
const familiesMax = 20_000
