package transport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"math"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/repo"
	"github.com/omnichat/omnichat/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = []byte("0123456789abcdef0123456789abcdef")

var transportDefaults = transport.Options{}

// echoes answers with the last question, word by word.
type echoes struct{}

func (echoes) Models(context.Context) ([]hub.Model, error) {
	return []hub.Model{{ID: "echo", Name: "Echo"}, {ID: "blind", Name: "Blind", Vision: new(false)}}, nil
}

func (echoes) Stream(ctx context.Context, p hub.Prompt) iter.Seq2[hub.Delta, error] {
	return func(yield func(hub.Delta, error) bool) {
		text := p.Turns[len(p.Turns)-1].Content
		switch text {
		case "wait":
			<-ctx.Done()
			return
		case "all":
			for _, d := range everything {
				if !yield(d, nil) {
					return
				}
			}
			return
		case "lie":
			yield(hub.Delta{Text: "x"}, nil)
			yield(hub.Delta{Finish: hub.ReasonStop, Usage: &hub.Usage{InputTokens: math.MinInt64, OutputTokens: math.MaxInt64, CachedTokens: -1}}, nil)
			return
		case "fail":
			yield(hub.Delta{}, &hub.Error{Code: hub.CodeProviderRateLimit, Msg: "the provider is busy", RetryAfter: 7 * time.Second})
			return
		}
		for _, w := range strings.SplitAfter(text, " ") {
			if !yield(hub.Delta{Text: w}, nil) {
				return
			}
		}
		yield(hub.Delta{Finish: hub.ReasonStop, Usage: &hub.Usage{InputTokens: 1, OutputTokens: 1}}, nil)
	}
}

// everything is an answer with all that a provider may send.
var everything = []hub.Delta{
	{Reasoning: "Hm."}, {Opaque: json.RawMessage(`{"signature":"x"}`)}, {Text: "Let me look."},
	{Tool: &hub.ToolDelta{ID: "call_1", Name: "look", Arguments: `{"at":`}}, {Tool: &hub.ToolDelta{Arguments: `"it"}`}},
	{Finish: hub.ReasonToolCalls, Usage: &hub.Usage{InputTokens: 1000, OutputTokens: 100, CachedTokens: 10, ReasoningTokens: 5}},
}

// still is a clock that moves when it is told to.
type still struct{ at atomic.Int64 }

func (c *still) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *still) advance(d time.Duration) { c.at.Add(int64(d)) }

// site is a running server with a client of its own.
type site struct {
	t      *testing.T
	server *transport.Server
	still  *still // what failed logins are forgotten by
	hub    *hub.Hub
	db     *repo.Repo
	url    string
	client *http.Client
	ann    string // access tokens
	bob    string
}

