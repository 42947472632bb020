package transport

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// securePrefix has browsers accept a cookie over TLS alone, so that an attacker who can write
// into plain HTTP of the same host cannot set one of that name.
const securePrefix = "__Secure-"

func (ed *edge) setCookie(c echo.Context, name, path, value string, ttl time.Duration) {
	k := &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: max(1, int(ttl/time.Second)), HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: ed.https(c),
	}
	if k.Secure {
		ed.clearCookie(c, name, path) // one of before
		k.Name = securePrefix + name
	}
	c.SetCookie(k)
}

// clearCookie takes a cookie away if the request has it.
func (ed *edge) clearCookie(c echo.Context, name, path string) {
	for _, name := range []string{name, securePrefix + name} {
		if _, err := c.Cookie(name); err == nil {
			c.SetCookie(&http.Cookie{
				Name: name, Path: path, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: ed.https(c),
			})
		}
	}
}

func cookie(c echo.Context, name string) string {
	for _, name := range []string{securePrefix + name, name} {
		if k, err := c.Cookie(name); err == nil && k.Value != "" {
			return k.Value
		}
	}
	return ""
}

// ofOwnPage says whether a request that only reads is none of another site's
// page, or of one on another port of this host, whose requests have cookies, too.
func ofOwnPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return true
	}
	return false
}
