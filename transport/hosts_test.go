package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/transport"
)

// as asks for a path with headers given as name and value in turn, of which Host
// is one.
func (s *site) as(path, token string, headers ...string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req) // 421 is of every path, which the document says once
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return res
}

func TestServerAnswersToItsOwnNamesAlone(t *testing.T) {
	s := open(t, transport.Options{
		Hosts: []string{"Chat.example.org", "*.example.net"}, Origins: []string{"https://page.example.com:8443"},
	}).users()
	for host, want := range map[string]int{
		"127.0.0.1:8080": 200, "[::1]:8080": 200, "[2001:db8::1]": 200, "192.0.2.7": 200, "localhost:8080": 200, "LOCALHOST": 200,
		"a.localhost": 200, "omnichat-1:8080": 200, "chat.example.org": 200, "CHAT.example.org.": 200, "chat.example.org:443": 200,
		"a.example.net": 200, "a.b.example.net:1": 200, "page.example.com": 200,
		"example.net": 421, "evilexample.net": 421, "evil.example": 421, "evil.example:8080": 421, "chat.example.org.evil.example": 421,
		"127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "127.1:8080": 421, "0x7f.0.0.1": 421, "notlocalhost.": 200,
	} {
		for _, path := range []string{"/", "/users/me", "/ws", "/nowhere", "/openapi.yaml"} {
			res := s.as(path, s.ann, "Host", host)
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if refused := res.StatusCode == 421; err != nil || refused != (want == 421) {
				t.Errorf("%s of %q: %s", path, host, res.Status)
			} else if refused && (!strings.Contains(string(body), `"misdirected"`) || !strings.Contains(string(body), "OMNICHAT_HOSTS")) {
				t.Errorf("%s of %q: %s", path, host, body)
			}
		}
		for _, path := range []string{"/healthz", "/readyz"} {
			res := s.as(path, "", "Host", host)
			if res.Body.Close(); res.StatusCode != 200 {
				t.Errorf("%s of %q: %s", path, host, res.Status)
			}
		}
	}
	if got := fmt.Sprint(s.list("/warnings", s.ann)); !strings.Contains(got, "host_refused") || !strings.Contains(got, "OMNICHAT_HOSTS") {
		t.Errorf("the admin is told %s", got)
	}
}

func TestServerMayAnswerToAnyName(t *testing.T) {
	s := open(t, transport.Options{Hosts: []string{"*"}})
	res := s.as("/", "", "Host", "any.example")
	if res.Body.Close(); res.StatusCode != 200 {
		t.Error(res.Status)
	}
}

func TestAdminIsToldOfAProxyThatIsNotNamed(t *testing.T) {
	for header, value := range map[string]string{"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "Forwarded": "for=192.0.2.1", "X-Real-Ip": "192.0.2.1"} {
		t.Run(header, func(t *testing.T) {
			for _, trusted := range []bool{false, true} {
				var opt transport.Options
				if trusted {
					opt.TrustedProxies = []string{"127.0.0.1"}
				}
				s := open(t, opt).users()
				if got := s.list("/warnings", s.ann); len(got) != 0 {
					t.Errorf("before: %v", got)
				}
				for range 3 {
					s.as("/healthz", "", header, value).Body.Close()
				}
				got := fmt.Sprint(s.list("/warnings", s.ann))
				if warned := strings.Count(got, "proxy_not_named"); trusted && warned != 0 || !trusted && (warned != 1 || !strings.Contains(got, "127.0.0.1")) {
					t.Errorf("trusted %v: the admin is told %s", trusted, got)
				}
				s.do("GET", "/warnings", s.bob, nil, 403)
			}
		})
	}
}

func TestMetricsAreForThisMachine(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "figures") })
	const token = "of-the-metrics-alone"
	local := open(t, transport.Options{Metrics: metrics, Hosts: []string{"chat.example.org"}, TrustedProxies: []string{"127.0.0.1"}})
	named := open(t, transport.Options{Metrics: metrics, MetricsToken: token})
	none := open(t, transport.Options{})
	for name, tt := range map[string]struct {
		s       *site
		token   string
		headers []string
		want    int
	}{
		"this machine":               {s: local, want: 200},
		"through a proxy":            {s: local, headers: []string{"X-Forwarded-For", "127.0.0.1"}, want: 403},
		"through one of RFC 7239":    {s: local, headers: []string{"Forwarded", "for=127.0.0.1"}, want: 403},
		"through a silent proxy":     {s: local, headers: []string{"Host", "chat.example.org"}, want: 403},
		"another's address":          {s: local, headers: []string{"Host", "192.0.2.1"}, want: 403},
		"the token":                  {s: named, token: token, want: 200},
		"the token through a proxy":  {s: named, token: token, headers: []string{"X-Forwarded-For", "192.0.2.1"}, want: 200},
		"another token":              {s: named, token: token + "0", want: 401},
		"no token, on this machine":  {s: named, want: 401},
		"served at another address":  {s: none, want: 404},
		"the same, with some header": {s: none, token: token, want: 404},
	} {
		t.Run(name, func(t *testing.T) {
			res := tt.s.as("/metrics", tt.token, tt.headers...)
			if res.Body.Close(); res.StatusCode != tt.want {
				t.Errorf("%s, want %d", res.Status, tt.want)
			}
		})
	}
}