func open(t *testing.T, opt transport.Options, of ...hub.Options) *site {
	t.Helper()
	db, err := repo.Open(t.Context(), repo.Options{DataDir: t.TempDir(), SealKey: secret})
	if err != nil {
		t.Fatal(err)
	}
	of = append(of, hub.Options{})
	h := hub.New(db, db, hub.Fixed{"fake": echoes{}}, of[0])
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	opt.Secret = secret
	if opt.Web == nil {
		opt.Web = fstest.MapFS{
			"index.html": {Data: []byte("<html>page</html>")}, "assets/a-1.js": {Data: []byte("plain")},
			"assets/a-1.js.gz": {Data: []byte("gzipped")}, "assets/a-1.js.br": {Data: []byte("brotli")}, "favicon.svg": {Data: []byte("<svg/>")},
		}
	}
	clock := &still{}
	s := transport.New(h, db, transport.Cheap(opt, clock.now))
	srv := httptest.NewServer(s.Handler())
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	plain := &http.Transport{}
	client := &http.Client{Transport: newContract(t, plain), Jar: jar}
	t.Cleanup(func() {
		plain.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.Shutdown(ctx)
		srv.Close()
		h.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &site{t: t, server: s, still: clock, hub: h, db: db, url: srv.URL, client: client}
}

// users registers ann, who is the admin, and bob, and logs them in.
func (s *site) users() *site {
	s.t.Helper()
	s.ann, s.bob = s.user("ann"), s.user("bob")
	return s
}

func (s *site) user(name string) (token string) {
	s.t.Helper()
	s.do("POST", "/users", "", map[string]string{"username": name, "password": "correct horse"}, 201)
	return s.token(url.Values{"username": {name}, "password": {"correct horse"}}, 200)["access_token"].(string)
}

func (s *site) send(method, path, token, media string, body io.Reader) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

func (s *site) read(res *http.Response, want int) (out map[string]any) {
	s.t.Helper()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		s.t.Fatalf("%s %s: %s, %v, want %d: %.500s", res.Request.Method, res.Request.URL.Path, res.Status, err, want, b)
	}
	if res.StatusCode >= 400 && res.Header.Get("Content-Type") != "application/problem+json" {
		s.t.Errorf("%s: a problem of type %q", res.Request.URL.Path, res.Header.Get("Content-Type"))
	}
	_ = json.Unmarshal(b, &out) // streams and files are not JSON
	return out
}

func (s *site) do(method, path, token string, body any, want int) map[string]any {
	s.t.Helper()
	if body == nil {
		return s.read(s.send(method, path, token, "", nil), want)
	}
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.read(s.send(method, path, token, "application/json", bytes.NewReader(b)), want)
}

func (s *site) token(form url.Values, want int) map[string]any {
	s.t.Helper()
	return s.read(s.send("POST", "/token", "", "application/x-www-form-urlencoded", strings.NewReader(form.Encode())), want)
}

// ask asks and returns the stream's text and the ids of session and answer.
func (s *site) ask(token string, body map[string]any) (stream, session, answer string) {
	s.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	res := s.send("POST", "/chat/stream", token, "application/json", bytes.NewReader(b))
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		s.t.Fatalf("ask: %s %v %s", res.Status, err, text)
	}
	var start struct {
		MessageID string `json:"message_id"`
		SessionID string `json:"session_id"`
	}
	_, first, _ := strings.Cut(string(text), "data: ")
	first, _, _ = strings.Cut(first, "\n")
	if err := json.Unmarshal([]byte(first), &start); err != nil {
		s.t.Fatal(err)
	}
	return string(text), start.SessionID, start.MessageID
}

