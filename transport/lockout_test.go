package transport_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/omnichat/omnichat/transport"
)

// buffer is written by many and read by one.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// proxied are the options of a server that believes X-Forwarded-For.
var proxied = transport.Options{TrustedProxies: []string{"127.0.0.1"}}

// post sends a form as the client of an address would, with cookies and headers
// given as name and value in turn.
func (s *site) post(path, from string, form url.Values, cookies []*http.Cookie, headers ...string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "POST", s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Forwarded-For", from)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	for _, c := range cookies {
		req.AddCookie(c)
	}
	res, err := s.client.Transport.RoundTrip(req) // without the jar
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	return res
}

func login(name, password string) url.Values {
	return url.Values{"username": {name}, "password": {password}, "cookie": {"true"}}
}

func TestOwnerGetsInFromWhereTheyGotInBefore(t *testing.T) {
	const attacker = "198.51.100.1"
	for name, tt := range map[string]struct {
		before, now string // addresses of the owner
		cookies     bool   // the owner's client keeps them
		attacker    string
		owner       bool // gets in each time
	}{
		"from the same address":                 {"192.0.2.1", "192.0.2.1", false, attacker, true},
		"from the same address, attacked there": {"192.0.2.1", "192.0.2.1", false, "192.0.2.1", true},
		"from the same IPv6 network":            {"2001:db8::1", "2001:db8::ffff:2", false, attacker, true},
		"with the same browser":                 {"192.0.2.1", "203.0.113.9", true, attacker, true},
		"with the same browser, attacked there": {"192.0.2.1", "192.0.2.1", true, "192.0.2.1", true},
		"from a place that is new":              {"192.0.2.1", "203.0.113.9", false, attacker, false},
		"from another IPv6 network":             {"2001:db8::1", "2001:db8:0:1::1", false, attacker, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, proxied)
			s.do("POST", "/users", "", map[string]string{"username": "Ann", "password": "correct horse"}, 201)
			res := s.post("/token", tt.before, login("ann", "correct horse"), nil)
			var cookies []*http.Cookie
			if tt.cookies {
				cookies = res.Cookies()
			}
			for range 12 {
				s.post("/token", attacker, login("ann", "guess"), nil)
			}
			in, guesses := 0, 0
			for range 39 { // seconds
				s.still.advance(time.Second)
				for range 3 {
					if tt.attacker == tt.before && !tt.cookies { // one a second: more would use up the address
						s.still.advance(time.Second * 2 / 3)
					}
					if s.post("/token", tt.attacker, login("ann", "guess"), nil).StatusCode == 401 {
						guesses++
					}
				}
				if s.post("/token", tt.now, login("ANN", "correct horse"), cookies).StatusCode == 200 {
					in++
				}
			}
			if tt.owner && in != 39 || !tt.owner && in > 1 {
				t.Errorf("the owner got in %d of 39 times", in)
			}
			if tt.attacker == attacker && guesses > 14 {
				t.Errorf("a stranger could guess %d times in 39 s", guesses)
			}
		})
	}
}

// TestNobodyLearnsWhoHasAnAccount holds that a name that is nobody's gets the
// answers of one that is somebody's, guess by guess.
func TestNobodyLearnsWhoHasAnAccount(t *testing.T) {
	s := open(t, proxied).users()
	tries := func(name, from string) (out []string) {
		for range 14 {
			res := s.post("/token", from, login(name, "guess"), nil)
			out = append(out, fmt.Sprint(res.StatusCode, res.Header.Get("Retry-After"), len(res.Cookies())))
		}
		return out
	}
	somebody, nobody := tries("ann", "198.51.100.1"), tries("carol", "198.51.100.2")
	if !slices.Equal(somebody, nobody) {
		t.Errorf("somebody's %v, nobody's %v", somebody, nobody)
	}
	s.still.advance(time.Hour)
	s.post("/token", "192.0.2.1", login("ann", "correct horse"), nil)
	if here := tries("ann", "192.0.2.1"); !slices.Equal(statuses(here), statuses(nobody)) {
		t.Errorf("where ann was %v, nobody's %v", here, nobody)
	}
}

// statuses is the answers' statuses alone.
func statuses(answers []string) (out []string) {
	for _, a := range answers {
		out = append(out, a[:3])
	}
	return out
}

