package transport

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
)

// request is one from a peer, with headers given as name and value in turn.
func request(peer string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = peer
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestClientIsWhomTrustedProxiesName(t *testing.T) {
	const xff = "X-Forwarded-For"
	s := New(nil, nil, Options{TrustedProxies: []string{"10.0.0.0/8", "127.0.0.1", "fd00::/8"}})
	defer s.Shutdown(t.Context())
	for name, tt := range map[string]struct {
		r       *http.Request
		client  string
		network string
	}{
		"nobody between":           {r: request("192.0.2.1:1"), client: "192.0.2.1"},
		"a stranger's header":      {r: request("192.0.2.1:1", xff, "198.51.100.1"), client: "192.0.2.1"},
		"one proxy":                {r: request("10.0.0.1:1", xff, "192.0.2.1"), client: "192.0.2.1"},
		"a proxy by its address":   {r: request("127.0.0.1:1", xff, "192.0.2.1"), client: "192.0.2.1"},
		"another of that network":  {r: request("127.0.0.2:1", xff, "192.0.2.1"), client: "127.0.0.2"},
		"two proxies":              {r: request("10.0.0.1:1", xff, "192.0.2.1, 10.0.0.2"), client: "192.0.2.1"},
		"what the client wrote":    {r: request("10.0.0.1:1", xff, "198.51.100.1, 192.0.2.1"), client: "192.0.2.1"},
		"two lines":                {r: request("10.0.0.1:1", xff, "198.51.100.1", xff, "192.0.2.1"), client: "192.0.2.1"},
		"with a port":              {r: request("10.0.0.1:1", xff, "192.0.2.1:4711"), client: "192.0.2.1"},
		"IPv6":                     {r: request("10.0.0.1:1", xff, "2001:db8::1"), client: "2001:db8::1", network: "2001:db8::/64"},
		"IPv6 in brackets":         {r: request("10.0.0.1:1", xff, "[2001:db8::1]"), client: "2001:db8::1", network: "2001:db8::/64"},
		"IPv6 with a port":         {r: request("10.0.0.1:1", xff, `"[2001:db8:0:0:1::1]:4711"`), client: "2001:db8::1:0:0:1", network: "2001:db8::/64"},
		"IPv4 within IPv6":         {r: request("[::ffff:10.0.0.1]:1", xff, "::ffff:192.0.2.1"), client: "192.0.2.1"},
		"an IPv6 peer":             {r: request("[2001:db8:1:2:3::4]:1"), client: "2001:db8:1:2:3::4", network: "2001:db8:1:2::/64"},
		"a peer with a zone":       {r: request("[fe80::1%eth0]:1"), client: "fe80::1", network: "fe80::/64"},
		"nonsense":                 {r: request("10.0.0.1:1", xff, "192.0.2.1, unknown"), client: "10.0.0.1"},
		"an empty header":          {r: request("10.0.0.1:1", xff, ""), client: "10.0.0.1"},
		"all of them are proxies":  {r: request("10.0.0.1:1", xff, "10.0.0.3, 10.0.0.2"), client: "10.0.0.3"},
		"a proxy that is a client": {r: request("10.0.0.1:1"), client: "10.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.network == "" {
				tt.network = tt.client
			}
			c := s.echo.NewContext(tt.r, httptest.NewRecorder())
			if client, network := c.RealIP(), s.edge.networkOf(c); client != tt.client || network != tt.network {
				t.Errorf("client %s of %s, want %s of %s", client, network, tt.client, tt.network)
			}
		})
	}
}

func TestHTTPSIsHowTheClientCame(t *testing.T) {
	const proto = "X-Forwarded-Proto"
	s := New(nil, nil, Options{TrustedProxies: []string{"10.0.0.0/8"}})
	defer s.Shutdown(t.Context())
	for name, tt := range map[string]struct {
		r    *http.Request
		want bool
	}{
		"plain":                    {r: request("10.0.0.1:1")},
		"at the proxy":             {r: request("10.0.0.1:1", proto, "https"), want: true},
		"in capitals":              {r: request("10.0.0.1:1", proto, "HTTPS"), want: true},
		"at the first of two":      {r: request("10.0.0.1:1", proto, "https, http"), want: true},
		"at the first, two lines":  {r: request("10.0.0.1:1", proto, "https", proto, "http"), want: true},
		"a WebSocket's":            {r: request("10.0.0.1:1", proto, "wss"), want: true},
		"between the proxies only": {r: request("10.0.0.1:1", proto, "http, https")},
		"at the proxy, plain":      {r: request("10.0.0.1:1", proto, "http")},
		"a stranger's header":      {r: request("192.0.2.1:1", proto, "https")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.edge.https(s.echo.NewContext(tt.r, httptest.NewRecorder())); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func FuzzClientOf(f *testing.F) {
	for _, v := range []string{"192.0.2.1", "[::1]:80, 10.0.0.1", `"[fe80::1%a]"`, ",,,", "unknown", "[[]]:"} {
		f.Add(v)
	}
	s := New(nil, nil, Options{TrustedProxies: []string{"10.0.0.0/8"}})
	f.Cleanup(func() { s.Shutdown(f.Context()) })
	f.Fuzz(func(t *testing.T, value string) {
		if a := s.edge.clientOf(request("10.0.0.1:1", "X-Forwarded-For", value)); !a.IsValid() || a.Zone() != "" || a.Is4In6() {
			t.Errorf("%q is taken for %v", value, a)
		}
	})
}

// TestNeighboursShareABudget holds that a client has no more room for bodies with
// each of the addresses that it has.
func TestNeighboursShareABudget(t *testing.T) {
	s := New(nil, nil, Options{})
	defer s.Shutdown(t.Context())
	send := func(peer string, while io.Reader) error {
		r := request(peer, "Content-Type", "application/x-www-form-urlencoded")
		r.Body, r.ContentLength = io.NopCloser(while), -1
		_, err := s.people.intake.readBody(s.echo.NewContext(r, httptest.NewRecorder()), "application/x-www-form-urlencoded", strangerMax)
		return err
	}
	neighbours := 0
	var under func(n int) io.Reader // a body that ends when the next one has
	under = func(n int) io.Reader {
		return io.MultiReader(strings.NewReader(strings.Repeat("x", strangerMax)), readerFunc(func([]byte) (int, error) {
			if err := send("[2001:db8::"+strconv.Itoa(n)+"]:1", under(n+1)); err != nil {
				if hub.CodeOf(err) != hub.CodeRateLimited {
					t.Errorf("neighbour %d: %v", n, err)
				}
				if err := send("[2001:db8:0:1::1]:1", strings.NewReader("x")); err != nil {
					t.Errorf("another network: %v", err)
				}
			} else {
				neighbours++
			}
			return 0, io.EOF
		}))
	}
	if err := send("[2001:db8::1]:1", under(2)); err != nil {
		t.Fatal(err)
	}
	if most := strangersEach / strangerMax; neighbours >= most {
		t.Errorf("%d neighbours sent at once, where all have room for %d", neighbours+1, most)
	}
}

type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
