package wire

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/omnichat/omnichat/hub"
)

// bodyMax is how much of an error's text is read.
const bodyMax = 64 << 10

// messages is what a person is told, by code.
var messages = map[hub.Code]string{
	hub.CodeProviderAuth:       "The provider refused the API key. Check the key in the settings.",
	hub.CodeProviderPermission: "The API key may not use this model.",
	hub.CodeProviderQuota:      "The provider account's credit or quota is used up.",
	hub.CodeProviderRateLimit:  "The provider's rate limit is reached. Wait a little and try again.",
	hub.CodeProviderOverloaded: "The provider is overloaded. Try again in a moment.",
	hub.CodeContextLength:      "The conversation is too long for this model.",
	hub.CodeContentFilter:      "The provider's content filter refused this.",
	hub.CodeModelNotFound:      "The provider has no such model.",
	hub.CodeProviderAddress:    "The provider's server has no such address. Is the base URL right: does it lack /v1, or have too much?",
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

// apiError is what an error object says, in whatever shape.
type apiError struct {
	Message string
	words   string // all that tells its kind, in lower case
	param   string // the field of the request that it names, if any
	status  int    // the HTTP status it names, if any
	wait    time.Duration
}

// parseError reads {"error":{…}}, {"error":"text"}, [{"error":…}] and
// {"object":"error",…}, and says whether data was one of them.
func parseError(data []byte) (apiError, bool) {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) == nil && len(list) > 0 {
		data = list[0]
	}
	var body struct {
		Object string          `json:"object"`
		Code   any             `json:"code"`
		Error  json.RawMessage `json:"error"`
	}
	if json.Unmarshal(data, &body) != nil {
		return apiError{}, false
	}
	switch string(body.Error) {
	case "", "null", `""`:
		if body.Object != "error" {
			return apiError{}, false
		}
		body.Error = data // vLLM and Mistral
	}
	var e struct {
		Message  json.RawMessage `json:"message"`
		Type     string          `json:"type"`
		Code     any             `json:"code"`
		Param    any             `json:"param"`
		Status   string          `json:"status"`
		Metadata struct {
			Raw json.RawMessage `json:"raw"` // what OpenRouter was told by others
		} `json:"metadata"`
		Details []struct {
			Reason     string `json:"reason"`
			RetryDelay string `json:"retryDelay"`
			Violations []struct {
				QuotaID string `json:"quotaId"`
			} `json:"violations"`
		} `json:"details"`
	}
	var out apiError
	if err := json.Unmarshal(body.Error, &e); err == nil {
		out.Message = plain(e.Message)
	} else if json.Unmarshal(body.Error, &out.Message) != nil {
		out.Message = cmp.Or(plain(e.Message), "an error in an unknown shape")
	}
	out.param, _ = e.Param.(string)
	words := []string{out.Message, e.Type, e.Status, string(e.Metadata.Raw)}
	for _, code := range []any{e.Code, body.Code} {
		switch c := code.(type) {
		case string:
			words = append(words, c)
		case float64:
			out.status = int(c)
		}
	}
	for _, d := range e.Details {
		words = append(words, d.Reason)
		if wait, err := time.ParseDuration(d.RetryDelay); err == nil && wait > 0 {
			out.wait = wait
		}
		for _, v := range d.Violations {
			words = append(words, v.QuotaID)
		}
	}
	out.words = strings.ToLower(strings.Join(words, " "))
	return out, true
}

// plain is a JSON string's text, or any other JSON as it is.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw)
	}
	return s
}