func TestBadInputGetsAProblemThatNamesIt(t *testing.T) {
	s := open(t, transport.Options{}).users()
	_, session, answer := s.ask(s.ann, map[string]any{"content": "one two"})
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	s.refuses(map[string]refusal{
		"malformed":              {body: `{"content":`, status: 400, code: "invalid"},
		"not an object":          {body: `[1]`, status: 400, code: "invalid"},
		"empty":                  {body: ``, status: 400, code: "invalid"},
		"trailing":               {body: `{"content":"x"} {}`, status: 400, code: "invalid"},
		"wrong type":             {body: `{"content":5}`, status: 400, code: "invalid", field: "content"},
		"unknown field":          {body: `{"content":"x","contents":1}`, status: 400, code: "invalid", field: "contents"},
		"invalid UTF-8":          {body: "{\"content\":\"\xff\"}", status: 400, code: "invalid"},
		"NUL":                    {body: `{"content":"a\u0000b"}`, status: 400, code: "invalid", field: "content"},
		"10 MB":                  {body: `{"content":"` + strings.Repeat("x", 10<<20) + `"}`, status: 413, code: "too_large"},
		"deep nesting":           {body: deep, status: 400, code: "invalid", field: "a"},
		"bad UUID":               {body: `{"content":"x","message_id":"7"}`, status: 400, code: "invalid", field: "message_id"},
		"bad parent":             {body: `{"content":"x","parent_id":7}`, status: 400, code: "invalid", field: "parent_id"},
		"no content":             {body: `{}`, status: 400, code: "invalid", field: "content"},
		"blank content":          {body: `{"content":"  "}`, status: 400, code: "invalid", field: "content"},
		"unknown provider":       {body: `{"content":"x","model":"nobody/m"}`, status: 400, code: "invalid", field: "model"},
		"temperature":            {body: `{"content":"x","temperature":3}`, status: 400, code: "invalid", field: "temperature"},
		"max_tokens":             {body: `{"content":"x","max_tokens":1.5}`, status: 400, code: "invalid", field: "max_tokens"},
		"no JSON":                {media: "text/plain", body: `x`, status: 415, code: "unsupported_media_type"},
		"missing session":        {body: `{"content":"x","session_id":"` + hub.NewID() + `"}`, status: 404, code: "not_found"},
		"missing parent":         {body: `{"content":"x","session_id":"` + session + `","parent_id":"` + hub.NewID() + `"}`, status: 404, code: "not_found", field: "parent_id"},
		"other content":          {body: `{"content":"x","answer_id":"` + answer + `"}`, status: 409, code: "id_conflict", field: "answer_id"},
		"query":                  {method: "GET", path: "/sessions?limit=0", status: 400, code: "invalid", field: "limit"},
		"cursor":                 {method: "GET", path: "/sessions?cursor=x", status: 400, code: "invalid", field: "cursor"},
		"after_version":          {method: "GET", path: "/sessions/" + session + "/messages?after_version=-1", status: 400, code: "invalid", field: "after_version"},
		"resume":                 {method: "GET", path: "/chat/stream/" + answer + "?after=99999999999999999999", status: 400, code: "invalid", field: "after"},
		"no path":                {method: "GET", path: "/nowhere", status: 404, code: "not_found"},
		"no method":              {method: "PUT", path: "/sessions", status: 405, code: "method_not_allowed"},
		"short password":         {path: "/users", body: `{"username":"x","password":"short"}`, status: 400, code: "invalid", field: "password"},
		"strange name":           {path: "/users", body: `{"username":"a b","password":"long enough"}`, status: 400, code: "invalid", field: "username"},
		"taken name":             {path: "/users", body: `{"username":"ANN","password":"long enough"}`, status: 409, code: "username_taken", field: "username"},
		"unknown grant type":     {path: "/token", media: "application/x-www-form-urlencoded", body: "grant_type=magic", status: 400, code: "invalid", field: "grant_type"},
		"token as JSON":          {path: "/token", body: `{"username":"ann"}`, status: 415, code: "unsupported_media_type"},
		"wrong password":         {path: "/token", media: "application/x-www-form-urlencoded", body: "username=ann&password=x", status: 401, code: "invalid_grant"},
		"unknown user":           {path: "/token", media: "application/x-www-form-urlencoded", body: "username=eve&password=x", status: 401, code: "invalid_grant"},
		"unknown refresh":        {path: "/token", media: "application/x-www-form-urlencoded", body: "grant_type=refresh_token&refresh_token=x", status: 401, code: "invalid_grant"},
		"unknown session field":  {path: "/sessions", body: `{"name":"x"}`, status: 400, code: "invalid", field: "name"},
		"attachments of no list": {body: `{"content":"x","attachments":"y"}`, status: 400, code: "invalid", field: "attachments"},
		"attachments of objects": {body: `{"content":"x","attachments":[{"id":"y"}]}`, status: 400, code: "invalid", field: "attachments"},
		"attachments of null":    {body: `{"content":"x","attachments":[null]}`, status: 400, code: "invalid", field: "attachments"},
		"attachments of no ids":  {body: `{"content":"x","attachments":["y"]}`, status: 400, code: "invalid", field: "attachments"},
	})
	s.do("GET", "/healthz", "", nil, 200)
}

// refusal is a call and the problem it gets.
type refusal struct {
	method, path, media, body string // a question as JSON if left out
	token                     string // ann's if left out
	status                    int
	code                      hub.Code
	field                     string
}

