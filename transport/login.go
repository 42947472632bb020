package transport

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

const (
	refreshCookie = "omnichat_refresh" // over TLS their names begin with securePrefix
	accessCookie  = "omnichat_access"
	refreshPath   = "/token"
	accessPath    = "/chat/stream"
)

// Accounts keeps users and their logins.
type Accounts interface {
	CreateUser(ctx context.Context, u hub.User, passwordHash string) (hub.User, error)
	UserByName(ctx context.Context, username string) (hub.User, string, error)
	User(ctx context.Context, id hub.UserID) (hub.User, error)
	SetPasswordHash(ctx context.Context, id hub.UserID, hash string) error
	StartGrant(ctx context.Context, g hub.Grant, network string) error
	LoggedInFrom(ctx context.Context, user hub.UserID, network string) (bool, error)
	RotateGrant(ctx context.Context, old, next [32]byte, now time.Time, grace, idle, lifetime time.Duration) (hub.Grant, error)
	RevokeGrant(ctx context.Context, hash [32]byte) (hub.Grant, error)
	GrantActive(ctx context.Context, family string) (bool, error)
	ActiveGrants(ctx context.Context, families []string) ([]string, error)
}

type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

// readForm reads a form that has only the fields named.
func (ik *intake) readForm(c echo.Context, fields ...string) (url.Values, error) {
	body, err := ik.readBody(c, "application/x-www-form-urlencoded", strangerMax)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &hub.Error{Code: hub.CodeInvalid, Msg: "the body is not a valid form"}
	}
	known := map[string]bool{}
	for _, f := range fields {
		known[f] = true
	}
	for name, values := range form {
		switch {
		case !known[name]:
			return nil, hub.Invalid(name, "is not a field of this request")
		case len(values) > 1:
			return nil, hub.Invalid(name, "is given twice")
		case !utf8.ValidString(values[0]) || strings.ContainsRune(values[0], 0):
			return nil, hub.Invalid(name, "must be valid UTF-8 without U+0000")
		}
	}
	return form, nil
}

// checkSite refuses a request of another site's page. It could take a user's
// cookie, or leave its own: the user would write into somebody else's account.
func (pe *people) checkSite(c echo.Context) error {
	if err := pe.csrf.Check(c.Request()); err != nil {
		pe.audit.write(c, slog.LevelWarn, "site_refused", "origin", cut(c.Request().Header.Get("Origin"), 200))
		return &hub.Error{Code: hub.CodeForbidden, Msg: "a cookie is for the server's own page alone"}
	}
	return nil
}

// token is POST /token.
func (pe *people) token(c echo.Context) error {
	form, err := pe.intake.readForm(c, "grant_type", "username", "password", "refresh_token", "cookie", "scope", "client_id", "client_secret")
	if err != nil {
		return err
	}
	withCookie := form.Get("cookie") == "true"
	if v := form.Get("cookie"); v != "" && v != "true" && v != "false" {
		return hub.Invalid("cookie", "must be true or false")
	}
	if withCookie {
		if err := pe.checkSite(c); err != nil {
			return err
		}
	}
	switch form.Get("grant_type") {
	case "", "password":
		return pe.logIn(c, form, withCookie)
	case "refresh_token":
		return pe.refresh(c, form.Get("refresh_token"), withCookie)
	}
	return hub.Invalid("grant_type", "must be password or refresh_token")
}

func (pe *people) logIn(c echo.Context, form url.Values, withCookie bool) error {
	ctx, name, password := c.Request().Context(), form.Get("username"), form.Get("password")
	if name == "" {
		return hub.Invalid("username", "is required")
	}
	if password == "" {
		return hub.Invalid("password", "is required")
	}
	password = first(password, passwordMax+1) // nobody has one of so many characters
	u, hash, missing, err := pe.credentials(ctx, name)
	if err != nil {
		return err
	}
	device := pe.lockout.deviceOf(c, name)
	try, err := pe.lockout.tryLogin(c, name, u.ID, device)
	if err != nil {
		if hub.CodeOf(err) == hub.CodeRateLimited {
			pe.audit.write(c, slog.LevelWarn, "login_throttled", "user_id", accountOf(u, missing))
		}
		return err
	}
	defer try.leave()
	ok, old, err := pe.hasher.check(ctx, password, hash)
	if err != nil {
		return err
	}
	if !ok || missing {
		try.wrong = true
		pe.audit.write(c, slog.LevelWarn, "login_failed", "user_id", accountOf(u, missing))
		return &hub.Error{Code: hub.CodeInvalidGrant, Msg: "wrong username or password"}
	}
	try.right = true
	if old {
		if hash, err = pe.hasher.hash(ctx, normal(password)); err == nil {
			err = pe.accounts.SetPasswordHash(ctx, u.ID, hash)
		}
		if err != nil {
			return err
		}
	}
	token, sum := newToken()
	ends := time.Now().UTC().Truncate(time.Microsecond).Add(min(pe.refreshTTL, pe.loginLifetime))
	g := hub.Grant{Hash: sum, Family: hub.NewID(), User: u.ID, ExpiresAt: ends}
	if err := pe.accounts.StartGrant(ctx, g, pe.edge.networkOf(c)); err != nil {
		return err
	}
	pe.audit.write(c, slog.LevelInfo, "login", "user_id", u.ID, "login", g.Family)
	if withCookie {
		pe.edge.setCookie(c, deviceCookie, refreshPath, pe.lockout.deviceValue(device, name), deviceTTL)
	}
	return pe.answerToken(c, g, token, withCookie)
}

