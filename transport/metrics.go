package transport

import (
	"crypto/subtle"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// answerMetrics is GET /metrics. It needs the token of the settings; without such a setting,
// the request must come from this machine, and not through a proxy on it.
func (op *operation) answerMetrics(c echo.Context) error {
	r := c.Request()
	switch token := op.metricsToken; {
	case token != "":
		if !hasToken(r, token) {
			return &hub.Error{Code: hub.CodeUnauthenticated, Msg: "the metrics need the token of OMNICHAT_METRICS_TOKEN"}
		}
	case !peerOf(r).IsLoopback(), forwarded(r), !onLoopback(r.Host):
		return &hub.Error{Code: hub.CodeForbidden, Msg: "the metrics are for this machine alone, unless OMNICHAT_METRICS_TOKEN or OMNICHAT_METRICS_ADDR is set"}
	}
	op.metrics.ServeHTTP(c.Response(), r)
	return nil
}

// Guarded lets only requests with the token through to a handler; all of them
// if there is no token.
func Guarded(next http.Handler, token string) http.Handler {
	if token == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hasToken(r, token) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the metrics need the token of OMNICHAT_METRICS_TOKEN", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func hasToken(r *http.Request, token string) bool {
	return subtle.ConstantTimeCompare([]byte(bearer(r)), []byte(token)) == 1
}
