package transport

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/omnichat/omnichat/hub"
)

func TestEveryCodeHasAStatusAndIsInTheDocument(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{string(hub.CodeInternal)} // the one without a status: 500
	for code := range statuses {
		got = append(got, string(code))
	}
	var want []string
	for _, v := range doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		want = append(want, v.(string))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the document has\n%v\nthe server has\n%v", want, got)
	}
	if statuses[hub.CodeDailyLimit] != http.StatusTooManyRequests || statuses[hub.CodeNoVision] != http.StatusBadRequest {
		t.Error("a daily limit is 429, a model without eyes 400")
	}
}

// TestEveryRouteIsInTheDocument holds server and document together, both ways.
func TestEveryRouteIsInTheDocument(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			want = append(want, method+" "+path)
		}
	}
	param := regexp.MustCompile(`:(\w+)`)
	pages := []string{"/", "/login", "/settings", "/c/:session", "/live", "/live/:token", "/join", "/reset", "/assets/*"}
	s := New(nil, nil, Options{Metrics: http.NotFoundHandler()})
	defer s.Shutdown(t.Context())
	for _, r := range s.echo.Routes() {
		if !slices.Contains(pages, r.Path) {
			path := strings.Replace(r.Path, "/prices/*", "/prices/:model", 1) // which may have slashes
			got = append(got, r.Method+" "+param.ReplaceAllString(path, "{$1}"))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("the document has\n%s\nthe server has\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

// TestEveryCallSaysHowItMayBeRefused holds that the document has what any call
// with a body, a user or the database behind it may answer.
func TestEveryCallSaysHowItMayBeRefused(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	stateless := []string{"/healthz", "/metrics", "/config.json", "/openapi.yaml", "/asyncapi.yaml"}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			var want []string
			if op.RequestBody != nil {
				want = append(want, "408", "413")
			}
			if op.Security == nil {
				want = append(want, "401")
			}
			if !slices.Contains(stateless, path) {
				want = append(want, "503")
			}
			for _, status := range want {
				if op.Responses.Value(status) == nil {
					t.Errorf("%s %s has no %s", method, path, status)
				}
			}
			for _, status := range []string{"429", "503"} {
				if r := op.Responses.Value(status); r != nil && r.Value.Headers["Retry-After"] == nil {
					t.Errorf("%s %s: %s has no Retry-After", method, path, status)
				}
			}
		}
	}
}