func TestDeviceCookieIsOfOneAccount(t *testing.T) {
	s := open(t, proxied).users()
	device := func(res *http.Response) *http.Cookie {
		for _, c := range res.Cookies() {
			if c.Name == "omnichat_device" {
				return c
			}
		}
		t.Fatalf("no device in %v", res.Cookies())
		return nil
	}
	k := device(s.post("/token", "192.0.2.1", login("ann", "correct horse"), nil))
	if !k.HttpOnly || k.SameSite != http.SameSiteStrictMode || k.Path != "/token" || k.MaxAge < 300*24*3600 || strings.Contains(k.Value, "ann") {
		t.Errorf("cookie %+v", k)
	}
	if again := device(s.post("/token", "192.0.2.1", login("ann", "correct horse"), []*http.Cookie{k})); again.Value != k.Value {
		t.Errorf("a device got another number: %s, %s", k.Value, again.Value)
	}
	for range 10 {
		s.post("/token", "198.51.100.1", login("bob", "guess"), nil)
		s.post("/token", "198.51.100.1", login("ann", "guess"), nil)
	}
	_, code, _ := strings.Cut(k.Value, ".")
	for name, value := range map[string]string{
		"none": "", "ann's": k.Value, "cut": k.Value[:len(k.Value)-1], "another number": "A" + k.Value[1:], "no code": "x.", "no number": "." + code,
	} {
		k, from := &http.Cookie{Name: "omnichat_device", Value: value}, "203.0.113."+fmt.Sprint(len(name))
		if res := s.post("/token", from, login("bob", "correct horse"), []*http.Cookie{k}); res.StatusCode != 429 {
			t.Errorf("%s with bob's name: %s", name, res.Status)
		}
		if res := s.post("/token", from, login("ann", "correct horse"), []*http.Cookie{k}); (res.StatusCode == 200) != (name == "ann's") {
			t.Errorf("%s with ann's name: %s", name, res.Status)
		}
	}
	for range 10 { // the device guesses no faster than a stranger
		s.post("/token", "192.0.2.1", login("ann", "guess"), []*http.Cookie{k})
	}
	if res := s.post("/token", "192.0.2.1", login("ann", "guess"), []*http.Cookie{k}); res.StatusCode != 429 {
		t.Errorf("the device's eleventh guess: %s", res.Status)
	}
}

func TestSprayedAddressIsSlowedDown(t *testing.T) {
	s := open(t, proxied)
	refused := 0
	for i := range 100 { // from addresses of one network
		if s.post("/token", fmt.Sprintf("2001:db8::%x", i+1), login(fmt.Sprint("user", i), "guess"), nil).StatusCode == 429 {
			refused++
		}
	}
	if refused != 40 {
		t.Errorf("%d of 100 guesses were refused, want all after 60", refused)
	}
}

func TestLoginsThatSucceedAreBounded(t *testing.T) {
	s := open(t, proxied).users()
	for i := range 200 {
		if res := s.post("/token", "192.0.2.1", login("ann", "correct horse"), nil); res.StatusCode == 429 {
			if i < 20 || res.Header.Get("Retry-After") == "" {
				t.Errorf("refused after %d, Retry-After %q", i, res.Header.Get("Retry-After"))
			}
			if res := s.post("/token", "192.0.2.1", login("bob", "correct horse"), nil); res.StatusCode != 200 {
				t.Errorf("a neighbour: %s", res.Status)
			}
			s.still.advance(2 * time.Second)
			if res := s.post("/token", "192.0.2.1", login("ann", "correct horse"), nil); res.StatusCode != 200 {
				t.Errorf("two seconds later: %s", res.Status)
			}
			return
		}
	}
	t.Error("one account logs in as fast as it likes")
}

