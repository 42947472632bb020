package transport

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

const (
	issuer   = "omnichat"
	audience = "omnichat-api"
	// narrowed is the audience of tokens that may less than a login. A server that knows of
	// logins alone refuses them.
	narrowed = "omnichat-api-narrowed"
	// activeFor is how long it is believed that a login has not been revoked
	// elsewhere.
	activeFor = 10 * time.Second
	// leeway is what clocks may differ by.
	leeway = 5 * time.Second
)

// identity is who asks, and until when.
type identity struct {
	hub.Access
	expires time.Time
}

// renews says whether it may take the place of an identity on a connection: it is the same
// access, perhaps by another login.
func (i identity) renews(old identity) bool {
	old.Grant = i.Grant
	return i.Access == old.Access
}

// claims are those of an access token. A token without By is a login's, and may all that
// the user may.
type claims struct {
	jwt.RegisteredClaims
	Grant   string    `json:"sid"`
	By      hub.Means `json:"by,omitempty"`
	Scope   string    `json:"scope,omitempty"`   // names with blanks between them, as in RFC 9068
	Session string    `json:"session,omitempty"` // the only one
}

// access is what the claims say, false if they cannot be.
func (c *claims) access() (a hub.Access, ok bool) {
	user, ok := hub.ParseID(c.Subject)
	grant, ok2 := hub.ParseID(c.Grant)
	if !ok || !ok2 {
		return a, false
	}
	if slices.Contains(c.Audience, audience) {
		return hub.Login(hub.UserID(user), grant), c.By == "" && c.Scope == "" && c.Session == ""
	}
	a = hub.Access{User: hub.UserID(user), By: c.By, Grant: grant}
	for name := range strings.FieldsSeq(c.Scope) {
		a.Scopes |= hub.ScopeOf(name)
	}
	if c.Session != "" {
		session, ok := hub.ParseID(c.Session)
		if !ok {
			return a, false
		}
		a.Session = hub.SessionID(session)
	}
	return a, c.By == hub.ByKey || c.By == hub.ByLink && a.Session != ""
}

// logins signs and verifies access tokens, and knows which logins are revoked.
type logins struct {
	secret   []byte
	ttl      time.Duration
	accounts Accounts
	parser   *jwt.Parser

	mu     sync.Mutex
	active map[string]login
}

// login is what is known of one, and when that was found out.
type login struct {
	ok   bool // once it is not, it never is again
	at   time.Time
	used time.Time // the last time that somebody asked by it
}

func newLogins(secret []byte, ttl time.Duration, accounts Accounts) *logins {
	return &logins{
		secret: secret, ttl: ttl, accounts: accounts, active: map[string]login{},
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience, narrowed),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithStrictDecoding()),
	}
}

// sign makes an access token, which lasts no longer than its login, and says for
// how long.
func (l *logins) sign(user hub.UserID, family string, end time.Time) (token string, ttl time.Duration, err error) {
	at := time.Now()
	ttl = max(0, min(l.ttl, end.Sub(at)))
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, claims{Grant: family, RegisteredClaims: jwt.RegisteredClaims{
		Subject: string(user), Issuer: issuer, Audience: jwt.ClaimStrings{audience}, ID: hub.NewID(),
		IssuedAt: jwt.NewNumericDate(at), ExpiresAt: jwt.NewNumericDate(at.Add(ttl)),
	}}).SignedString(l.secret)
	return token, ttl, err
}

// verify returns whose token it is.
func (l *logins) verify(ctx context.Context, token string) (identity, error) {
	var c claims
	refused := &hub.Error{Code: hub.CodeUnauthenticated, Msg: "the access token is not valid"}
	if _, err := l.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return l.secret, nil }); err != nil {
		return identity{}, refused
	}
	access, ok := c.access()
	if !ok {
		return identity{}, refused
	}
	who := identity{Access: access, expires: c.ExpiresAt.Time}
	return who, l.holds(ctx, who)
}

