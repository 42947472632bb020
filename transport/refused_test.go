package transport_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/transport"
)

// TestClientThatWritesAllFirstGetsItsAnswer sends 10 MB and only then reads, as
// many HTTP clients do.
func TestClientThatWritesAllFirstGetsItsAnswer(t *testing.T) {
	s := open(t, transportDefaults).users()
	body := []byte(`{"content":"` + strings.Repeat("x", 10<<20) + `"}`)
	for name, tt := range map[string]struct {
		path, token, media string
		chunked            bool
		status             int
	}{
		"over the limit":                    {path: "/chat/stream", token: s.ann, media: "application/json", status: 413},
		"over the limit, of unknown length": {path: "/chat/stream", token: s.ann, media: "application/json", chunked: true, status: 413},
		"nobody's":                          {path: "/chat/stream", media: "application/json", status: 401},
		"of another type":                   {path: "/chat/stream", token: s.ann, media: "text/plain", status: 415},
		"to nowhere":                        {path: "/nowhere", token: s.ann, media: "application/json", status: 404},
		"a login":                           {path: "/token", media: "application/x-www-form-urlencoded", status: 413},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n", tt.path, tt.token, tt.media)
			if tt.chunked {
				_, err = fmt.Fprintf(conn, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
			} else {
				_, err = fmt.Fprintf(conn, "Content-Length: %d\r\n\r\n%s", len(body), body)
			}
			if err != nil {
				t.Fatalf("the body was not taken: %v", err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != tt.status || !res.Close || !bytes.Contains(b, []byte(`"code"`)) {
				t.Errorf("%s, closed %v, %v: %s", res.Status, res.Close, err, b)
			}
		})
	}
}

// TestRefusedRequestLeavesItsConnection holds that a body that was read costs
// no connection.
func TestRefusedRequestLeavesItsConnection(t *testing.T) {
	s := open(t, transportDefaults).users()
	res := s.send("POST", "/sessions", s.ann, "application/json", strings.NewReader(`{"x":1}`))
	s.read(res, 400)
	if res.Close {
		t.Error("the connection is closed")
	}
}

func TestGuessesAtOnceAreNoMoreThanOneByOne(t *testing.T) {
	s := open(t, transport.Unforgiving(transport.Options{CallTimeout: time.Minute})).users() // hashing may take long
	var mu sync.Mutex
	got := map[int]int{}
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			form := url.Values{"username": {"ann"}, "password": {"guess"}}
			res, err := http.PostForm(s.url+"/token", form)
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode == 429 && res.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			mu.Lock()
			defer mu.Unlock()
			got[res.StatusCode]++
		})
	}
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()
	if got[401] != 10 || got[429] != 50 {
		t.Errorf("%v, want 10 of 401 and 50 of 429", got)
	}
	// The account is at its limit; the address has room for the others.
	s.token(url.Values{"username": {"bob"}, "password": {"correct horse"}}, 200)
}

// TestNameThatNobodyCanHaveIsUnknown holds that it looks like any other wrong
// login, counts as one for the address, and takes up no memory.
func TestNameThatNobodyCanHaveIsUnknown(t *testing.T) {
	s := open(t, transport.Unforgiving(transportDefaults)).users()
	before := s.server.Throttled()
	for i := range 60 {
		name := fmt.Sprint(i, strings.Repeat("x", 64))
		if i%2 == 0 {
			name = fmt.Sprint("a b", i)
		}
		p := s.token(url.Values{"username": {name}, "password": {"guess"}}, 401)
		if p["code"] != "invalid_grant" || p["detail"] != "wrong username or password" {
			t.Fatalf("%q: %v", name, p)
		}
	}
	s.token(url.Values{"username": {strings.Repeat("x", 10_000)}, "password": {"guess"}}, 429)
	if n := s.server.Throttled(); n != before {
		t.Errorf("%d names that nobody can have are remembered", n-before)
	}
}

func TestSigningUpIsSlowedDown(t *testing.T) {
	s := open(t, transport.Unforgiving(transportDefaults))
	body := func(i int) map[string]string {
		return map[string]string{"username": fmt.Sprint("user", i), "password": "correct horse"}
	}
	for i := range 15 {
		s.do("POST", "/users", "", body(i), 201)
		s.do("POST", "/users", "", body(i), 409)
	}
	b, err := json.Marshal(body(15))
	if err != nil {
		t.Fatal(err)
	}
	res := s.send("POST", "/users", "", "application/json", bytes.NewReader(b))
	if p := s.read(res, 429); p["code"] != "rate_limited" || res.Header.Get("Retry-After") == "" {
		t.Errorf("%v, Retry-After %q", p, res.Header.Get("Retry-After"))
	}
}

