package transport

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// usage is GET /usage.
func (se *settings) usage(c echo.Context, who identity) error {
	q := hub.UsageQuery{User: who.User, By: hub.UsageBy(c.QueryParam("by"))}
	switch q.By {
	case "":
		q.By = hub.UsageByDay
	case hub.UsageByDay, hub.UsageByModel, hub.UsageBySession, hub.UsageByUser:
	default:
		return hub.Invalid("by", "must be day, model, session or user")
	}
	days, err := queryInt(c, "days", 1, 366, 30)
	if err != nil {
		return err
	}
	everyone, err := queryBool(c, "everyone")
	if err != nil {
		return err
	}
	if everyone || q.By == hub.UsageByUser {
		if err := se.door.checkAdmin(c.Request().Context(), who); err != nil {
			return err
		}
		q.User = ""
	}
	// Whole days, today's among them.
	q.Since = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-int(days))
	items, err := se.hub.Usage(c.Request().Context(), who.Access, q)
	if err != nil {
		return err
	}
	if items == nil {
		items = []hub.UsageSum{}
	}
	return c.JSON(http.StatusOK, struct {
		Items []hub.UsageSum `json:"items"`
		Since time.Time      `json:"since"`
	}{items, q.Since})
}
