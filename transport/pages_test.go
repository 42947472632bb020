package transport

import (
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
