package transport

import (
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// people is the calls about accounts and logins. It is safe for concurrent use.
type people struct {
	hub           *hub.Hub
	accounts      Accounts
	logins        *logins
	hasher        *hasher
	lockout       *lockout
	signUps       *throttle // by address
	csrf          *http.CrossOriginProtection
	edge          *edge
	intake        *intake
	audit         auditLog
	refreshTTL    time.Duration
	loginLifetime time.Duration
	grace         time.Duration
}

// register is POST /users.
func (pe *people) register(c echo.Context) error {
	var in struct {
		Username    *string `json:"username"`
		Password    *string `json:"password"`
		DisplayName *string `json:"display_name"`
	}
	if err := pe.intake.readJSON(c, &in); err != nil {
		return err
	}
	switch {
	case in.Username == nil:
		return hub.Invalid("username", "is required")
	case in.Password == nil:
		return hub.Invalid("password", "is required")
	case !validName(*in.Username):
		return hub.Invalid("username", "must be 1 to 64 letters, digits or any of . _ - @")
	}
	u := hub.User{ID: hub.UserID(hub.NewID()), Username: *in.Username, DisplayName: *in.Username}
	if in.DisplayName != nil {
		u.DisplayName = strings.TrimSpace(*in.DisplayName)
	}
	if n := utf8.RuneCountInString(u.DisplayName); n == 0 || n > 100 {
		return hub.Invalid("display_name", "must have 1 to 100 characters")
	}
	if err := checkPassword(*in.Password, u.Username, u.DisplayName); err != nil {
		return err
	}
	done, err := pe.signUps.enter(c.Request().Context(), pe.edge.networkOf(c))
	if err != nil {
		pe.audit.write(c, slog.LevelWarn, "registration_throttled")
		return err
	}
	done(true) // each counts, also one that tells that a name is taken
	hash, err := pe.hasher.hash(c.Request().Context(), normal(*in.Password))
	if err != nil {
		return err
	}
	u, err = pe.accounts.CreateUser(c.Request().Context(), u, hash)
	if err != nil {
		return err
	}
	pe.audit.write(c, slog.LevelInfo, "registered", "user_id", u.ID, "role", u.Role)
	return c.JSON(http.StatusCreated, u)
}

func validName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._-@", r):
		default:
			return false
		}
	}
	return true
}

// me is GET /users/me.
func (pe *people) me(c echo.Context, who identity) error {
	if err := who.MayAll(hub.ScopeRead); err != nil {
		return err
	}
	u, err := pe.accounts.User(c.Request().Context(), who.User)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, u)
}

// models is GET /models.
func (se *settings) models(c echo.Context, who identity) error {
	list, err := se.hub.Models(c.Request().Context(), who.Access)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list)
}
