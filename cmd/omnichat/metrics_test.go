package main

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// TestMetricsHaveAnAddressOfTheirOwn asks for them at every address, with and
// without their token.
func TestMetricsHaveAnAddressOfTheirOwn(t *testing.T) {
	provider := fake.New(nil)
	defer provider.Close()
	const token = "of-the-metrics-alone"
	for _, needs := range []string{"", token} {
		t.Run("token "+needs, func(t *testing.T) {
			s := startServer(t, provider, map[string]string{"OMNICHAT_METRICS_ADDR": "127.0.0.1:0", "OMNICHAT_METRICS_TOKEN": needs})
			own := "http://" + s.metricsAddress()
			tests := map[string]struct {
				url, token string
				status     int
				figures    bool
			}{
				"with the token":          {url: own + "/metrics", token: token, status: 200, figures: true},
				"without one":             {url: own + "/metrics", status: map[string]int{"": 200, token: 401}[needs], figures: needs == ""},
				"with another":            {url: own + "/metrics", token: token + "s", status: map[string]int{"": 200, token: 401}[needs], figures: needs == ""},
				"where the page is":       {url: s.base + "/metrics", token: token, status: 404},
				"the page where they are": {url: own + "/healthz", token: token, status: 404},
			}
			for name, tt := range tests {
				t.Run(name, func(t *testing.T) {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.url, nil)
					if err != nil {
						t.Fatal(err)
					}
					if tt.token != "" {
						req.Header.Set("Authorization", "Bearer "+tt.token)
					}
					res, err := http.DefaultClient.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					defer res.Body.Close()
					body, err := io.ReadAll(res.Body)
					if figures := bytes.Contains(body, []byte("\nomnichat_")); err != nil || res.StatusCode != tt.status || figures != tt.figures {
						t.Errorf("%s, figures: %v, %v: %.200s", res.Status, figures, err, body)
					}
				})
			}
		})
	}
}

// metricsAddress is where the process says that it serves the metrics.
func (s *server) metricsAddress() string {
	s.t.Helper()
	said := regexp.MustCompile(`metrics are served" address=(\S+)`)
	ctx := soon(s.t)
	for ctx.Err() == nil {
		if m := said.FindStringSubmatch(s.logs.String()); m != nil {
			return m[1]
		}
		pauseFor(ctx, 10*time.Millisecond)
	}
	s.t.Fatal("it serves no metrics")
	return ""
}
