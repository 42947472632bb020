package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// errNotAllowed says that a guarded client was led into a network of ours.
var errNotAllowed = errors.New("the address is not allowed")

var (
	global4 = netip.MustParsePrefix("0.0.0.0/0")
	global6 = netip.MustParsePrefix("2000::/3")
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
	sixTo4  = netip.MustParsePrefix("2002::/16")
)

// special are the networks, among those that look global, that are not the open
// internet: the special-purpose registries of RFC 6890, and what clouds answer
// their machines on.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32", // Azure's
	"2001::/23", "2001:db8::/32", "3fff::/20",
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// public says whether an address is of the open internet. One that carries an
// IPv4 address inside is what that one is.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return public(netip.AddrFrom4([4]byte(b[12:16])))
	case sixTo4.Contains(a):
		return public(netip.AddrFrom4([4]byte(b[2:6])))
	case !global4.Contains(a) && !global6.Contains(a):
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// guard is a dialer's Control: it sees the address after names are resolved, so
// a name cannot be changed between the check and the connection.
func guard(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotAllowed, err)
	}
	if !public(to.Addr()) || own(to.Addr().Unmap()) {
		return fmt.Errorf("%w: %s", errNotAllowed, to.Addr())
	}
	return nil
}

// own says whether an address is this machine's, which may have public ones.
func own(a netip.Addr) bool {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, have := range list {
		if p, err := netip.ParsePrefix(have.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}