func (s *site) refuses(tests map[string]refusal) {
	s.t.Helper()
	for name, tt := range tests {
		s.t.Run(name, func(t *testing.T) {
			or := func(v, otherwise string) string {
				if v == "" {
					return otherwise
				}
				return v
			}
			s := *s
			s.t = t
			res := s.send(or(tt.method, "POST"), or(tt.path, "/chat/stream"), or(tt.token, s.ann), or(tt.media, "application/json"), strings.NewReader(tt.body))
			p := s.read(res, tt.status)
			field, _ := p["field"].(string)
			if p["code"] != string(tt.code) || field != tt.field || p["detail"] == "" {
				t.Errorf("problem %v, want code %q, field %q", p, tt.code, tt.field)
			}
		})
	}
}

func TestForeignLooksLikeMissing(t *testing.T) {
	s := open(t, transport.Options{}).users()
	_, session, answer := s.ask(s.ann, map[string]any{"content": "one two"})
	file := s.upload(s.ann, "a.txt", "text/plain", "a")
	body := func(method, path, media string) string {
		res := s.send(method, path, s.bob, media, strings.NewReader(`{}`))
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 404 {
			t.Errorf("%s %s: %s %v", method, path, res.Status, err)
		}
		return string(b)
	}
	missing := hub.NewID()
	for _, call := range []struct{ method, path string }{
		{"GET", "/sessions/S"}, {"PATCH", "/sessions/S"}, {"DELETE", "/sessions/S"}, {"GET", "/sessions/S/messages"},
		{"DELETE", "/sessions/S/messages/M"}, {"GET", "/chat/stream/M"}, {"DELETE", "/chat/stream/M"},
		{"GET", "/attachments/F"}, {"DELETE", "/attachments/F"},
	} {
		var bodies []string
		for _, ids := range [][3]string{{session, answer, file}, {missing, missing, missing}, {"nonsense", "nonsense", "nonsense"}} {
			path := strings.NewReplacer("/S", "/"+ids[0], "/M", "/"+ids[1], "/F", "/"+ids[2]).Replace(call.path)
			bodies = append(bodies, body(call.method, path, "application/json"))
		}
		if bodies[0] != bodies[1] || bodies[1] != bodies[2] {
			t.Errorf("%s %s: %q", call.method, call.path, bodies)
		}
	}
}

func TestBadTokensAreRefused(t *testing.T) {
	s := open(t, transport.Options{}).users()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(s.ann, claims); err != nil {
		t.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, key any, change func(c jwt.MapClaims)) string {
		c := jwt.MapClaims{}
		for k, v := range claims {
			c[k] = v
		}
		change(c)
		token, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	same := func(jwt.MapClaims) {}
	for name, token := range map[string]string{
		"none at all":    "",
		"nonsense":       "x.y.z",
		"tampered":       s.ann[:len(s.ann)-4] + "AAAA",
		"alg none":       sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same),
		"alg HS512":      sign(jwt.SigningMethodHS512, secret, same),
		"another key":    sign(jwt.SigningMethodHS256, []byte("another"), same),
		"expired":        sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }),
		"no expiry":      sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { delete(c, "exp") }),
		"other audience": sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["aud"] = "x" }),
		"other issuer":   sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["iss"] = "x" }),
		"no subject":     sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["sub"] = "" }),
		"no such login":  sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["sid"] = hub.NewID() }),
	} {
		t.Run(name, func(t *testing.T) {
			if p := s.do("GET", "/users/me", token, nil, 401); p["code"] != "unauthenticated" {
				t.Errorf("problem %v", p)
			}
		})
	}
	s.do("GET", "/users/me", sign(jwt.SigningMethodHS256, secret, same), nil, 200)
}

