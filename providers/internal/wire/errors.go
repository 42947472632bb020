// Package wire is the HTTP side that all vendors share: one client wrapper that
// sees what their libraries hide, and a reader of Server-Sent Events.
package wire

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// messages is what a person is told, by code.
var messages = map[hub.Code]string{
	hub.CodeProviderAuth:       "The provider refused the API key. Check the key in the server's settings.",
	hub.CodeProviderPermission: "The API key may not use this model.",
	hub.CodeProviderQuota:      "The provider account's credit or quota is used up.",
	hub.CodeProviderRateLimit:  "The provider's rate limit is reached. Wait a little and try again.",
	hub.CodeProviderOverloaded: "The provider is overloaded. Try again in a moment.",
	hub.CodeContextLength:      "The conversation is too long for this model.",
	hub.CodeContentFilter:      "The provider's content filter refused this.",
	hub.CodeModelNotFound:      "The provider has no such model.",
	hub.CodeProviderInvalid:    "The provider refused the request as invalid.",
	hub.CodeProviderTimeout:    "The provider was silent for too long.",
	hub.CodeProviderTruncated:  "The answer broke off before its end.",
	hub.CodeProviderNetwork:    "The provider could not be reached.",
	hub.CodeProviderError:      "The provider failed. Try again.",
}

// Fail returns the error of a code, with the detail for the log.
func Fail(code hub.Code, err error) *hub.Error {
	return &hub.Error{Code: code, Msg: messages[code], Err: err}
}

// apiError is an error object in the shapes that vendors use.
type apiError struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Code    any    `json:"code"`
	Status  string `json:"status"`
}

// parseError reads {"error":{…}}, {"error":"text"} and [{"error":…}], and says
// whether data was one of them.
func parseError(data []byte) (apiError, bool) {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) == nil && len(list) > 0 {
		data = list[0]
	}
	var body struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(data, &body) != nil || len(body.Error) == 0 || string(body.Error) == "null" {
		return apiError{}, false
	}
	var e apiError
	if json.Unmarshal(body.Error, &e) != nil {
		if json.Unmarshal(body.Error, &e.Message) != nil {
			e.Message = "an error in an unknown shape"
		}
	}
	return e, true
}

// classify finds the code of an error by its words, and by the HTTP status if
// there is one.
func classify(status int, e apiError) hub.Code {
	code := ""
	switch c := e.Code.(type) {
	case string:
		code = c
	case float64:
		if status == 0 {
			status = int(c)
		}
	}
	words := strings.ToLower(e.Type + " " + code + " " + e.Status + " " + e.Message)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(words, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("insufficient_quota", "billing", "credit balance"):
		return hub.CodeProviderQuota
	case has("context_length", "context length", "maximum context", "prompt is too long", "too many tokens"):
		return hub.CodeContextLength
	case has("content_filter", "content_policy", "content management policy"):
		return hub.CodeContentFilter
	case status == 529, status == http.StatusServiceUnavailable, has("overloaded", "server_is_busy"):
		return hub.CodeProviderOverloaded
	case status == http.StatusTooManyRequests, has("rate_limit", "rate limit", "resource_exhausted"):
		return hub.CodeProviderRateLimit
	case status == http.StatusUnauthorized, has("invalid_api_key", "authentication_error", "unauthenticated"):
		return hub.CodeProviderAuth
	case status == http.StatusPaymentRequired:
		return hub.CodeProviderQuota
	case status == http.StatusForbidden, has("permission_error", "permission_denied"):
		return hub.CodeProviderPermission
	case status == http.StatusNotFound, has("model_not_found", "not_found_error"):
		return hub.CodeModelNotFound
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		return hub.CodeProviderTimeout
	case status >= 400 && status < 500, has("invalid_request"):
		return hub.CodeProviderInvalid
	}
	return hub.CodeProviderError
}

// statusError is the error of a response that is none of success.
func statusError(r *http.Response, body []byte) *hub.Error {
	e, ok := parseError(body)
	if !ok {
		e.Message = http.StatusText(r.StatusCode)
	}
	failed := Fail(classify(r.StatusCode, e), &StatusError{Status: r.StatusCode, Detail: e.Message})
	failed.RetryAfter = retryAfter(r.Header.Get("Retry-After"), time.Now())
	return failed
}

// StatusError is a response's HTTP status with the vendor's words, for the log.
type StatusError struct {
	Status int
	Detail string
}

func (e *StatusError) Error() string {
	return "HTTP " + strconv.Itoa(e.Status) + ": " + e.Detail
}

// retryAfter reads the header in both of its forms (RFC 9110, section 10.2.3).
func retryAfter(v string, now time.Time) time.Duration {
	if s, err := strconv.Atoi(v); err == nil && s > 0 && s < 1<<20 {
		return time.Duration(s) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}

// Retryable says whether a call that showed nothing yet may be repeated.
func Retryable(err error) bool {
	var s *StatusError
	if errors.As(err, &s) && (s.Status >= 500 || s.Status == http.StatusRequestTimeout) {
		return true
	}
	switch hub.CodeOf(err) {
	case hub.CodeProviderRateLimit, hub.CodeProviderOverloaded, hub.CodeProviderNetwork:
		return true
	}
	return false
}
