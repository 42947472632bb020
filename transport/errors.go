package transport

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// Close codes of the WebSocket, beside those of RFC 6455.
const (
	closeUnauthenticated = 4401
	closeAuthTimeout     = 4408
	closeTooMany         = 4429
	closeServiceRestart  = 1012
)

var statuses = map[hub.Code]int{
	hub.CodeInvalid:         http.StatusBadRequest,
	hub.CodeUnauthenticated: http.StatusUnauthorized,
	hub.CodeInvalidGrant:    http.StatusUnauthorized,
	hub.CodeForbidden:       http.StatusForbidden,
	hub.CodeNotFound:        http.StatusNotFound,
	hub.CodeUsernameTaken:   http.StatusConflict,
	hub.CodeIDConflict:      http.StatusConflict,
	hub.CodeParentStreaming: http.StatusConflict,
	hub.CodeTooLarge:        http.StatusRequestEntityTooLarge,
	codeUnsupported:         http.StatusUnsupportedMediaType,
	codeMethod:              http.StatusMethodNotAllowed,
	codeTimeout:             http.StatusRequestTimeout,
	codeUpgrade:             http.StatusUpgradeRequired,
	codeMisdirected:         http.StatusMisdirectedRequest,
	hub.CodeRateLimited:     http.StatusTooManyRequests,
	hub.CodeTooManyRunning:  http.StatusTooManyRequests,
	hub.CodeDailyLimit:      http.StatusTooManyRequests,
	hub.CodeQuotaExceeded:   http.StatusInsufficientStorage,
	hub.CodeNoVision:        http.StatusBadRequest,
	hub.CodeUnavailable:     http.StatusServiceUnavailable,
}

// Codes that only HTTP has.
const (
	codeUnsupported hub.Code = "unsupported_media_type"
	codeMethod      hub.Code = "method_not_allowed"
	codeTimeout     hub.Code = "request_timeout"
	codeUpgrade     hub.Code = "upgrade_required"
	codeMisdirected hub.Code = "misdirected"
)

// problem is RFC 9457's, with a stable code.
type problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail"`
	Code   hub.Code `json:"code"`
	Field  string   `json:"field,omitempty"`
	Error  string   `json:"error,omitempty"` // RFC 6749's, of /token
}

// problemOf says what is told of an error.
func problemOf(err error) (problem, *hub.Error) {
	var e *hub.Error
	var he *echo.HTTPError
	switch {
	case errors.As(err, &e):
	case errors.As(err, &he) && he.Code == http.StatusNotFound:
		e = &hub.Error{Code: hub.CodeNotFound, Msg: "no such path"}
	case errors.As(err, &he) && he.Code == http.StatusMethodNotAllowed:
		e = &hub.Error{Code: codeMethod, Msg: "this path does not take the method"}
	case errors.As(err, &he) && he.Code < 500:
		e = &hub.Error{Code: hub.CodeInvalid, Msg: "the request is not valid"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e = &hub.Error{Code: hub.CodeUnavailable, Msg: "the request was given up", RetryAfter: time.Second}
	default:
		e = &hub.Error{Code: hub.CodeInternal, Msg: "something went wrong here"}
	}
	status := statuses[e.Code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	p := problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: e.Msg, Code: e.Code, Field: e.Field}
	if e.Code == hub.CodeInvalidGrant {
		p.Error = "invalid_grant"
	}
	return p, e
}

// handleError is echo's error handler: where errors of requests are logged and
// answered.
func (s *Server) handleError(err error, c echo.Context) {
	p, e := problemOf(err)
	if p.Status >= 500 && p.Status != http.StatusInsufficientStorage { // which is the user's to mend
		s.opt.Logger.Error("request failed", "method", c.Request().Method, "path", c.Path(), "err", err)
	}
	if c.Response().Committed {
		return
	}
	drain(c, e.Code)
	if noRoute(err) && s.site.strayPage(c, p.Status) {
		return
	}
	h := c.Response().Header()
	switch {
	case e.RetryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	case p.Status == http.StatusServiceUnavailable, p.Status == http.StatusTooManyRequests:
		h.Set("Retry-After", "1")
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	body, err := json.Marshal(p)
	if err == nil {
		err = c.Blob(p.Status, "application/problem+json", body)
	}
	if err != nil {
		s.opt.Logger.Debug("write a problem", "err", err)
	}
}