// TestSecurityIsLogged holds that each event leaves one line, and no line a
// secret.
func TestSecurityIsLogged(t *testing.T) {
	var lines buffer
	opt := proxied
	opt.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	s := open(t, opt)
	s.do("POST", "/users", "", map[string]string{"username": "ann", "password": "correct horse"}, 201)
	agent := []string{"User-Agent", "browser\tof ann " + strings.Repeat("x", 1000)}
	s.post("/token", "192.0.2.1", login("my-secret-password", "guess-1"), nil, agent...)
	s.post("/token", "192.0.2.1", login("ann", "guess-2"), nil, agent...)
	first := s.token(url.Values{"username": {"ann"}, "password": {"correct horse"}}, 200)
	s.ann = first["access_token"].(string)
	refresh := func(token any) url.Values {
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.(string)}}
	}
	second := s.token(refresh(first["refresh_token"]), 200)
	s.token(refresh(second["refresh_token"]), 200)
	s.token(refresh(first["refresh_token"]), 401)
	again := s.token(url.Values{"username": {"ann"}, "password": {"correct horse"}}, 200)
	s.do("PUT", "/prices/a/b", again["access_token"].(string), map[string]any{"input": 1, "cached_input": 1, "output": 1}, 204)
	s.do("PUT", "/providers/mine", again["access_token"].(string), map[string]any{"kind": "openai", "api_key": "sk-secret", "base_url": "https://example.org"}, 204)
	s.post("/token/revoke", "192.0.2.1", url.Values{"token": {again["refresh_token"].(string)}}, nil)
	for range 12 {
		s.post("/token", "198.51.100.1", login("ann", "guess-3"), nil)
	}
	s.post("/token", "192.0.2.1", login("ann", "correct horse"), nil, "Sec-Fetch-Site", "same-site")
	text := lines.String()
	for event, want := range map[string]int{
		"registered": 1, "login": 2, "login_failed": 11, "refresh_reused": 1, "price_changed": 1, "provider_changed": 1, "logout": 1,
		"login_throttled": 3, "site_refused": 1,
	} {
		if n := strings.Count(text, "msg=security event="+event+" "); n != want {
			t.Errorf("%d lines of %s, want %d", n, event, want)
		}
	}
	for _, secret := range []string{"correct horse", "guess-", "my-secret", "sk-secret", again["refresh_token"].(string), again["access_token"].(string), strings.Repeat("x", 300), "\t"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %.40q", secret)
		}
	}
	if !strings.Contains(text, "address=192.0.2.1 ") || !strings.Contains(text, "user_id=unknown") {
		t.Error("no address, or no failure of an account that is not there")
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestRefreshGivesTheSameSuccessor(t *testing.T) {
	s := open(t, transport.Options{}).users()
	refresh := func(token any, want int) map[string]any {
		return s.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.(string)}}, want)
	}
	first := s.token(url.Values{"username": {"ann"}, "password": {"correct horse"}}, 200)["refresh_token"]
	second, other := refresh(first, 200)["refresh_token"], refresh(first, 200)["refresh_token"]
	if second != other || second == first {
		t.Errorf("two tabs got %v and %v", second, other)
	}
	third := refresh(second, 200)
	refresh(first, 401) // older than the one just replaced: the login ends
	refresh(third["refresh_token"], 401)
	s.do("GET", "/users/me", third["access_token"].(string), nil, 401)
}

func TestLoginEnds(t *testing.T) {
	s := open(t, transport.Options{LoginLifetime: 90 * time.Second}).users()
	got := s.token(url.Values{"username": {"ann"}, "password": {"correct horse"}}, 200)
	if ttl := got["expires_in"].(float64); ttl > 90 {
		t.Errorf("an access token lasts %v s, its login 90", ttl)
	}
	res := s.post("/token", "192.0.2.1", login("ann", "correct horse"), nil)
	for _, c := range res.Cookies() {
		if c.MaxAge > 90 && c.Name != "omnichat_device" {
			t.Errorf("cookie %s lasts %d s", c.Name, c.MaxAge)
		}
	}
}

