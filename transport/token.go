package transport

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

const (
	refreshCookie = "omnichat_refresh"
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
	StartGrant(ctx context.Context, g hub.Grant) error
	RotateGrant(ctx context.Context, old, next [32]byte, now time.Time, grace time.Duration, expires time.Time) (hub.Grant, error)
	RevokeGrant(ctx context.Context, hash [32]byte) (family string, err error)
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
func (s *Server) readForm(c echo.Context, fields ...string) (url.Values, error) {
	body, err := s.readBody(c, "application/x-www-form-urlencoded")
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
func (s *Server) checkSite(c echo.Context) error {
	if err := s.csrf.Check(c.Request()); err != nil {
		return &hub.Error{Code: hub.CodeForbidden, Msg: "a cookie is for the server's own page alone"}
	}
	return nil
}

// token is POST /token.
func (s *Server) token(c echo.Context) error {
	form, err := s.readForm(c, "grant_type", "username", "password", "refresh_token", "cookie", "scope", "client_id", "client_secret")
	if err != nil {
		return err
	}
	withCookie := form.Get("cookie") == "true"
	if v := form.Get("cookie"); v != "" && v != "true" && v != "false" {
		return hub.Invalid("cookie", "must be true or false")
	}
	if withCookie {
		if err := s.checkSite(c); err != nil {
			return err
		}
	}
	switch form.Get("grant_type") {
	case "", "password":
		return s.logIn(c, form, withCookie)
	case "refresh_token":
		return s.refresh(c, form.Get("refresh_token"), withCookie)
	}
	return hub.Invalid("grant_type", "must be password or refresh_token")
}

func (s *Server) logIn(c echo.Context, form url.Values, withCookie bool) error {
	ctx, name, password := c.Request().Context(), form.Get("username"), form.Get("password")
	if name == "" {
		return hub.Invalid("username", "is required")
	}
	if password == "" {
		return hub.Invalid("password", "is required")
	}
	password = first(password, passwordMax+1) // nobody has one of so many characters
	wrong := false
	// The account's own limit goes first: what it refuses costs its neighbours,
	// who share an address, nothing. A name that nobody can have has none: it may
	// be long, and would be remembered.
	if validName(name) {
		done, err := s.perAccount.enter(ctx, strings.ToLower(name))
		if err != nil {
			return err
		}
		defer func() { done(wrong) }()
	}
	doneIP, err := s.perIP.enter(ctx, s.networkOf(c))
	if err != nil {
		return err
	}
	defer func() { doneIP(wrong) }()
	u, hash, missing, err := s.credentials(ctx, name)
	if err != nil {
		return err
	}
	ok, old, err := s.hasher.check(ctx, password, hash)
	if err != nil {
		return err
	}
	if wrong = !ok || missing; wrong {
		return &hub.Error{Code: hub.CodeInvalidGrant, Msg: "wrong username or password"}
	}
	if old {
		if hash, err = s.hasher.hash(ctx, normal(password)); err == nil {
			err = s.accounts.SetPasswordHash(ctx, u.ID, hash)
		}
		if err != nil {
			return err
		}
	}
	token, sum := newToken()
	g := hub.Grant{Hash: sum, Family: hub.NewID(), User: u.ID, ExpiresAt: s.refreshExpiry()}
	if err := s.accounts.StartGrant(ctx, g); err != nil {
		return err
	}
	return s.answerToken(c, g, token, withCookie)
}

// credentials reads whom a name is of, and the password's hash. Who is missing
// has one, too: a wrong name takes as long as a wrong password.
func (s *Server) credentials(ctx context.Context, name string) (u hub.User, hash string, missing bool, err error) {
	if validName(name) {
		u, hash, err = s.accounts.UserByName(ctx, name)
		if hub.CodeOf(err) != hub.CodeNotFound {
			return u, hash, false, err
		}
	}
	return hub.User{}, s.hasher.dummy, true, nil
}

func (s *Server) refreshExpiry() time.Time {
	return time.Now().UTC().Truncate(time.Microsecond).Add(s.opt.RefreshTTL)
}

// refresh rotates the refresh token of the form or of the cookie.
func (s *Server) refresh(c echo.Context, token string, withCookie bool) error {
	if token == "" && withCookie {
		token = cookie(c, refreshCookie)
		if token == "" {
			return &hub.Error{Code: hub.CodeInvalidGrant, Msg: "not logged in"}
		}
	}
	if token == "" {
		return hub.Invalid("refresh_token", "is required")
	}
	next, sum := newToken()
	at := time.Now().UTC().Truncate(time.Microsecond)
	ctx, old := c.Request().Context(), sha256.Sum256([]byte(token))
	g, err := s.accounts.RotateGrant(ctx, old, sum, at, s.opt.Grace, s.refreshExpiry())
	if hub.CodeOf(err) == hub.CodeInvalidGrant {
		// It may have revoked a family, whose access tokens end here at once.
		return errors.Join(err, s.revokeFamily(ctx, old))
	}
	if err != nil {
		return err
	}
	return s.answerToken(c, g, next, withCookie)
}

func newToken() (string, [32]byte) {
	var b [32]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	token := base64.RawURLEncoding.EncodeToString(b[:])
	return token, sha256.Sum256([]byte(token))
}

func (s *Server) answerToken(c echo.Context, g hub.Grant, refresh string, withCookie bool) error {
	access, err := s.logins.sign(g.User, g.Family)
	if err != nil {
		return err
	}
	s.logins.note(g.Family, true, time.Now())
	res := tokenResponse{AccessToken: access, TokenType: "bearer", ExpiresIn: int(s.opt.AccessTTL / time.Second), RefreshToken: refresh}
	if withCookie {
		res.RefreshToken = ""
		s.setCookie(c, refreshCookie, refreshPath, refresh, s.opt.RefreshTTL)
		s.setCookie(c, accessCookie, accessPath, access, s.opt.AccessTTL)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, res)
}

// revoke is POST /token/revoke (RFC 7009): it answers 200 for any token.
func (s *Server) revoke(c echo.Context) error {
	form, err := s.readForm(c, "token", "token_type_hint", "cookie")
	if err != nil {
		return err
	}
	token := form.Get("token")
	if token == "" {
		if err := s.checkSite(c); err != nil {
			return err
		}
		if token = cookie(c, refreshCookie); token == "" {
			return hub.Invalid("token", "is required")
		}
	}
	if err := s.revokeFamily(c.Request().Context(), sha256.Sum256([]byte(token))); err != nil {
		return err
	}
	if cookie(c, refreshCookie) != "" {
		s.setCookie(c, refreshCookie, refreshPath, "", -time.Second)
		s.setCookie(c, accessCookie, accessPath, "", -time.Second)
	}
	return c.NoContent(http.StatusOK)
}

// revokeFamily ends the login that a refresh token is of, if it is known.
func (s *Server) revokeFamily(ctx context.Context, token [32]byte) error {
	family, err := s.accounts.RevokeGrant(ctx, token)
	if err == nil && family != "" {
		s.hub.Revoke(ctx, family)
	}
	return err
}

func (s *Server) setCookie(c echo.Context, name, path, value string, ttl time.Duration) {
	c.SetCookie(&http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: int(ttl / time.Second), HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: s.https(c),
	})
}

func cookie(c echo.Context, name string) string {
	k, err := c.Cookie(name)
	if err != nil {
		return ""
	}
	return k.Value
}
