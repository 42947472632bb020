package transport

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// hosts is the names that the server answers to. A page of another site whose
// name is made to lead here (DNS rebinding) has the browser send that name.
type hosts struct {
	any   bool
	names map[string]bool
	below []string // ".example.org" takes every name below it
}

func newHosts(names, origins []string) *hosts {
	h := &hosts{names: map[string]bool{}}
	for _, o := range origins {
		if u, err := url.Parse(o); err == nil {
			h.names[hostName(u.Host)] = true
		}
	}
	for _, name := range names {
		switch below, wild := strings.CutPrefix(name, "*"); {
		case name == "*":
			h.any = true
		case wild:
			h.below = append(h.below, strings.ToLower(below))
		default:
			h.names[hostName(name)] = true
		}
	}
	return h
}

// hostName is the name of a Host header, without port, brackets and final dot.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// takes says whether the server answers to a Host header. Nobody can have an
// address, a name without a dot or one of localhost lead elsewhere than it
// does, so that they need not be named; nor does any browser leave the header out.
func (h *hosts) takes(host string) bool {
	name := hostName(host)
	if h.any || host == "" || h.names[name] || name != "" && !strings.ContainsAny(name, ".:") || strings.HasSuffix(name, ".localhost") {
		return true
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	for _, below := range h.below {
		if strings.HasSuffix(name, below) && len(name) > len(below) {
			return true
		}
	}
	return false
}

// ValidHost says whether a setting is a name that a server may answer to: a host
// name or address, *.example.org for all names below one, or * for any.
func ValidHost(name string) bool {
	if name == "*" {
		return true
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "*."), ".")
	return name != "" && len(name) <= 253 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
	})
}

// checkHost refuses a request that was sent to another name than the server's. Questions for
// its health may use any name.
func (ed *edge) checkHost(c echo.Context) error {
	if path := c.Path(); ed.hosts.takes(c.Request().Host) || path == "/healthz" || path == "/readyz" {
		return nil
	}
	name := cut(hostName(c.Request().Host), 100)
	ed.warnings.add("host_refused", ed.logger, fmt.Sprintf(
		"A request for the host %q was refused. If that is a name of this server, add it to OMNICHAT_HOSTS.", name))
	return &hub.Error{Code: codeMisdirected, Msg: fmt.Sprintf(
		"this server does not answer to the name %q; who runs it can add the name to its setting OMNICHAT_HOSTS", name)}
}