// credentials reads the account of a name and the hash of its password. For a name without an
// account it returns a hash, too, so that a wrong name takes as long as a wrong password.
func (pe *people) credentials(ctx context.Context, name string) (u hub.User, hash string, missing bool, err error) {
	if validName(name) {
		u, hash, err = pe.accounts.UserByName(ctx, name)
		if hub.CodeOf(err) != hub.CodeNotFound {
			return u, hash, false, err
		}
	}
	return hub.User{ID: nobody}, pe.hasher.dummy, true, nil
}

// refresh rotates the refresh token of the form or of the cookie.
func (pe *people) refresh(c echo.Context, token string, withCookie bool) error {
	if token == "" && withCookie {
		token = cookie(c, refreshCookie)
		if token == "" {
			return &hub.Error{Code: hub.CodeInvalidGrant, Msg: "not logged in"}
		}
	}
	if token == "" {
		return hub.Invalid("refresh_token", "is required")
	}
	next, sum := pe.nextToken(token)
	at := time.Now().UTC().Truncate(time.Microsecond)
	ctx := c.Request().Context()
	g, err := pe.accounts.RotateGrant(ctx, sha256.Sum256([]byte(token)), sum, at, pe.grace, pe.refreshTTL, pe.loginLifetime)
	if g.Reused {
		pe.audit.write(c, slog.LevelWarn, "refresh_reused", "user_id", g.User, "login", g.Family)
		pe.hub.Revoke(ctx, g.Family) // its access tokens end here at once
	} else if hub.CodeOf(err) == hub.CodeInvalidGrant {
		pe.audit.write(c, slog.LevelInfo, "refresh_refused", "user_id", g.User, "login", g.Family)
	}
	if err != nil {
		return err
	}
	return pe.answerToken(c, g, next, withCookie)
}

// nextToken returns the refresh token that follows another. It is always the same one, so that
// two tabs which refresh at once get the same. To compute it takes both the token before and
// the server's secret.
func (pe *people) nextToken(token string) (string, [32]byte) {
	next := base64.RawURLEncoding.EncodeToString(pe.lockout.mac("refresh token", token))
	return next, sha256.Sum256([]byte(next))
}

func newToken() (string, [32]byte) {
	var b [32]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	token := base64.RawURLEncoding.EncodeToString(b[:])
	return token, sha256.Sum256([]byte(token))
}

func (pe *people) answerToken(c echo.Context, g hub.Grant, refresh string, withCookie bool) error {
	access, ttl, err := pe.logins.sign(g.User, g.Family, g.ExpiresAt)
	if err != nil {
		return err
	}
	pe.logins.note(g.Family, true, time.Now())
	res := tokenResponse{AccessToken: access, TokenType: "bearer", ExpiresIn: int(ttl / time.Second), RefreshToken: refresh}
	if withCookie {
		res.RefreshToken = ""
		pe.edge.setCookie(c, refreshCookie, refreshPath, refresh, time.Until(g.ExpiresAt))
		pe.edge.setCookie(c, accessCookie, accessPath, access, ttl)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, res)
}

// revoke is POST /token/revoke (RFC 7009): it answers 200 for any token.
func (pe *people) revoke(c echo.Context) error {
	form, err := pe.intake.readForm(c, "token", "token_type_hint", "cookie")
	if err != nil {
		return err
	}
	token, own := form.Get("token"), pe.csrf.Check(c.Request()) == nil
	if token == "" {
		if err := pe.checkSite(c); err != nil {
			return err
		}
		if token = cookie(c, refreshCookie); token == "" {
			return hub.Invalid("token", "is required")
		}
	}
	ctx := c.Request().Context()
	g, err := pe.accounts.RevokeGrant(ctx, sha256.Sum256([]byte(token)))
	if err != nil {
		return err
	}
	if g.Family != "" {
		pe.audit.write(c, slog.LevelInfo, "logout", "user_id", g.User, "login", g.Family)
		pe.hub.Revoke(ctx, g.Family)
	}
	if own { // another page, be it on another port of this host, may not take the user's cookies away
		pe.edge.clearCookie(c, refreshCookie, refreshPath)
		pe.edge.clearCookie(c, accessCookie, accessPath)
	}
	return c.NoContent(http.StatusOK)
}
