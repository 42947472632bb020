package repo

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

// UserSettings is hub.SettingsStore's.
func (r *Repo) UserSettings(ctx context.Context, who hub.Access) (hub.UserSettings, error) {
	var out hub.UserSettings
	err := r.db.NewRaw("SELECT system_prompt, fallback_model FROM user_settings WHERE user_id = ?", who.User).Scan(ctx, &out)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return out, fail(err)
}

// UpdateUserSettings is hub.SettingsStore's.
func (r *Repo) UpdateUserSettings(ctx context.Context, who hub.Access, p hub.UserSettingsPatch) (hub.UserSettings, error) {
	var out hub.UserSettings
	err := r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`INSERT INTO user_settings AS s (user_id, system_prompt, fallback_model) VALUES (?0, coalesce(?1, ''), coalesce(?2, ''))
			ON CONFLICT (user_id) DO UPDATE SET system_prompt = coalesce(?1, s.system_prompt), fallback_model = coalesce(?2, s.fallback_model)
			RETURNING system_prompt, fallback_model`, who.User, p.SystemPrompt, p.FallbackModel).Scan(ctx, &out)
	})
	return out, err
}
