package transport

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// ParseNetwork reads a network such as 10.0.0.0/8, or an address, which is a
// network of one.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if a := p.Addr(); err == nil && a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), err
}

// parseNetworks reads networks; what is none is left out.
func parseNetworks(texts []string) (out []netip.Prefix) {
	for _, text := range texts {
		if p, err := ParseNetwork(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// parseAddress reads an address as proxies write it: with a port or without, an
// IPv6 one in brackets or without.
func parseAddress(text string) (netip.Addr, bool) {
	text = strings.Trim(strings.TrimSpace(text), `"`)
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		var both netip.AddrPort
		both, err = netip.ParseAddrPort(text)
		a = both.Addr()
	}
	return a.Unmap().WithZone(""), err == nil
}

// peerOf returns the address at the other end of the connection.
func peerOf(r *http.Request) netip.Addr {
	a, _ := parseAddress(r.RemoteAddr)
	return a
}

// onLoopback says whether a Host header is a name of this machine for itself.
func onLoopback(host string) bool {
	name := hostName(host)
	a, err := netip.ParseAddr(name)
	return name == "" || name == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// forwardingHeaders are those that proxies tell their clients by.
var forwardingHeaders = []string{
	"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-Ip", "Via",
}

// forwarded says whether a request came through a proxy that says so.
func forwarded(r *http.Request) bool {
	return slices.ContainsFunc(forwardingHeaders, func(name string) bool { return r.Header.Get(name) != "" })
}

func (ed *edge) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(ed.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// clientOf returns the address of the client. Each proxy appends the address from which it
// got the request to X-Forwarded-For. What trusted proxies have appended is believed: it is
// read from the end to the first address that is not a trusted proxy's. Anybody may have
// written what stands before that.
func (ed *edge) clientOf(r *http.Request) netip.Addr {
	client := peerOf(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !ed.trusts(client) {
			break
		}
		a, ok := parseAddress(hop)
		if !ok {
			break
		}
		client = a
	}
	return client
}

// ipExtractor is echo's: an address for the log.
func (ed *edge) ipExtractor(r *http.Request) string {
	if a := ed.clientOf(r); a.IsValid() {
		return a.String()
	}
	return r.RemoteAddr
}

// networkOf returns the network that counts as one client for limits: an IPv4 address, or the
// /64 of an IPv6 address, all of which its owner has.
func (ed *edge) networkOf(c echo.Context) string {
	a := ed.clientOf(c.Request())
	if p, err := a.Prefix(64); err == nil && a.Is6() {
		return p.String()
	}
	return c.RealIP()
}

// https says whether the client came over TLS, here or at a trusted proxy. Of a
// list, each proxy has added one: the first is how the client came. A client can
// lie to its own hurt alone, as browsers let no page of another site set the header.
func (ed *edge) https(c echo.Context) bool {
	r := c.Request()
	if c.IsTLS() {
		return true
	}
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	first = strings.TrimSpace(first)
	return (strings.EqualFold(first, "https") || strings.EqualFold(first, "wss")) && ed.trusts(peerOf(r))
}

// checkProxy warns the admin of a proxy that the settings do not name. All requests through it
// look as if they came from one client, and over plain HTTP.
func (ed *edge) checkProxy(c echo.Context) {
	r := c.Request()
	if peer := peerOf(r); forwarded(r) && !ed.trusts(peer) {
		ed.warnings.add("proxy_not_named", ed.logger, fmt.Sprintf("A request came through a proxy at %s that OMNICHAT_TRUSTED_PROXIES does not name. "+
			"If it is yours, name its address or network there: until then all people behind it share one limit for failed logins, and cookies are not marked Secure.", peer))
	}
}
