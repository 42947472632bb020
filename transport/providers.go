package transport

import (
	"log/slog"
	"net/http"
	"strings"
	"unicode"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// Limits of a provider's fields, in bytes.
const (
	baseURLMax = 500
	keyMax     = 4000
)

type providerBody struct {
	Kind    *string `json:"kind"`
	BaseURL *string `json:"base_url"`
	APIKey  *string `json:"api_key"`
	Shared  bool    `json:"shared"`
}

// endpoint checks what every kind of provider needs. No word of an error has
// the key in it.
func (b providerBody) endpoint(name string) (hub.Endpoint, error) {
	e := hub.Endpoint{Name: name}
	if b.Kind == nil {
		return e, hub.Invalid("kind", "is required")
	}
	e.Kind = *b.Kind
	if b.BaseURL != nil {
		e.BaseURL = *b.BaseURL
	}
	if b.APIKey != nil {
		e.APIKey = *b.APIKey
	}
	notPlain := func(r rune) bool { return r <= ' ' || r > unicode.MaxASCII || unicode.IsControl(r) }
	switch {
	case len(e.APIKey) > keyMax:
		return e, hub.Invalid("api_key", "is too long")
	case strings.ContainsFunc(e.APIKey, notPlain): // it becomes a header
		return e, hub.Invalid("api_key", "must be plain characters without spaces")
	case len(e.BaseURL) > baseURLMax:
		return e, hub.Invalid("base_url", "is too long")
	}
	return e, nil
}

// listProviders is GET /providers.
func (se *settings) listProviders(c echo.Context, who identity) error {
	items, err := se.hub.Endpoints(c.Request().Context(), who.Access)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"items": items})
}

// putProvider is PUT /providers/{name}.
func (se *settings) putProvider(c echo.Context, who identity) error {
	name, _ := pathText(c.Param("name")) // what is no name, hub refuses
	var in providerBody
	if err := se.intake.readJSON(c, &in); err != nil {
		return err
	}
	e, err := in.endpoint(name)
	if err != nil {
		return err
	}
	if e.Owner, err = se.endpointOwner(c, who, in.Shared); err != nil {
		return err
	}
	if err := se.hub.PutEndpoint(c.Request().Context(), who.Access, e); err != nil {
		return err
	}
	se.audit.write(c, slog.LevelInfo, "provider_changed", "user_id", who.User, "provider", e.Name, "shared", in.Shared)
	return c.NoContent(http.StatusNoContent)
}

// endpointOwner is whose a provider is: the user's own, or everyone's, which is
// the admin's business.
func (se *settings) endpointOwner(c echo.Context, who identity, shared bool) (hub.UserID, error) {
	if !shared {
		return who.User, nil
	}
	return "", se.door.checkAdmin(c.Request().Context(), who)
}

// deleteProvider is DELETE /providers/{name}.
func (se *settings) deleteProvider(c echo.Context, who identity) error {
	shared, err := queryBool(c, "shared")
	if err != nil {
		return err
	}
	owner, err := se.endpointOwner(c, who, shared)
	if err != nil {
		return err
	}
	name, ok := pathText(c.Param("name"))
	if !ok {
		return hub.NotFound("provider")
	}
	if err := se.hub.DeleteEndpoint(c.Request().Context(), who.Access, owner, name); err != nil {
		return err
	}
	se.audit.write(c, slog.LevelInfo, "provider_deleted", "user_id", who.User, "provider", name, "shared", shared)
	return c.NoContent(http.StatusNoContent)
}
