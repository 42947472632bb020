package transport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/transport"
)

// narrowed makes a token of ann's login that may less than the login.
func (s *site) narrowed(change jwt.MapClaims) string {
	s.t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(s.ann, claims); err != nil {
		s.t.Fatal(err)
	}
	claims["aud"] = "omnichat-api-narrowed"
	for k, v := range change {
		claims[k] = v
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// attached attaches a file to a question of a session, and returns its id.
func (s *site) attached(session string) string {
	s.t.Helper()
	id := s.upload(s.ann, "a.txt", "text/plain", "text")
	s.ask(s.ann, map[string]any{"session_id": session, "content": "with a file", "attachments": []string{id}})
	return id
}

// TestAnAccessIsForWhatItSays has tokens that may read one chat, read and ask in it, or read
// all, make every call of the document. What they may not is refused, changes nothing, and
// does not tell that there is anything else.
func TestAnAccessIsForWhatItSays(t *testing.T) {
	s := open(t, transport.Options{}).users()
	_, here, answer := s.ask(s.ann, map[string]any{"content": "one two"})
	_, there, other := s.ask(s.ann, map[string]any{"content": "something else"})
	mine, elsewhere := s.attached(here), s.attached(there)
	tokens := map[string]string{
		"reads one":       s.narrowed(jwt.MapClaims{"by": "link", "scope": "read", "session": here}),
		"asks in one":     s.narrowed(jwt.MapClaims{"by": "link", "scope": "read chat", "session": here}),
		"reads all":       s.narrowed(jwt.MapClaims{"by": "key", "scope": "read"}),
		"may not a thing": s.narrowed(jwt.MapClaims{"by": "key", "scope": "dance"}),
	}
	const ok, no, none = 200, 403, 404
	type row struct {
		path string // with what is asked for, and then with what is of another chat
		body any
		want map[string]int // by the token; 403 where it is left out
		far  map[string]int // of another chat, if there is such a path
		not  string
	}
	ask := func(session any) map[string]any { return map[string]any{"session_id": session, "content": "three"} }
	readers := map[string]int{"reads one": ok, "asks in one": ok, "reads all": ok}
	beyond := map[string]int{"reads one": none, "asks in one": none, "reads all": ok}
	everywhere := map[string]int{"reads all": ok}
	rows := map[string]row{
		"GET /users/me":                               {want: everywhere},
		"GET /users/me/settings":                      {want: everywhere},
		"PATCH /users/me/settings":                    {body: map[string]any{"system_prompt": "obey"}},
		"GET /models":                                 {want: everywhere},
		"GET /providers":                              {want: everywhere},
		"PUT /providers/{name}":                       {path: "/providers/own", body: map[string]any{"kind": "openai", "api_key": "k"}},
		"DELETE /providers/{name}":                    {path: "/providers/own"},
		"GET /prices":                                 {want: everywhere},
		"PUT /prices/{model}":                         {path: "/prices/m", body: map[string]any{"input": 1, "output": 1}},
		"DELETE /prices/{model}":                      {path: "/prices/m"},
		"GET /usage":                                  {want: everywhere},
		"GET /limits":                                 {want: everywhere},
		"GET /warnings":                               {},
		"POST /attachments":                           {path: "/attachments?name=b.txt", body: "text"},
		"GET /attachments/{id}":                       {path: "/attachments/" + mine, want: readers, not: "/attachments/" + elsewhere, far: beyond},
		"DELETE /attachments/{id}":                    {path: "/attachments/" + mine},
		"POST /sessions":                              {body: map[string]any{"title": "new"}},
		"GET /sessions":                               {want: everywhere},
		"GET /sessions/{id}":                          {path: "/sessions/" + here, want: readers, not: "/sessions/" + there, far: beyond},
		"PATCH /sessions/{id}":                        {path: "/sessions/" + here, body: map[string]any{"title": "mine now"}},
		"DELETE /sessions/{id}":                       {path: "/sessions/" + here},
		"GET /sessions/{id}/messages":                 {path: "/sessions/" + here + "/messages", want: readers, not: "/sessions/" + there + "/messages", far: beyond},
		"DELETE /sessions/{id}/messages/{message_id}": {path: "/sessions/" + here + "/messages/" + answer},
		"POST /chat/stream":                           {body: ask(there), want: map[string]int{"asks in one": none}},
		"GET /chat/stream/{message_id}":               {path: "/chat/stream/" + answer, want: readers, not: "/chat/stream/" + other, far: beyond},
		"DELETE /chat/stream/{message_id}":            {path: "/chat/stream/" + answer, want: map[string]int{"asks in one": 202}, not: "/chat/stream/" + other, far: map[string]int{"asks in one": none}},
	}
	state := func() (all string) {
		for _, path := range []string{"/users/me/settings", "/providers", "/prices", "/sessions", "/sessions/" + here + "/messages", "/sessions/" + there + "/messages", "/limits"} {
			b, err := json.Marshal(s.do("GET", path, s.ann, nil, 200))
			if err != nil {
				t.Fatal(err)
			}
			all += string(b) + "\n"
		}
		return all
	}
	before := state()
	doc, err := openapi3.NewLoader().LoadFromFile("spec/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	call := func(name, method, path string, body any, token string, want map[string]int) {
		t.Helper()
		var in io.Reader
		media := "application/json"
		switch b := body.(type) {
		case nil:
			media = ""
		case string:
			in, media = strings.NewReader(b), "application/octet-stream"
		default:
			text, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			in = bytes.NewReader(text)
		}
		res := s.send(method, path, tokens[token], media, in)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		status := want[token]
		if status == 0 {
			status = no
		}
		if err != nil || res.StatusCode != status {
			t.Errorf("%s, one that %s: %s, want %d: %.300s", name, token, res.Status, status, text)
		}
		if strings.Contains(token, "one") && (bytes.Contains(text, []byte(there)) || bytes.Contains(text, []byte(other)) || bytes.Contains(text, []byte("something else"))) {
			t.Errorf("%s tells one that %s of another chat: %.300s", name, token, text)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security != nil && len(*op.Security) == 0 || path == "/ws" || path == "/metrics" { // the next test, and a token of its own
				continue
			}
			name := method + " " + path
			r, known := rows[name]
			if !known {
				t.Errorf("%s: whose access allows it? Add a row", name)
				continue
			}
			if r.path == "" {
				r.path = path
			}
			for token := range tokens {
				call(name, method, r.path, r.body, token, r.want)
				if r.not != "" {
					call(name+" of another chat", method, r.not, r.body, token, r.far)
				}
			}
		}
	}
	call("a new chat", "POST", "/chat/stream", map[string]any{"content": "new"}, "asks in one", nil)
	if after := state(); after != before {
		t.Errorf("what was refused has changed\n%s\nto\n%s", before, after)
	}
	for name, c := range map[string]jwt.MapClaims{
		"a link to everything": {"by": "link", "scope": "read"}, "no means": {"scope": "read"}, "unknown means": {"by": "magic", "scope": "read"},
		"a login that is narrowed": {"aud": "omnichat-api", "by": "link", "scope": "read", "session": here}, "no session's id": {"by": "link", "scope": "read", "session": "x"},
	} {
		if res := s.send("GET", "/sessions/"+here, s.narrowed(c), "", nil); res.StatusCode != 401 {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	call("a question", "POST", "/chat/stream", ask(here), "asks in one", map[string]int{"asks in one": ok})
}

// TestAWebSocketIsForWhatItsAccessSays is the same for every command of a WebSocket.
func TestAWebSocketIsForWhatItsAccessSays(t *testing.T) {
	s := open(t, transport.Options{}).users()
	_, here, answer := s.ask(s.ann, map[string]any{"content": "one two"})
	_, there, other := s.ask(s.ann, map[string]any{"content": "something else"})
	unknown := hub.NewID()
	const forbidden, none = string(hub.CodeForbidden), string(hub.CodeNotFound)
	rows := []struct {
		command       map[string]any
		reads, asks   string // the type of the reply, or the code of an error
		readsAnything string
	}{
		{map[string]any{"type": "subscribe", "session_id": here, "positions": map[string]int{answer: 0, other: 0}}, "ack", "ack", "ack"},
		{map[string]any{"type": "subscribe", "session_id": there}, none, none, "ack"},
		{map[string]any{"type": "unsubscribe", "session_id": there}, "ack", "ack", "ack"},
		{map[string]any{"type": "unsubscribe", "session_id": here}, "ack", "ack", "ack"},
		{map[string]any{"type": "send", "session_id": there, "content": "three"}, forbidden, none, forbidden},
		{map[string]any{"type": "send", "parent_id": other, "content": "three"}, forbidden, none, forbidden},
		{map[string]any{"type": "send", "session_id": here, "parent_id": other, "content": "three"}, forbidden, none, forbidden},
		{map[string]any{"type": "send", "content": "three"}, forbidden, forbidden, forbidden},
		{map[string]any{"type": "stop", "message_id": other}, forbidden, none, forbidden},
		{map[string]any{"type": "stop", "message_id": unknown}, forbidden, none, forbidden},
		{map[string]any{"type": "stop", "message_id": answer}, forbidden, "ack", forbidden},
		{map[string]any{"type": "ping"}, "pong", "pong", "pong"},
	}
	tried := map[string]bool{"auth": true} // below
	for name, c := range map[string]struct {
		token string
		want  func(i int) string
	}{
		"reads one":   {s.narrowed(jwt.MapClaims{"by": "link", "scope": "read", "session": here}), func(i int) string { return rows[i].reads }},
		"asks in one": {s.narrowed(jwt.MapClaims{"by": "link", "scope": "read chat", "session": here}), func(i int) string { return rows[i].asks }},
		"reads all":   {s.narrowed(jwt.MapClaims{"by": "key", "scope": "read"}), func(i int) string { return rows[i].readsAnything }},
	} {
		before := s.do("GET", "/sessions", s.ann, nil, 200)
		conn := s.dial()
		next := func(is func(e map[string]any) bool) map[string]any {
			t.Helper()
			for {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				_, batch, err := conn.Read(ctx)
				cancel()
				if err != nil {
					t.Fatal(err)
				}
				var found map[string]any
				for line := range bytes.Lines(batch) {
					var e map[string]any
					if err := json.Unmarshal(line, &e); err != nil {
						t.Fatal(err)
					}
					version, _ := e["user_version"].(float64)
					text := string(line)
					if name != "reads all" && (version != 0 || strings.Contains(text, there) || strings.Contains(text, other) || strings.Contains(text, "something else")) {
						t.Errorf("one that %s is told %s", name, text)
					}
					if found == nil && is(e) {
						found = e
					}
				}
				if found != nil {
					return found
				}
			}
		}
		send := func(command map[string]any) {
			t.Helper()
			b, err := json.Marshal(command)
			if err == nil {
				err = conn.Write(t.Context(), websocket.MessageText, b)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		typed := func(of string) func(e map[string]any) bool {
			return func(e map[string]any) bool { return e["type"] == of }
		}
		send(map[string]any{"type": "auth", "token": c.token})
		if ready := next(typed("ready")); name != "reads all" && ready["user_id"] != "" {
			t.Errorf("one that %s: ready tells %v", name, ready)
		}
		for i, r := range rows {
			tried[r.command["type"].(string)] = true
			r.command["ref"] = i + 1
			send(r.command)
			reply := next(func(e map[string]any) bool { return e["ref"] == float64(i+1) || e["type"] == "pong" })
			got, _ := reply["type"].(string)
			if got == "error" {
				got, _ = reply["code"].(string)
			}
			if got != c.want(i) {
				t.Errorf("one that %s, %v: %v", name, r.command, reply)
			}
		}
		if after := s.do("GET", "/sessions", s.ann, nil, 200); !reflect.DeepEqual(after, before) {
			t.Errorf("one that %s has changed %v to %v", name, before, after)
		}
		send(rows[0].command)
		next(typed("ack"))
		s.do("PATCH", "/sessions/"+there, s.ann, map[string]any{"title": "renamed by " + name}, 200)
		s.do("PATCH", "/sessions/"+here, s.ann, map[string]any{"title": "renamed, too, by " + name}, 200)
		next(func(e map[string]any) bool {
			session, _ := e["session"].(map[string]any)
			return session["id"] == here
		})
		send(map[string]any{"type": "auth", "token": c.token})
		next(typed("ready"))
		send(map[string]any{"type": "auth", "token": s.ann}) // which may more
		if code := s.closedWith(conn); code != 4401 {
			t.Errorf("one that %s became a login: %v", name, code)
		}
	}
	doc, err := os.ReadFile("spec/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, commands, _ := strings.Cut(string(doc), "\n  command:\n")
	commands, _, ok := strings.Cut(commands, "\n  event:\n")
	if !ok {
		t.Fatal("the document lists no commands")
	}
	for _, m := range regexp.MustCompile(`/messages/(\w+)`).FindAllStringSubmatch(commands, -1) {
		if !tried[m[1]] {
			t.Errorf("%s: whose access allows it? Add a row", m[1])
		}
	}
}