// code finds the kind of an error by its words, and by the HTTP status if there
// is one. Words go first: vendors use one status for many things.
func (e apiError) code(status int) hub.Code {
	status = cmp.Or(status, e.status)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(e.words, p) {
				return true
			}
		}
		return false
	}
	switch {
	// Google names a plan and billing for limits by the minute, too.
	case has("resource_exhausted") && !has("perday", "limit: 0"):
		return hub.CodeProviderRateLimit
	case has("insufficient_quota", "billing", "credit balance", "insufficient balance", "insufficient credits", "perday"):
		return hub.CodeProviderQuota
	case status == http.StatusRequestEntityTooLarge,
		has("context_length", "context length", "context limit", "context size", "context window", "maximum context", "prompt is too long", "too many tokens", "input token count"):
		return hub.CodeContextLength
	case has("content_filter", "content_policy", "content policy", "content management policy", "content filtering policy", "was flagged"):
		return hub.CodeContentFilter
	case status == 529, status == http.StatusServiceUnavailable, has("overloaded", "server_is_busy", "server busy"):
		return hub.CodeProviderOverloaded
	case status == http.StatusTooManyRequests, has("rate_limit", "rate limit", "resource_exhausted"):
		return hub.CodeProviderRateLimit
	case status == http.StatusUnauthorized, has("invalid_api_key", "api_key_invalid", "incorrect api key", "api key not valid", "authentication_error", "unauthenticated"):
		return hub.CodeProviderAuth
	case status == http.StatusPaymentRequired:
		return hub.CodeProviderQuota
	case status == http.StatusForbidden, has("permission_error", "permission_denied", "location is not supported"):
		return hub.CodeProviderPermission
	case e.elsewhere(status):
		return hub.CodeProviderAddress
	case status == http.StatusNotFound, has("model_not_found", "not_found_error"):
		return hub.CodeModelNotFound
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout, has("timeout_error"):
		return hub.CodeProviderTimeout
	case status >= 400 && status < 500, has("invalid_request"):
		return hub.CodeProviderInvalid
	}
	return hub.CodeProviderError
}

var (
	// nowhere is all that a server says that does not know a path. Of a model that
	// is missing it tells the name, or at least that it is a model.
	nowhere = regexp.MustCompile(`^(404:? *)?((the )?(file|page|route|path|url|endpoint|resource|requested resource|requested url) *)?(was )?not found[.!]*$|^404$`)
	// noPath are words for it that mean nothing else.
	noPath = regexp.MustCompile(`invalid url|unexpected endpoint|(unknown|unsupported|no such) (endpoint|url|path|route)|cannot (post|get) /|no (matching )?route`)
)

// elsewhere says whether the error is of the path that was asked.
func (e apiError) elsewhere(status int) bool {
	return noPath.MatchString(e.words) || status == http.StatusNotFound && nowhere.MatchString(strings.ToLower(strings.TrimSpace(e.Message)))
}

var (
	// permanent are words of failures that would come again, although the status
	// says that the server is to blame.
	permanent = regexp.MustCompile(`not supported|unsupported|does(n't| not) support|more system memory|out of memory|not enough memory|insufficient memory|` +
		`(unable|failed) to (load|allocate|parse|tokenize|process|decode|open)|error loading model|no such file|template|grammar|runner process has terminated|invalid|unknown model`)
	// eyeless are those of a model that sees no images.
	eyeless = regexp.MustCompile(`(image|vision|multimodal|mmproj)[^.]{0,60}(not supported|unsupported|not support|not enabled)|(not|n't) support[^.]{0,40}(image|vision|multimodal)`)
	// inMemory are those of one that is too large for its server.
	inMemory = regexp.MustCompile(`(more system|out of|not enough|insufficient) memory`)
	// loads are those of one that will be there in a while.
	loads = regexp.MustCompile(`loading (the )?model|model[^.]{0,80} (is|are) (currently |still |being )*load|still loading|currently loading|unavailable_error|warming up`)
)

// saidMax bounds what a server's own words are told with, in characters.
const saidMax = 300

// fail is e as an error of ours.
func (e apiError) fail(status int, err error) *hub.Error {
	failed := Fail(e.code(status), err)
	failed.RetryAfter = e.wait
	said := []rune(strings.TrimSpace(e.Message))
	failed.Said = string(said[:min(len(said), saidMax)])
	failure := failed.Code == hub.CodeProviderError || failed.Code == hub.CodeProviderInvalid
	switch {
	case failure && eyeless.MatchString(e.words):
		failed.Code, failed.Msg = hub.CodeNoVision, "This model cannot see images."
	case failure && inMemory.MatchString(e.words):
		failed.Code, failed.Msg = hub.CodeProviderInvalid, "The provider's server has too little memory for this model."
	case failed.Code == hub.CodeProviderError && permanent.MatchString(e.words):
		failed.Code, failed.Msg = hub.CodeProviderInvalid, "The provider cannot answer this, and trying again would not help."
	case loading(failed):
		failed.Msg = "The model is still being loaded by its server. Try again in a moment."
	}
	return failed
}

