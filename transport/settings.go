package transport

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// settings is the calls about what a user has set, and what the admin has: providers and
// prices; and about what was used. It is safe for concurrent use.
type settings struct {
	hub    *hub.Hub
	intake *intake
	door   *door
	audit  auditLog
}

// userSettings is GET /users/me/settings.
func (se *settings) userSettings(c echo.Context, who identity) error {
	settings, err := se.hub.UserSettings(c.Request().Context(), who.Access)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, settings)
}

// patchUserSettings is PATCH /users/me/settings.
func (se *settings) patchUserSettings(c echo.Context, who identity) error {
	var in struct {
		SystemPrompt  optional[string] `json:"system_prompt"`
		FallbackModel optional[string] `json:"fallback_model"`
	}
	if err := se.intake.readJSON(c, &in); err != nil {
		return err
	}
	if err := checkText("system_prompt", in.SystemPrompt, promptMax); err != nil {
		return err
	}
	if err := checkText("fallback_model", in.FallbackModel, modelMax); err != nil {
		return err
	}
	settings, err := se.hub.UpdateUserSettings(c.Request().Context(), who.Access,
		hub.UserSettingsPatch{SystemPrompt: in.SystemPrompt.value, FallbackModel: in.FallbackModel.value})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, settings)
}

// limits is GET /limits.
func (se *settings) limits(c echo.Context, who identity) error {
	l, err := se.hub.Limits(c.Request().Context(), who.Access)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, l)
}
