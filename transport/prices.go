package transport

import (
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// priceMax is dollars for a million tokens.
const priceMax = 1_000_000

// listPrices is GET /prices.
func (se *settings) listPrices(c echo.Context, who identity) error {
	items, err := se.hub.Prices(c.Request().Context(), who.Access)
	if err != nil {
		return err
	}
	if items == nil {
		items = []hub.ModelPrice{}
	}
	return c.JSON(http.StatusOK, map[string]any{"items": items})
}

// pricedModel reads the model from the path: all that follows, for it may have
// slashes, encoded or not.
func pricedModel(c echo.Context) (string, bool) {
	_, escaped, _ := strings.Cut(c.Request().URL.EscapedPath(), "/prices/")
	model, ok := pathText(escaped)
	return model, ok && utf8.RuneCountInString(model) <= modelMax
}

// putPrice is PUT /prices/{model}.
func (se *settings) putPrice(c echo.Context, who identity) error {
	var in struct {
		Input       *float64 `json:"input"`
		CachedInput *float64 `json:"cached_input"`
		Output      *float64 `json:"output"`
	}
	if err := se.intake.readJSON(c, &in); err != nil {
		return err
	}
	model, ok := pricedModel(c)
	if !ok {
		return hub.Invalid("model", "must have 1 to 200 characters of UTF-8 without U+0000")
	}
	p := hub.ModelPrice{Model: model}
	for _, f := range []struct {
		name string
		from *float64
		to   *float64
	}{{"input", in.Input, &p.Input}, {"cached_input", in.CachedInput, &p.CachedInput}, {"output", in.Output, &p.Output}} {
		if f.from == nil {
			return hub.Invalid(f.name, "is required")
		}
		if *f.from < 0 || *f.from > priceMax {
			return hub.Invalid(f.name, "must be from 0 to 1000000 dollars for a million tokens")
		}
		*f.to = *f.from
	}
	if err := se.hub.PutPrice(c.Request().Context(), who.Access, p); err != nil {
		return err
	}
	se.audit.write(c, slog.LevelInfo, "price_changed", "user_id", who.User, "model", model)
	return c.NoContent(http.StatusNoContent)
}

// deletePrice is DELETE /prices/{model}.
func (se *settings) deletePrice(c echo.Context, who identity) error {
	model, ok := pricedModel(c)
	if !ok {
		return hub.NotFound("price")
	}
	if err := se.hub.DeletePrice(c.Request().Context(), who.Access, model); err != nil {
		return err
	}
	se.audit.write(c, slog.LevelInfo, "price_deleted", "user_id", who.User, "model", model)
	return c.NoContent(http.StatusNoContent)
}
