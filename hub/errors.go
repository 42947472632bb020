package hub

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code says what a client may do about a failure. It is part of the wire
// contract and never changes its meaning.
type Code string

// Codes of refused requests.
const (
	CodeInternal        Code = "internal"
	CodeInvalid         Code = "invalid"          // a field is wrong; Error.Field names it
	CodeUnauthenticated Code = "unauthenticated"  // no valid access token
	CodeInvalidGrant    Code = "invalid_grant"    // wrong password or refresh token
	CodeForbidden       Code = "forbidden"        // known, but not allowed
	CodeNotFound        Code = "not_found"        // missing, or somebody else's
	CodeUsernameTaken   Code = "username_taken"   // registration
	CodeIDConflict      Code = "id_conflict"      // the id names something else already
	CodeParentStreaming Code = "parent_streaming" // the parent is still being generated
	CodeTooLarge        Code = "too_large"        // body over the limit
	CodeRateLimited     Code = "rate_limited"     // too many requests; Error.RetryAfter
	CodeTooManyRunning  Code = "too_many_running" // the user's limit of running answers
	CodeUnavailable     Code = "unavailable"      // try again; the database or the replica is away
	CodeDailyLimit      Code = "daily_limit"      // the user's tokens or money for today are used up; Error.RetryAfter
	CodeQuotaExceeded   Code = "quota_exceeded"   // the user's chats and files leave no room; deleting some makes it
	CodeNoVision        Code = "no_vision"        // the model cannot see images
)

// Codes of failed answers, found in a finish event's and a message's error.
const (
	CodeProviderAuth       Code = "provider_auth"            // the key is missing or wrong
	CodeProviderPermission Code = "provider_permission"      // the key may not use this
	CodeProviderQuota      Code = "provider_quota"           // credit used up; waiting does not help
	CodeProviderRateLimit  Code = "provider_rate_limit"      // wait and retry
	CodeProviderOverloaded Code = "provider_overloaded"      // busy; retry soon
	CodeContextLength      Code = "context_length"           // the conversation is too long
	CodeContentFilter      Code = "content_filter"           // refused by the provider's filter
	CodeModelNotFound      Code = "model_not_found"          // no such model
	CodeProviderAddress    Code = "provider_address"         // there is a server, and nothing at this path of it
	CodeProviderInvalid    Code = "provider_invalid_request" // the provider refused the request
	CodeProviderTimeout    Code = "provider_timeout"         // silent for too long
	CodeProviderTruncated  Code = "provider_truncated"       // the answer broke off
	CodeProviderNetwork    Code = "provider_network"         // not reachable
	CodeProviderError      Code = "provider_error"           // anything else of the provider
	CodeNoSuchTool         Code = "no_such_tool"             // of a call: nobody can make it
	CodeCallCut            Code = "call_cut"                 // of a call: the answer ended before it did
)

// Error is a failure that crosses a folder boundary.
type Error struct {
	Code       Code          // what a client may act on
	Msg        string        // may be shown to a user
	Field      string        // the request's field that is wrong, if one is
	RetryAfter time.Duration // how long to wait, 0 if unknown
	Err        error         // for the log; may hold vendor details

	// Of a provider, for the person who has set it up.
	Said  string // its own words
	Asked string // the address that was asked for its models
	Try   string // a base URL at which it lists some
}

func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Msg
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf sees through wrapping: "" for nil, CodeInternal for an error without
// a code.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// NotFound is the answer for what is missing and for what is somebody else's:
// the two must look the same.
func NotFound(noun string) *Error {
	return &Error{Code: CodeNotFound, Msg: "no such " + noun}
}

// fieldMax is more than any field's name has; a client may make names up.
const fieldMax = 100

// Invalid says which field of a request is wrong, and how.
func Invalid(field, msg string) *Error {
	if len(field) > fieldMax {
		field = strings.ToValidUTF8(field[:fieldMax], "") + "…"
	}
	return &Error{Code: CodeInvalid, Field: field, Msg: field + " " + msg}
}

// FencedError says which streams of a batch somebody else owns or has ended.
type FencedError struct{ Streams []MessageID }

func (e *FencedError) Error() string { return fmt.Sprintf("%d streams: %v", len(e.Streams), ErrFenced) }

func (e *FencedError) Unwrap() error { return ErrFenced }

// ErrFenced says that a stream has another owner or epoch by now, or has ended.
var ErrFenced = errors.New("stream is no longer owned")
