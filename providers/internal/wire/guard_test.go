package wire

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
)

func TestPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "172.15.0.1": true, "172.32.0.1": true, "100.63.255.255": true, "100.128.0.1": true,
		"0.0.0.0": false, "0.1.2.3": false, "127.0.0.1": false, "127.255.0.1": false,
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false,
		"169.254.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "100.100.100.200": false, "100.127.255.255": false,
		"192.0.0.192": false, "168.63.129.16": false, "192.0.2.1": false, "198.18.0.1": false, "198.51.100.1": false, "203.0.113.1": false,
		"224.0.0.1": false, "239.1.2.3": false, "240.0.0.1": false, "255.255.255.255": false,
		"2606:4700:4700::1111": true, "2a00:1450::1": true,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "fc00::1": false, "fd00:ec2::254": false,
		"ff02::1": false, "2001:db8::1": false, "2001::1": false, "100::1": false, "::127.0.0.1": false, "::8.8.8.8": false,
		"::ffff:8.8.8.8": true, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:10.0.0.1": false,
		"64:ff9b::8.8.8.8": true, "64:ff9b::127.0.0.1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::8.8.8.8": false,
		"2002:808:808::1": true, "2002:7f00:1::1": false, "2002:c0a8:101::1": false, "2002:a9fe:a9fe::1": false,
	} {
		if got := public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("public(%s) = %v", addr, got)
		}
	}
}

func TestOwnAddressesAreNotTheInternet(t *testing.T) {
	if !own(netip.MustParseAddr("127.0.0.1")) || own(netip.MustParseAddr("8.8.8.8")) {
		t.Error("own does not know this machine's addresses")
	}
}

func TestGuardedClientReachesNoLoopback(t *testing.T) {
	reached := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer srv.Close()
	for _, base := range []string{srv.URL, strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)} {
		c := NewClient(Options{BaseURL: base, Guarded: true})
		if err := c.JSON(t.Context(), http.MethodGet, "/", http.Header{}, nil, new(any)); hub.CodeOf(err) != hub.CodeProviderInvalid {
			t.Errorf("%s: %v", base, err)
		}
		if c.http.Transport.(*http.Transport).Proxy != nil {
			t.Error("a proxy would make the connection")
		}
	}
	if reached {
		t.Error("the server was reached")
	}
}
