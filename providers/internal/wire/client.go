package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// errSilent is why a request is cancelled by the client itself.
var errSilent = errors.New("the provider was silent for too long")

// Client makes a vendor's requests.
type Client struct {
	HTTP      *http.Client
	FirstByte time.Duration // to the response's first line of events
	Idle      time.Duration // between two lines
}

// NewClient returns a client with a transport of its own. Zero times are 120 s
// and 60 s.
func NewClient(firstByte, idle time.Duration) *Client {
	if firstByte == 0 {
		firstByte = 120 * time.Second
	}
	if idle == 0 {
		idle = 60 * time.Second
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	return &Client{
		FirstByte: firstByte, Idle: idle,
		HTTP: &http.Client{
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
				TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 64,
				DisableCompression: true, // a compressed stream would arrive in clumps
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Do sends a request and turns every failure into a typed error. It is what
// vendors' libraries are given as their HTTP client.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	res, err := c.HTTP.Do(req)
	if err != nil {
		return nil, Fail(hub.CodeProviderNetwork, err)
	}
	if res.StatusCode >= 300 {
		defer res.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // what came is enough
		return nil, statusError(res, body)
	}
	return res, nil
}

// Stream sends a request and hands every event to got until it returns false or
// an error. It returns nil at the end of the response. The connection has been
// let go of when it returns.
func (c *Client) Stream(ctx context.Context, send func(ctx context.Context) (io.ReadCloser, error), got func(Event) (bool, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.FirstByte, func() { cancel(errSilent) })
	defer silence.Stop()
	body, err := send(ctx)
	if err != nil {
		return explain(ctx, err)
	}
	defer body.Close()
	r := NewReader(body, func() { silence.Reset(c.Idle) })
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return explain(ctx, err)
		}
		if err := EventError(e); err != nil {
			return err
		}
		if more, err := got(e); err != nil || !more {
			return err
		}
	}
}

// explain says what an error of the connection was.
func explain(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errSilent):
		return Fail(hub.CodeProviderTimeout, cause)
	case cause != nil:
		return cause
	}
	var typed *hub.Error
	if errors.As(err, &typed) {
		return typed
	}
	if errors.Is(err, errTooLong) {
		return Fail(hub.CodeProviderError, err)
	}
	return Fail(hub.CodeProviderTruncated, fmt.Errorf("read the answer: %w", err))
}

const (
	retries  = 2
	waitMax  = 30 * time.Second // a longer Retry-After is told, not waited for
	waitBase = 500 * time.Millisecond
)

// Retry calls try again while it fails in a way that may pass and has shown
// nothing, which try says. The waits are 500 ms doubling, ±20 %, or what the
// vendor asks for.
func Retry(ctx context.Context, try func() (shown bool, err error)) error {
	for n := 0; ; n++ {
		shown, err := try()
		if err == nil || shown || n == retries || !Retryable(err) || ctx.Err() != nil {
			return err
		}
		wait := time.Duration(float64(waitBase<<n) * (0.8 + 0.4*rand.Float64()))
		var e *hub.Error
		if errors.As(err, &e) && e.RetryAfter > 0 {
			if wait = e.RetryAfter; wait > waitMax {
				return err
			}
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}