func TestFieldNamesAreExactAndGivenOnce(t *testing.T) {
	s := open(t, transportDefaults).users()
	conn := s.connect(s.ann)
	for body, field := range map[string]string{
		`"Content":"x"`:                           "Content",
		`"content":"x","CONTENT":"y"`:             "CONTENT",
		`"content":"x","content":"y"`:             "content",
		`"content":"x","\u0063ontent":"y"`:        "content",
		`"content":5`:                             "content",
		`"content":"x","max_tokens":"many"`:       "max_tokens",
		`"content":"x","parent_id":{"a":1,"a":2}`: "parent_id.a",
	} {
		p := s.read(s.send("POST", "/chat/stream", s.ann, "application/json", strings.NewReader("{"+body+"}")), 400)
		if detail, _ := p["detail"].(string); p["field"] != field || !strings.HasPrefix(detail, field+" ") {
			t.Errorf("%s: %v", body, p)
		}
		e := s.tell(conn, `{"type":"send","ref":3,`+body+`}`)
		if detail, _ := e["detail"].(string); e["code"] != "invalid" || e["ref"] != 3.0 || !strings.HasPrefix(detail, field+" ") {
			t.Errorf("send %s: %v", body, e)
		}
	}
	id := hub.NewID()
	for command, field := range map[string]string{
		`{"type":"ping","type":"ping"}`: "type",
		`{"Type":"ping"}`:               "Type",
		`{"type":"subscribe","session_id":"` + id + `","positions":{"` + id + `":1,"` + id + `":2}}`: "positions." + id,
	} {
		if e := s.tell(conn, command); e["code"] != "invalid" || !strings.HasPrefix(e["detail"].(string), field+" ") {
			t.Errorf("%s: %v", command, e)
		}
	}
	if p := s.read(s.send("POST", "/sessions", s.ann, "application/json", strings.NewReader(`{"title":5}`)), 400); p["field"] != "title" {
		t.Errorf("a title that is a number: %v", p)
	}
}

func TestLargeCommandIsRefusedAndTheConnectionStays(t *testing.T) {
	s := open(t, transportDefaults).users()
	conn := s.connect(s.ann)
	text := func(n int) string { return strings.Repeat("x", n) }
	if e := s.tell(conn, `{"type":"send","ref":7,"content":"`+text(1<<20)+`"}`); e["type"] != "error" || e["code"] != "too_large" || e["ref"] != 7.0 {
		t.Errorf("over 1 MiB: %v", e)
	}
	if e := s.tell(conn, `{"type":"ping"}`); e["type"] != "pong" {
		t.Errorf("then: %v", e)
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(text(5<<20))); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Log(err) // it may be closed while it is written
	}
	if code := s.closedWith(conn); code != websocket.StatusMessageTooBig && code != -1 {
		t.Errorf("far over it: closed with %d", code)
	}
}

func TestBodyMayBeLeftOut(t *testing.T) {
	s := open(t, transportDefaults).users()
	made := s.do("POST", "/sessions", s.ann, nil, 201)
	s.read(s.send("POST", "/sessions", s.ann, "application/json", strings.NewReader("")), 201)
	s.do("PATCH", "/sessions/"+made["id"].(string), s.ann, nil, 200)
	s.do("POST", "/chat/stream", s.ann, nil, 400)
	form := url.Values{"username": {"ann"}, "password": {"correct horse"}, "cookie": {"true"}}
	s.token(form, 200)
	s.read(s.send("POST", "/token/revoke", "", "", nil), 200) // the cookie says who
	s.token(url.Values{"grant_type": {"refresh_token"}, "cookie": {"true"}}, 401)
}

