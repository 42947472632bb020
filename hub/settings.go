package hub

import "context"

// UserSettings is what a user sets for all of their sessions.
type UserSettings struct {
	SystemPrompt  string `json:"system_prompt"`  // of sessions that have none of their own
	FallbackModel string `json:"fallback_model"` // asked when the chosen one fails before its first token; "" for none
}

// UserSettingsPatch changes what is not nil.
type UserSettingsPatch struct {
	SystemPrompt  *string
	FallbackModel *string
}

// SettingsStore is the part of [Store] that keeps what people set.
type SettingsStore interface {
	UserSettings(ctx context.Context, who Access) (UserSettings, error)
	UpdateUserSettings(ctx context.Context, who Access, p UserSettingsPatch) (UserSettings, error)

	// Endpoints returns everyone's and the user's own, with their keys.
	Endpoints(ctx context.Context, who Access) ([]Endpoint, error)
	// PutEndpoint adds or replaces the one with this Owner and Name. An empty
	// APIKey keeps the key there is, if the BaseURL and Kind stay the same.
	// CodeUnavailable if there is no secret to encrypt keys with; CodeInvalid,
	// field name, if it is a user's and one more than EndpointsMax.
	PutEndpoint(ctx context.Context, e Endpoint) error
	DeleteEndpoint(ctx context.Context, owner UserID, name string) error // NotFound if there is none
}
