package hub

import (
	"errors"
	"time"

	"github.com/omnichat/omnichat/hub/plain"
)

// saidBefore stands before a provider's own words in what a person is told.
const saidBefore = " The server said: "

// ListFailure is why a provider's models are not listed. Where it was asked, and
// where it would have answered, only those are told who have set it up.
type ListFailure struct {
	Code    Code   `json:"code"`
	Detail  string `json:"detail"`
	Asked   string `json:"asked,omitempty"`
	BaseURL string `json:"base_url,omitempty"` // at this one it lists some
}

// FailedList is a provider whose models are not listed.
type FailedList struct {
	Provider string      `json:"provider"`
	Error    ListFailure `json:"error"`
}

// listFailure is the same of a list that failed.
func listFailure(err error, knows bool) ListFailure {
	var e *Error
	if !errors.As(err, &e) {
		return ListFailure{Code: CodeProviderError, Detail: "The provider failed in an unexpected way."}
	}
	f := ListFailure{Code: e.Code, Detail: plain.Clean(e.Msg)}
	if knows {
		if e.Said != "" {
			f.Detail += saidBefore + plain.Clean(e.Said)
		}
		f.Asked, f.BaseURL = plain.Clean(e.Asked), plain.Clean(e.Try)
	}
	return f
}

// failureOf is what a person is told of a provider's error. A person that may see the
// provider's own words is told these, too: knows says so, and is called only if there are
// any.
func failureOf(err error, knows func() bool) *Failure {
	var e *Error
	if !errors.As(err, &e) {
		return &Failure{Code: CodeProviderError, Detail: "The provider failed in an unexpected way."}
	}
	f := &Failure{Code: e.Code, Detail: plain.Clean(e.Msg), RetryAfter: int64((e.RetryAfter + time.Second - 1) / time.Second)}
	if e.Said != "" && knows() {
		f.Detail += saidBefore + plain.Clean(e.Said)
	}
	return f
}