func TestRefreshAndLogOut(t *testing.T) {
	s := open(t, transport.Options{}).users()
	first := s.token(url.Values{"username": {"ann"}, "password": {"correct horse"}}, 200)
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first["refresh_token"].(string)}}
	second := s.token(refresh, 200)
	s.do("GET", "/users/me", second["access_token"].(string), nil, 200)
	form := strings.NewReader(url.Values{"token": {second["refresh_token"].(string)}}.Encode())
	s.read(s.send("POST", "/token/revoke", "", "application/x-www-form-urlencoded", form), 200)
	s.do("GET", "/users/me", second["access_token"].(string), nil, 401)
	if p := s.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {second["refresh_token"].(string)}}, 401); p["error"] != "invalid_grant" {
		t.Errorf("problem %v", p)
	}
}

func TestCookiesAreForThePageAlone(t *testing.T) {
	s := open(t, transport.Options{}).users()
	form := url.Values{"username": {"ann"}, "password": {"correct horse"}, "cookie": {"true"}}
	res := s.send("POST", "/token", "", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	cookies := map[string]*http.Cookie{}
	for _, c := range res.Cookies() {
		cookies[c.Path] = c
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
			t.Errorf("cookie %s is not closed", c.Name)
		}
	}
	got := s.read(res, 200)
	if got["refresh_token"] != nil || cookies["/token"] == nil || cookies["/chat/stream"] == nil {
		t.Fatalf("answer %v, cookies %v", got, cookies)
	}
	_, _, answer := s.ask(got["access_token"].(string), map[string]any{"content": "a b"})
	s.read(s.send("GET", "/chat/stream/"+answer, "", "", nil), 200) // a browser's EventSource
	s.do("DELETE", "/chat/stream/"+answer, "", nil, 401)
	s.token(url.Values{"grant_type": {"refresh_token"}, "cookie": {"true"}}, 200)
	s.read(s.send("POST", "/token/revoke", "", "application/x-www-form-urlencoded", nil), 200)
	s.token(url.Values{"grant_type": {"refresh_token"}, "cookie": {"true"}}, 401)
}

func TestCookiesAreNotForOtherSites(t *testing.T) {
	s := open(t, transport.Options{}).users()
	refresh := s.token(url.Values{"username": {"ann"}, "password": {"correct horse"}}, 200)["refresh_token"].(string)
	for name, form := range map[string]url.Values{
		"login":           {"username": {"ann"}, "password": {"correct horse"}, "cookie": {"true"}},
		"refresh":         {"grant_type": {"refresh_token"}, "cookie": {"true"}},
		"refresh of body": {"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "cookie": {"true"}},
	} {
		for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.org"}} {
			req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/token", strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set(header[0], header[1])
			res, err := s.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 403 || len(res.Cookies()) > 0 {
				t.Errorf("%s with %s: %s, cookies %v", name, header, res.Status, res.Cookies())
			}
		}
	}
}

func TestFailedLoginsAreSlowedDown(t *testing.T) {
	s := open(t, transport.Options{}).users()
	wrong := url.Values{"username": {"ann"}, "password": {"guess"}}
	right := url.Values{"username": {"ann"}, "password": {"correct horse"}}
	for range 10 {
		s.token(wrong, 401)
	}
	if p := s.token(wrong, 429); p["code"] != "rate_limited" {
		t.Errorf("problem %v", p)
	}
	s.token(right, 429)
	s.token(url.Values{"username": {"bob"}, "password": {"correct horse"}}, 200)
	s.still.advance(time.Second) // where ann was logged in before; a stranger waits for three
	s.token(wrong, 401)
	s.token(right, 429)
	s.still.advance(time.Second)
	s.token(right, 200)
}