// holds checks that the token has not run out and its login is not revoked.
func (l *logins) holds(ctx context.Context, who identity) error {
	refused := &hub.Error{Code: hub.CodeUnauthenticated, Msg: "the access token is not valid"}
	if time.Now().After(who.expires.Add(leeway)) {
		return refused
	}
	ok, lately := l.lately(who.Grant)
	if !lately {
		at := time.Now()
		active, err := l.accounts.GrantActive(ctx, who.Grant)
		if err != nil {
			return err
		}
		ok = l.note(who.Grant, active, at)
	}
	if !ok {
		return refused
	}
	return nil
}

// lately says whether a login holds, if that was found out lately.
func (l *logins) lately(family string) (ok, lately bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, some := l.active[family]
	now := time.Now()
	if some {
		known.used = now
		l.active[family] = known
	}
	return known.ok, some && now.Sub(known.at) <= activeFor
}

// note remembers whether a login held at a time, and says whether it holds.
func (l *logins) note(family string, ok bool, at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, some := l.active[family]; some && !known.ok {
		return false
	}
	if len(l.active) > throttleMax {
		maps.DeleteFunc(l.active, func(_ string, known login) bool { return known.ok })
	}
	l.active[family] = login{ok: ok, at: at, used: time.Now()}
	return ok
}

// revoked says that a login is known to have been revoked.
func (l *logins) revoked(family string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, some := l.active[family]
	return some && !known.ok
}

// inUse adds the logins by which somebody asked in the last minute, and forgets
// the others.
func (l *logins) inUse(families map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for family, known := range l.active {
		switch {
		case time.Since(known.used) > time.Minute:
			delete(l.active, family)
		case known.ok:
			families[family] = true
		}
	}
}

// found notes which of the logins in use held at a time, and says whether some
// did not.
func (l *logins) found(families map[string]bool, active []string, at time.Time) (ended bool) {
	holds := map[string]bool{}
	for _, family := range active {
		holds[family] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for family := range families {
		known, some := l.active[family]
		switch {
		case !holds[family]:
			l.active[family] = login{at: at, used: time.Now()}
			ended = true
		case some && known.ok:
			known.at = at
			l.active[family] = known
		}
	}
	return ended
}

// bearer is the token of the Authorization header.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// door lets requests in that have a valid access token. All methods may be called
// concurrently.
type door struct {
	logins   *logins
	accounts Accounts
	logger   *slog.Logger
}

// private wraps a handler that needs to know whose request it is.
func (d *door) private(f func(c echo.Context, who identity) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Add("Vary", "Authorization, Cookie")
		token := bearer(c.Request())
		if token == "" && c.Request().Method == http.MethodGet && strings.HasPrefix(c.Path(), accessPath) && ofOwnPage(c.Request()) {
			token = cookie(c, accessCookie)
		}
		if token == "" {
			return &hub.Error{Code: hub.CodeUnauthenticated, Msg: "an access token is required"}
		}
		who, err := d.logins.verify(c.Request().Context(), token)
		if err != nil {
			return err
		}
		c.Set(userKey, who.User)
		return f(c, who)
	}
}

// admin wraps a handler that is for admins alone.
func (d *door) admin(f func(c echo.Context, who identity) error) echo.HandlerFunc {
	return d.private(func(c echo.Context, who identity) error {
		if err := d.checkAdmin(c.Request().Context(), who); err != nil {
			return err
		}
		return f(c, who)
	})
}

// checkAdmin refuses everyone but admins. The account says who is one, not the
// token, which outlives a change.
func (d *door) checkAdmin(ctx context.Context, who identity) error {
	if err := who.MayAll(hub.ScopeAdmin); err != nil {
		return err
	}
	u, err := d.accounts.User(ctx, who.User)
	if err == nil && u.Role != hub.RoleAdmin {
		d.logger.Warn("security", "event", "admin_refused", "user_id", who.User)
		err = &hub.Error{Code: hub.CodeForbidden, Msg: "only an admin may do this"}
	}
	return err
}
