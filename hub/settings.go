package hub

import "context"

// UserSettings returns what the user has set for all of their sessions.
func (h *Hub) UserSettings(ctx context.Context, user UserID) (UserSettings, error) {
	return h.store.UserSettings(ctx, user)
}

// UpdateUserSettings changes it.
func (h *Hub) UpdateUserSettings(ctx context.Context, user UserID, p UserSettingsPatch) (UserSettings, error) {
	if p.FallbackModel != nil && *p.FallbackModel != "" {
		if err := h.catalogue.knownModel(ctx, user, "fallback_model", *p.FallbackModel); err != nil {
			return UserSettings{}, err
		}
	}
	return h.store.UpdateUserSettings(ctx, user, p)
}

// Usage sums up what was used.
func (h *Hub) Usage(ctx context.Context, q UsageQuery) ([]UsageSum, error) {
	return h.store.Usage(ctx, q)
}