func TestStreamIsPlainEvents(t *testing.T) {
	s := open(t, transport.Options{}).users()
	text, _, answer := s.ask(s.ann, map[string]any{"content": "one two"})
	if strings.Contains(text, "event:") || !strings.HasPrefix(text, "id: 0\ndata: {\"type\":\"start\"") || !strings.Contains(text, `"type":"finish"`) {
		t.Errorf("stream %s", text)
	}
	for _, path := range []string{"?after=0", "?after=1", ""} {
		res := s.send("GET", "/chat/stream/"+answer+path, s.ann, "", nil)
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || !strings.Contains(string(b), `"type":"finish"`) {
			t.Errorf("%s: %s %v %s", path, res.Status, err, b)
		}
	}
	s.do("GET", "/chat/stream/"+answer+"?after=3", s.ann, nil, 204)
	s.do("DELETE", "/chat/stream/"+answer, s.ann, nil, 202)
}

func TestPageIsServedCompressedAndLockedDown(t *testing.T) {
	s := open(t, transport.Options{})
	for _, path := range []string{"/", "/login", "/c/" + hub.NewID(), "/settings", "/live/x"} {
		res := s.send("GET", path, "", "", nil)
		csp := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "script-src 'self';") || !strings.Contains(csp, "frame-ancestors 'none'") ||
			res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: headers %v", path, res.Header)
		}
		s.read(res, 200)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/assets/a-1.js", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip, br")
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || string(b) != "brotli" || res.Header.Get("Content-Encoding") != "br" || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("asset %q, %v, headers %v", b, err, res.Header)
	}
	for path, want := range map[string]int{"/favicon.svg": 200, "/config.json": 200, "/assets/../index.html": 404, "/assets/none.js": 404, "/openapi.yaml": 200, "/asyncapi.yaml": 200, "/readyz": 200} {
		s.read(s.send("GET", path, "", "", nil), want)
	}
}

func TestOtherOriginsAreAllowedByName(t *testing.T) {
	const site = "https://chat.example.org"
	s := open(t, transport.Options{Origins: []string{site}}).users()
	for origin, allowed := range map[string]bool{site: true, "https://evil.example.org": false} {
		req, err := http.NewRequestWithContext(t.Context(), "OPTIONS", s.url+"/sessions", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", "PUT")
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Access-Control-Allow-Origin"); (got == origin) != allowed {
			t.Errorf("%s: allowed %q", origin, got)
		}
		if got := res.Header.Get("Access-Control-Allow-Methods"); strings.Contains(got, "PUT") != allowed {
			t.Errorf("%s: methods %q", origin, got)
		}
		conn, res, err := websocket.Dial(t.Context(), s.url+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}, HTTPClient: s.client})
		if err == nil {
			defer conn.CloseNow()
		}
		if (err == nil) != allowed || !allowed && res.StatusCode != 403 {
			t.Errorf("%s: WebSocket %v", origin, err)
		}
	}
}

// dial opens a WebSocket.
func (s *site) dial() *websocket.Conn {
	s.t.Helper()
	conn, _, err := websocket.Dial(s.t.Context(), s.url+"/ws", &websocket.DialOptions{HTTPClient: s.client})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(-1)
	return conn
}

// tell sends a command and returns the next event that is not presence.
func (s *site) tell(conn *websocket.Conn, command string) map[string]any {
	s.t.Helper()
	if err := conn.Write(s.t.Context(), websocket.MessageText, []byte(command)); err != nil {
		s.t.Fatal(err)
	}
	for {
		_, data, err := conn.Read(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			var e map[string]any
			if err := json.Unmarshal(line, &e); err != nil {
				s.t.Fatal(err)
			}
			checkFrame(s.t, e)
			if e["type"] != "presence" {
				return e
			}
		}
	}
}

