package transport

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// userSettings is GET /users/me/settings.
func (s *Server) userSettings(c echo.Context, who identity) error {
	settings, err := s.hub.UserSettings(c.Request().Context(), who.user)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, settings)
}

// patchUserSettings is PATCH /users/me/settings.
func (s *Server) patchUserSettings(c echo.Context, who identity) error {
	var in struct {
		SystemPrompt  optional[string] `json:"system_prompt"`
		FallbackModel optional[string] `json:"fallback_model"`
	}
	if err := s.readJSON(c, &in); err != nil {
		return err
	}
	if err := checkText("system_prompt", in.SystemPrompt, promptMax); err != nil {
		return err
	}
	if err := checkText("fallback_model", in.FallbackModel, modelMax); err != nil {
		return err
	}
	settings, err := s.hub.UpdateUserSettings(c.Request().Context(), who.user,
		hub.UserSettingsPatch{SystemPrompt: in.SystemPrompt.value, FallbackModel: in.FallbackModel.value})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, settings)
}

// limits is GET /limits.
func (s *Server) limits(c echo.Context, who identity) error {
	l, err := s.hub.Limits(c.Request().Context(), who.user)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, l)
}
