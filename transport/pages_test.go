package transport

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
)

// discarding takes a response and keeps nothing.
type discarding struct{ header http.Header }

func (d discarding) Header() http.Header         { return d.header }
func (d discarding) Write(p []byte) (int, error) { return len(p), nil }
func (d discarding) WriteHeader(int)             {}

func TestPageIsNotCopiedForEachRequest(t *testing.T) {
	const size = 8 << 20
	page := []byte(strings.Repeat("x", size))
	s := New(nil, nil, Options{Web: fstest.MapFS{"index.html": {Data: page}, "assets/a.js": {Data: page}, "assets/a.js.br": {Data: page}}})
	defer s.Shutdown(t.Context())
	for _, path := range []string{"/", "/assets/a.js"} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		r.Header.Set("Accept-Encoding", "br")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s.Handler().ServeHTTP(discarding{http.Header{}}, r)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > size/8 {
			t.Errorf("%s: %d bytes for a file of %d", path, n, size)
		}
	}
}

func TestStrayPath(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	tests := map[string]struct {
		method, path, accept string
		status               int
		page                 bool
	}{
		"a browser":                       {path: "/no/such/page", accept: browser, status: 404, page: true},
		"a browser below a page":          {path: "/settings/more", accept: browser, status: 404, page: true},
		"a browser on what takes POST":    {path: "/token", accept: browser, status: 405, page: true},
		"a browser that asks for headers": {method: "HEAD", path: "/no/such/page", accept: browser, status: 404, page: true},
		"an invitation":                   {path: "/join", accept: browser, status: 200, page: true},
		"a new password":                  {path: "/reset", accept: browser, status: 200, page: true},
		"a shared answer":                 {path: "/live/token", accept: browser, status: 200, page: true},
		"shared answers":                  {path: "/live", accept: browser, status: 200, page: true},
		"a client":                        {path: "/no/such/page", accept: "application/json", status: 404},
		"a client that takes all":         {path: "/no/such/page", accept: "*/*", status: 404},
		"a client that says nothing":      {path: "/no/such/page", status: 404},
		"a client that refuses pages":     {path: "/no/such/page", accept: "text/html;q=0", status: 404},
		"a form":                          {method: "POST", path: "/no/such/page", accept: browser, status: 404},
		"a missing part of the page":      {path: "/assets/gone.js", accept: browser, status: 404},
		"what needs a login":              {path: "/models", accept: browser, status: 401},
	}
	s := New(nil, nil, Options{Web: fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}}})
	defer s.Shutdown(t.Context())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), cmp.Or(tt.method, "GET"), "http://localhost"+tt.path, nil)
			if tt.accept != "" {
				r.Header.Set("Accept", tt.accept)
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			kind := "application/problem+json"
			if tt.page {
				kind = "text/html"
				if csp := w.Header().Get("Content-Security-Policy"); csp != pagePolicy {
					t.Errorf("policy %q: the page could not run", csp)
				}
			}
			if got := w.Header().Get("Content-Type"); w.Code != tt.status || !strings.HasPrefix(got, kind) {
				t.Errorf("%d %s, want %d %s", w.Code, got, tt.status, kind)
			}
		})
	}
}