func TestWebSocketCommands(t *testing.T) {
	s := open(t, transport.Options{}).users()
	_, session, answer := s.ask(s.ann, map[string]any{"content": "one two"})
	_, foreign, _ := s.ask(s.bob, map[string]any{"content": "mine"})
	conn := s.dial()
	auth := `{"type":"auth","token":"` + s.ann + `"}`
	if e := s.tell(conn, auth); e["type"] != "ready" || e["user_version"] == nil {
		t.Fatalf("greeted with %v", e)
	}
	for name, tt := range map[string]struct{ send, want, code string }{
		"renewed":           {send: auth, want: "ready"},
		"ping":              {send: `{"type":"ping"}`, want: "pong"},
		"malformed":         {send: `{"type":`, want: "error", code: "invalid"},
		"unknown type":      {send: `{"type":"dance","ref":1}`, want: "error", code: "invalid"},
		"unknown field":     {send: `{"type":"ping","speed":1}`, want: "error", code: "invalid"},
		"wrong type":        {send: `{"type":"subscribe","ref":"x"}`, want: "error", code: "invalid"},
		"no session":        {send: `{"type":"subscribe","ref":1}`, want: "error", code: "invalid"},
		"bad positions":     {send: `{"type":"subscribe","ref":1,"session_id":"` + session + `","positions":{"x":1}}`, want: "error", code: "invalid"},
		"missing session":   {send: `{"type":"subscribe","ref":1,"session_id":"` + hub.NewID() + `"}`, want: "error", code: "not_found"},
		"foreign session":   {send: `{"type":"subscribe","ref":1,"session_id":"` + foreign + `"}`, want: "error", code: "not_found"},
		"subscribe":         {send: `{"type":"subscribe","ref":1,"session_id":"` + session + `"}`, want: "ack"},
		"unsubscribe":       {send: `{"type":"unsubscribe","ref":2,"session_id":"` + session + `"}`, want: "ack"},
		"stop":              {send: `{"type":"stop","ref":3,"message_id":"` + answer + `"}`, want: "ack"},
		"stop somebody's":   {send: `{"type":"stop","ref":3,"message_id":"` + hub.NewID() + `"}`, want: "error", code: "not_found"},
		"send nothing":      {send: `{"type":"send","ref":4}`, want: "error", code: "invalid"},
		"send to a foreign": {send: `{"type":"send","ref":4,"content":"x","session_id":"` + foreign + `"}`, want: "error", code: "not_found"},
	} {
		e := s.tell(conn, tt.send)
		code, _ := e["code"].(string)
		if e["type"] != tt.want || code != tt.code {
			t.Errorf("%s: %v", name, e)
		}
	}
	e := s.tell(conn, `{"type":"subscribe","ref":9,"session_id":"`+session+`","positions":{"`+answer+`":0}}`)
	if e["type"] != "ack" || e["version"] == nil {
		t.Fatalf("%v", e)
	}
	if e := s.tell(conn, `{"type":"ping"}`); e["type"] != "delta" && e["type"] != "snapshot" && e["type"] != "pong" {
		t.Errorf("a position of an ended stream got %v", e)
	}
}

func TestWebSocketMustAuthenticate(t *testing.T) {
	s := open(t, transport.Options{AuthTimeout: time.Minute}).users()
	closed := func(conn *websocket.Conn) websocket.StatusCode {
		_, _, err := conn.Read(t.Context())
		return websocket.CloseStatus(err)
	}
	hasty := s.troubled(&trouble{}, transport.Options{AuthTimeout: 50 * time.Millisecond})
	if code := closed(hasty.dial()); code != 4408 {
		t.Errorf("silence was closed with %d", code)
	}
	for _, first := range []string{`{"type":"ping"}`, `{"type":"auth","token":"x"}`, `x`} {
		conn := s.dial()
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(first)); err != nil {
			t.Fatal(err)
		}
		if code := closed(conn); code != 4401 {
			t.Errorf("%s was closed with %d", first, code)
		}
	}
	conn, _, err := websocket.Dial(t.Context(), s.url+"/ws", &websocket.DialOptions{HTTPClient: s.client, HTTPHeader: http.Header{"Authorization": {"Bearer " + s.ann}}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if _, data, err := conn.Read(t.Context()); err != nil || !strings.Contains(string(data), `"ready"`) {
		t.Errorf("with a header: %s %v", data, err)
	}
}
