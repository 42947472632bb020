package transport

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
)

// Warning is something about how the server is set up that an admin should
// know.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// warnings is what has been warned of, each kind once. It is safe for
// concurrent use.
type warnings struct {
	mu   sync.Mutex
	list []Warning
}

// add logs a warning, and keeps it for the admin, if it is the first of its
// code.
func (w *warnings) add(code string, log *slog.Logger, detail string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.ContainsFunc(w.list, func(k Warning) bool { return k.Code == code }) {
		return
	}
	w.list = append(w.list, Warning{code, detail})
	log.Warn(detail, "code", code)
}

func (w *warnings) all() []Warning {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Warning{}, w.list...)
}

// listWarnings is GET /warnings.
func (op *operation) listWarnings(c echo.Context, _ identity) error {
	return c.JSON(http.StatusOK, map[string]any{"items": op.warnings.all()})
}

// cut bounds a text of a stranger's, in characters, and makes it valid UTF-8.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	for i := range text {
		if most--; most < 0 {
			return text[:i] + "…"
		}
	}
	return text
}
