package transport

import (
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/labstack/echo/v4"
)

// edge is what a request says of where it comes from: the proxies that are believed, the
// hosts that the server answers to, and the origins whose pages may use it. It is safe
// for concurrent use.
type edge struct {
	proxies  []netip.Prefix
	hosts    *hosts
	origins  map[string]bool
	warnings *warnings
	logger   *slog.Logger
}

func newEdge(opt Options, warnings *warnings) *edge {
	ed := &edge{
		proxies: parseNetworks(opt.TrustedProxies), hosts: newHosts(opt.Hosts, opt.Origins), origins: map[string]bool{},
		warnings: warnings, logger: opt.Logger,
	}
	for _, o := range opt.Origins {
		ed.origins[o] = true
	}
	return ed
}

// cors lets pages of the allowed origins use the server. It returns true for a
// preflight that is answered with that.
func (ed *edge) cors(c echo.Context) bool {
	r, h := c.Request(), c.Response().Header()
	if len(ed.origins) == 0 {
		return false
	}
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !ed.origins[origin] {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "600")
	return true
}