func TestCookiesOverTLSHaveThePrefix(t *testing.T) {
	s := open(t, proxied).users()
	tls := []string{"X-Forwarded-Proto", "https"}
	refresh := url.Values{"grant_type": {"refresh_token"}, "cookie": {"true"}}
	res := s.post("/token", "192.0.2.1", login("ann", "correct horse"), nil, tls...)
	if len(res.Cookies()) != 3 {
		t.Fatalf("cookies %v", res.Cookies())
	}
	for _, c := range res.Cookies() {
		if !strings.HasPrefix(c.Name, "__Secure-omnichat_") || !c.Secure {
			t.Errorf("cookie %v", c)
		}
	}
	if res := s.post("/token", "192.0.2.1", refresh, res.Cookies(), tls...); res.StatusCode != 200 {
		t.Errorf("a refresh: %s", res.Status)
	}
	// A login from before the prefix goes on, with it.
	old := s.post("/token", "192.0.2.1", login("ann", "correct horse"), nil).Cookies()
	res = s.post("/token", "192.0.2.1", refresh, old, tls...)
	var set, gone int
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 && !strings.HasPrefix(c.Name, "__") {
			gone++
		} else if strings.HasPrefix(c.Name, "__Secure-") {
			set++
		}
	}
	if res.StatusCode != 200 || set != 2 || gone != 2 {
		t.Errorf("an old cookie: %s, %v", res.Status, res.Cookies())
	}
}

// TestOtherPortsCannotLogOut holds that a page on another port of the host,
// which the browser sends the cookies of, can take none away nor use them.
func TestOtherPortsCannotLogOut(t *testing.T) {
	s := open(t, transport.Options{}).users()
	cookies := s.post("/token", "192.0.2.1", login("ann", "correct horse"), nil).Cookies()
	_, _, answer := s.ask(s.ann, map[string]any{"content": "a b"})
	for name, header := range map[string][]string{
		"by Sec-Fetch-Site": {"Sec-Fetch-Site", "same-site"}, "by Origin": {"Origin", strings.Replace(s.url, "127.0.0.1:", "127.0.0.1:1", 1)},
	} {
		for _, form := range []url.Values{{}, {"token": {"x"}}, {"cookie": {"true"}}} {
			if res := s.post("/token/revoke", "192.0.2.1", form, cookies, header...); len(res.Cookies()) > 0 {
				t.Errorf("%s, %v: %s, cookies %v", name, form, res.Status, res.Cookies())
			}
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/chat/stream/"+answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cookies {
		req.AddCookie(c)
	}
	for site, want := range map[string]int{"same-site": 401, "cross-site": 401, "same-origin": 200, "": 200} {
		req.Header.Set("Sec-Fetch-Site", site)
		res, err := s.client.Transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != want {
			t.Errorf("an event stream by %q: %s, want %d", site, res.Status, want)
		}
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "cookie": {"true"}}
	if res := s.post("/token", "192.0.2.1", refresh, cookies); res.StatusCode != 200 {
		t.Errorf("the login has ended: %s", res.Status)
	}
}

func TestPrivateAnswersAreNotKept(t *testing.T) {
	s := open(t, transport.Options{}).users()
	file := s.upload(s.ann, "a.txt", "text/plain", "text")
	_, session, answer := s.ask(s.ann, map[string]any{"content": "a b"})
	for _, path := range []string{
		"/attachments/" + file, "/sessions", "/sessions/" + session, "/sessions/" + session + "/messages", "/users/me", "/models",
		"/chat/stream/" + answer, "/usage", "/limits", "/providers", "/prices", "/warnings", "/users/me/settings", "/attachments/" + session,
	} {
		res := s.send("GET", path, s.ann, "", nil)
		_, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if h := res.Header; err != nil || !strings.Contains(h.Get("Cache-Control"), "no-store") || !strings.Contains(strings.Join(h.Values("Vary"), ","), "Authorization") {
			t.Errorf("%s: %s, Cache-Control %q, Vary %q, %v", path, res.Status, h.Get("Cache-Control"), h.Values("Vary"), err)
		}
	}
}

// TestEveryAnswerHasItsPolicies holds of the page, its files, calls and streams.
func TestEveryAnswerHasItsPolicies(t *testing.T) {
	s := open(t, transport.Options{}).users()
	_, _, answer := s.ask(s.ann, map[string]any{"content": "a b"})
	for _, path := range []string{"/", "/assets/a-1.js", "/favicon.svg", "/config.json", "/users/me", "/nowhere", "/healthz", "/openapi.yaml", "/chat/stream/" + answer} {
		res := s.send("GET", path, s.ann, "", nil)
		res.Body.Close()
		for name, want := range map[string]string{
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Permissions-Policy": "camera=()",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		} {
			if got := res.Header.Get(name); !strings.Contains(got, want) {
				t.Errorf("%s: %s %q", path, name, got)
			}
		}
	}
}