// statusError is the error of a response that is none of success.
func statusError(r *http.Response, body []byte) *hub.Error {
	e, ok := parseError(body)
	if !ok {
		var other struct {
			Message, Detail json.RawMessage
		}
		_ = json.Unmarshal(body, &other) // then the status must do
		e.Message = cmp.Or(plain(other.Message), plain(other.Detail))
		text := strings.TrimSpace(string(body))
		switch {
		case e.Message != "":
		case !strings.ContainsAny(text, "<{[") && text != "" && utf8.ValidString(text):
			e.Message = text
		case r.StatusCode == http.StatusNotFound && !strings.Contains(strings.ToLower(text), "model"):
			e.Message = "not found" // by a page, or without a word: who knows models has an error object
		}
		e.words = strings.ToLower(e.Message)
	}
	failed := e.fail(r.StatusCode, &StatusError{
		Status: r.StatusCode, Detail: cmp.Or(e.Message, http.StatusText(r.StatusCode)), Param: e.param,
		Loading: r.StatusCode == http.StatusServiceUnavailable && loads.MatchString(e.words),
	})
	if failed.RetryAfter == 0 {
		failed.RetryAfter = retryAfter(r.StatusCode, r.Header, time.Now())
	}
	return failed
}

// StatusError is a response's HTTP status with the vendor's words, for the log.
type StatusError struct {
	Status  int
	Detail  string
	Param   string // the field of the request that is named beside the words
	Loading bool   // the model is being loaded
}

// loading says whether an error will pass once a model is loaded.
func loading(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Loading
}

func (e *StatusError) Error() string {
	return "HTTP " + strconv.Itoa(e.Status) + ": " + e.Detail
}

// retryAfter is how long the vendor wants us to wait.
func retryAfter(status int, h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 && ms < 1e9 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	if wait := moment(h.Get("Retry-After"), now); wait > 0 || status != http.StatusTooManyRequests {
		return wait
	}
	// Without it, the limits that are used up say when they are whole again.
	wait := moment(h.Get("X-Ratelimit-Reset"), now)
	for _, name := range []string{"X-Ratelimit-%-Requests", "X-Ratelimit-%-Tokens", "Anthropic-Ratelimit-Requests-%", "Anthropic-Ratelimit-Tokens-%"} {
		if h.Get(strings.Replace(name, "%", "Remaining", 1)) == "0" {
			wait = max(wait, moment(h.Get(strings.Replace(name, "%", "Reset", 1)), now))
		}
	}
	return wait
}

// moment is the time until what a header says: seconds, a duration such as
// 6m0s, a Unix time in seconds or milliseconds, or a date (RFC 9110, section
// 10.2.3, and RFC 3339).
func moment(v string, now time.Time) time.Duration {
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		switch {
		case s > 0 && s < 1e8:
			return time.Duration(s * float64(time.Second))
		case s >= 1e11 && s < 1e14:
			return max(0, time.UnixMilli(int64(s)).Sub(now))
		case s >= 1e9 && s < 1e11:
			return max(0, time.Unix(int64(s), 0).Sub(now))
		}
		return 0
	}
	if d, err := time.ParseDuration(v); err == nil {
		return max(0, d)
	}
	for _, parse := range []func(string) (time.Time, error){http.ParseTime, func(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }} {
		if t, err := parse(v); err == nil {
			return max(0, t.Sub(now))
		}
	}
	return 0
}

// Retryable says whether a call that showed nothing yet may be repeated. Silence
// is not: whoever waited for two minutes wants to know, not to wait for six.
func Retryable(err error) bool {
	switch hub.CodeOf(err) {
	case hub.CodeProviderRateLimit, hub.CodeProviderOverloaded, hub.CodeProviderNetwork, hub.CodeProviderTruncated:
		return true
	case hub.CodeProviderError, hub.CodeProviderTimeout:
		var s *StatusError
		return errors.As(err, &s) && (s.Status >= 500 || s.Status == http.StatusRequestTimeout)
	}
	return false
}
