package transport

import (
	"log/slog"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// auditLog is the lines that an operator looks for after an attack. It is safe for
// concurrent use.
type auditLog struct{ logger *slog.Logger }

// write writes a line of what concerns security: one for each event. No secret
// goes in, nor a name that somebody has typed, which may be a password.
func (a *auditLog) write(c echo.Context, level slog.Level, event string, args ...any) {
	all := append([]any{"event", event, "address", c.RealIP(), "agent", cut(c.Request().UserAgent(), 200)}, args...)
	a.logger.Log(c.Request().Context(), level, "security", all...)
}

// accountOf is how a line names an account that may not be there.
func accountOf(u hub.User, missing bool) string {
	if missing {
		return "unknown"
	}
	return string(u.ID)
}