func TestPatchWithNothingToChangeIsNoChange(t *testing.T) {
	s := open(t, transportDefaults).users()
	made := s.do("POST", "/sessions", s.ann, map[string]string{"title": "a"}, 201)
	path := "/sessions/" + made["id"].(string)
	if got := s.do("PATCH", path, s.ann, map[string]any{}, 200); got["version"] != made["version"] || got["title"] != "a" {
		t.Errorf("made %v, then %v", made, got)
	}
	for _, field := range []string{"title", "model", "system_prompt"} {
		if p := s.do("PATCH", path, s.ann, map[string]any{field: nil}, 400); p["field"] != field {
			t.Errorf("null: %v", p)
		}
	}
	if got := s.do("GET", path, s.ann, nil, 200); got["version"] != made["version"] {
		t.Errorf("made %v, then %v", made, got)
	}
	s.do("PATCH", path, s.bob, map[string]any{}, 404)
}

func TestReusedRefreshTokenEndsItsLoginAtOnce(t *testing.T) {
	s := open(t, transportDefaults).users()
	refresh := func(token string, want int) map[string]any {
		return s.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, want)
	}
	first := s.token(url.Values{"username": {"ann"}, "password": {"correct horse"}}, 200)
	second := refresh(first["refresh_token"].(string), 200)
	third := refresh(second["refresh_token"].(string), 200)
	access := third["access_token"].(string)
	s.do("GET", "/users/me", access, nil, 200)
	refresh(first["refresh_token"].(string), 401)
	s.do("GET", "/users/me", access, nil, 401)
	s.do("GET", "/users/me", s.ann, nil, 200) // another login
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	s := open(t, transport.Options{}).users()
	for _, path := range []string{"/", "/login", "/c/" + hub.NewID(), "/settings", "/live/x", "/favicon.svg", "/config.json", "/healthz", "/readyz", "/sessions"} {
		get, head := s.send("GET", path, s.ann, "", nil), s.send("HEAD", path, s.ann, "", nil)
		whole, err := io.ReadAll(get.Body)
		get.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		none, err := io.ReadAll(head.Body)
		head.Body.Close()
		if err != nil || head.StatusCode != 200 || len(none) != 0 || head.ContentLength != int64(len(whole)) || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("%s: %s, %d bytes said to be %d, GET %d, %v", path, head.Status, len(none), head.ContentLength, len(whole), err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "HEAD", s.url+"/assets/a-1.js", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip;q=0, br;q=0")
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 || res.ContentLength != int64(len("plain")) || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("an asset for who takes no coding: %s, %d bytes, %v", res.Status, res.ContentLength, res.Header)
	}
	for _, path := range []string{"/ws", "/chat/stream/" + hub.NewID()} {
		res := s.send("HEAD", path, s.ann, "", nil)
		res.Body.Close()
		if res.StatusCode != 405 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

func TestAnswersAreLockedDown(t *testing.T) {
	s := open(t, transport.Options{}).users()
	page := s.send("GET", "/", "", "", nil)
	page.Body.Close()
	if got := page.Header.Get("X-Frame-Options"); got != "DENY" {
		t.Errorf("the page's X-Frame-Options %q", got)
	}
	for _, path := range []string{"/", "/users/me", "/sessions", "/nowhere", "/healthz"} {
		res := s.send("GET", path, s.ann, "", nil)
		res.Body.Close()
		for header, want := range map[string]string{
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
		} {
			if got := res.Header.Get(header); got != want {
				t.Errorf("%s: %s is %q", path, header, got)
			}
		}
		if got := res.Header.Get("Permissions-Policy"); !strings.Contains(got, "geolocation=()") {
			t.Errorf("%s: Permissions-Policy is %q", path, got)
		}
		csp, cache := res.Header.Get("Content-Security-Policy"), res.Header.Get("Cache-Control")
		if path != "/" && (csp != "default-src 'none'; frame-ancestors 'none'" || cache != "no-store") {
			t.Errorf("%s: %v", path, res.Header)
		}
	}
}

func TestBadHandshakeIsAProblem(t *testing.T) {
	s := open(t, transport.Options{}).users()
	for name, tt := range map[string]struct {
		header http.Header
		status int
		code   string
	}{
		"no WebSocket": {http.Header{}, 426, "upgrade_required"},
		"another one":  {http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}}, 426, "upgrade_required"},
		"an old one":   {http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"8"}}, 400, "invalid"},
		"no key":       {http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}}, 400, "invalid"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = tt.header
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if p := s.read(res, tt.status); p["code"] != tt.code || tt.status == 426 && res.Header.Get("Upgrade") != "websocket" {
			t.Errorf("%s: %v, Upgrade %q", name, p, res.Header.Get("Upgrade"))
		}
	}
	s.do("GET", "/healthz", "", nil, 200)
}
