package transport_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/omnichat/omnichat/transport"
)

// contract holds every request that succeeds, and every response, against the
// OpenAPI document.
type contract struct {
	t      *testing.T
	router routers.Router
	next   http.RoundTripper
}

func newContract(t *testing.T, next http.RoundTripper) http.RoundTripper {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("spec/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &contract{t: t, router: router, next: next}
}

// RoundTrip is http.RoundTripper's.
func (c *contract) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	res, err := c.next.RoundTrip(req)
	if err != nil || res.StatusCode == http.StatusSwitchingProtocols {
		return res, err
	}
	found := req.Clone(req.Context())
	found.URL.Scheme, found.URL.Host, found.Host = "", "", ""
	found.Body = io.NopCloser(bytes.NewReader(body))
	route, params, err := c.router.FindRoute(found)
	if err != nil {
		return res, nil // a page, or a path that is not there
	}
	in := &openapi3filter.RequestValidationInput{
		Request: found, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	what := fmt.Sprintf("%s %s: %d", req.Method, req.URL.Path, res.StatusCode)
	if res.StatusCode < 300 && len(body) > 0 {
		if err := openapi3filter.ValidateRequest(req.Context(), in); err != nil {
			c.t.Errorf("%s: the request is not in the document: %v", what, err)
		}
	}
	media := res.Header.Get("Content-Type")
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: !strings.Contains(media, "json")},
	}
	if strings.Contains(media, "json") {
		b, err := io.ReadAll(res.Body)
		if err != nil {
			return res, err
		}
		out.SetBodyBytes(b)
		res.Body = io.NopCloser(bytes.NewReader(b))
	}
	if err := openapi3filter.ValidateResponse(req.Context(), out); err != nil {
		c.t.Errorf("%s: the response is not in the document: %v", what, err)
	}
	return res, nil
}

// frames are the schemas of the WebSocket's messages, those of the OpenAPI
// document among them.
var frames = sync.OnceValues(func() (openapi3.Schemas, error) {
	text := "openapi: 3.0.3\ninfo: {title: x, version: x}\npaths: {}\ncomponents:\n  schemas:\n"
	for _, name := range []string{"asyncapi.yaml", "openapi.yaml"} {
		b, err := os.ReadFile("spec/" + name)
		if err != nil {
			return nil, err
		}
		_, schemas, ok := strings.Cut(string(b), "\n  schemas:\n")
		if !ok {
			return nil, fmt.Errorf("%s has no schemas", name)
		}
		text += strings.ReplaceAll(schemas, "openapi.yaml#", "#")
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		return nil, err
	}
	return doc.Components.Schemas, nil
})

// checkFrame holds an event of the WebSocket against the AsyncAPI document.
func checkFrame(t *testing.T, event map[string]any) {
	t.Helper()
	schemas, err := frames()
	if err != nil {
		t.Fatal(err)
	}
	name, _ := event["type"].(string)
	switch name {
	case "start", "delta", "snapshot", "finish":
		name = strings.ToUpper(name[:1]) + name[1:]
	}
	schema := schemas[name]
	if schema == nil {
		t.Errorf("no schema for %v", event)
		return
	}
	if err := schema.Value.VisitJSON(event); err != nil {
		t.Errorf("%v is not in the document: %v", event, err)
	}
}

// TestCommandsAreInTheDocument holds the fields of commands and the document
// together, both ways.
func TestCommandsAreInTheDocument(t *testing.T) {
	schemas, err := frames()
	if err != nil {
		t.Fatal(err)
	}
	for name, fields := range transport.Fields {
		if schemas[name] == nil {
			t.Errorf("no schema for %s", name)
			continue
		}
		got := slices.Sorted(maps.Keys(schemas[name].Value.Properties))
		want := slices.Sorted(slices.Values(append([]string{"type", "ref"}, fields...)))
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v in the document, the server takes %v", name, got, want)
		}
	}
	question := schemas["Question"].Value.Properties
	if got, want := slices.Sorted(maps.Keys(question)), slices.Sorted(slices.Values(transport.Fields["send"])); !slices.Equal(got, want) {
		t.Errorf("a question has %v in the document, send takes %v", got, want)
	}
}

// TestWebSocketEventsAreInTheDocument sees every kind of event that a session
// and a user's list bring.
func TestWebSocketEventsAreInTheDocument(t *testing.T) {
	s := open(t, transportDefaults).users()
	conn := s.dial()
	seen := map[string]bool{}
	note := func(e map[string]any) string {
		kind, _ := e["type"].(string)
		seen[kind] = true
		return kind
	}
	until := func(kind string) (last map[string]any) {
		for !seen[kind] {
			_, data, err := conn.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for line := range bytes.SplitSeq(data, []byte("\n")) {
				var e map[string]any
				if err := json.Unmarshal(line, &e); err != nil {
					t.Fatal(err)
				}
				checkFrame(t, e)
				if note(e) == kind {
					last = e
				}
			}
		}
		return last
	}
	tell := func(command string) {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(command)); err != nil {
			t.Fatal(err)
		}
	}
	tell(`{"type":"auth","token":"` + s.ann + `"}`)
	until("ready")
	tell(`{"type":"send","ref":1,"content":"one two three"}`)
	ack := until("ack")
	session, answer := ack["session_id"].(string), ack["answer_id"].(string)
	until("finish")
	tell(`{"type":"ping"}`)
	until("pong")
	s.do("PATCH", "/sessions/"+session, s.ann, map[string]string{"title": "A title"}, 200)
	s.do("DELETE", "/sessions/"+session+"/messages/"+answer, s.ann, nil, 204)
	s.do("DELETE", "/sessions/"+session, s.ann, nil, 204)
	until("message_deleted")
	until("session_deleted")
	for _, kind := range []string{"ready", "ack", "message", "start", "delta", "finish", "session", "pong"} {
		if !seen[kind] {
			t.Errorf("no %s was seen", kind)
		}
	}
}

func TestOperationIsInTheDocument(t *testing.T) {
	s := open(t, transportDefaults).users()
	_, session, _ := s.ask(s.ann, map[string]any{"content": "one"})
	for _, path := range []string{"/users/me", "/users/me/settings", "/models", "/providers", "/prices", "/limits", "/usage", "/sessions", "/sessions?limit=1&q=one", "/sessions?after_version=0",
		"/sessions/" + session, "/sessions/" + session + "/messages", "/sessions/" + session + "/messages?after_version=1", "/healthz", "/readyz", "/config.json"} {
		s.do("GET", path, s.ann, nil, 200)
	}
	made := s.do("POST", "/sessions", s.ann, map[string]string{"title": "x", "system_prompt": "be brief"}, 201)
	s.do("PATCH", "/sessions/"+made["id"].(string), s.ann, map[string]string{"model": "fake/echo"}, 200)
	s.do("DELETE", "/sessions/"+made["id"].(string), s.ann, nil, 204)
}
