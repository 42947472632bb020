// Package wire is the HTTP side that all vendors share: one client that sees
// what their libraries hide, and a reader of Server-Sent Events. A vendor adds
// the request, and a [Decoder] of its events.
package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// Tell takes the deltas of an answer. It does nothing for one that is empty,
// and returns false when no more are wanted.
type Tell func(hub.Delta) bool

// Decoder turns the events of one answer into deltas.
type Decoder interface {
	// Event tells what an event says. It returns true after the last event of
	// an answer; vendors without one leave that to the end of the response.
	Event(e Event, tell Tell) (last bool, err error)
	// End tells what is known only when all has come, and at last the finish,
	// or fails because the answer is not whole.
	End(tell Tell) error
}

// Answer posts a request to a path below the base URL until an answer begins,
// and yields that.
func (c *Client) Answer(ctx context.Context, path string, header http.Header, post any, decoder func() Decoder) iter.Seq2[hub.Delta, error] {
	return func(yield func(hub.Delta, error) bool) {
		if c.bad != nil {
			yield(hub.Delta{}, c.bad)
			return
		}
		body, err := json.Marshal(post)
		if err != nil {
			yield(hub.Delta{}, Fail(hub.CodeProviderInvalid, err))
			return
		}
		run, stop := context.WithTimeoutCause(ctx, c.run, errEndless)
		defer stop()
		t := teller{yield: yield}
		tell := t.tell // once: it is an allocation
		err = c.mended(path, body, func(body []byte) (bool, error) {
			return c.retry(run, func() (bool, error) {
				req, err := http.NewRequestWithContext(run, http.MethodPost, c.base+path, bytes.NewReader(body))
				if err != nil {
					return false, Fail(hub.CodeProviderInvalid, errors.New("the URL is not valid"))
				}
				req.Header = header.Clone()
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Accept", "text/event-stream")
				d := decoder()
				err = c.stream(run, req, func(e Event) (bool, error) {
					last, err := d.Event(e, tell)
					return last || t.left, err
				})
				if err == nil && !t.left {
					err = d.End(tell)
				}
				return t.shown, err
			})
		})
		if err == nil || t.left || ctx.Err() != nil {
			return
		}
		yield(hub.Delta{}, c.scrub(err))
	}
}

// teller yields deltas while they are wanted.
type teller struct {
	yield func(hub.Delta, error) bool
	shown bool
	left  bool // the caller wants no more
}

func (t *teller) tell(d hub.Delta) bool {
	if t.left {
		return false
	}
	if d.Text == "" && d.Reasoning == "" && d.Tool == nil && d.Opaque == nil && d.Usage == nil && d.Finish == "" {
		return true
	}
	if d.Opaque != nil {
		d.Opaque = bytes.ToValidUTF8(d.Opaque, []byte("\ufffd"))
	}
	t.shown = true
	t.left = !t.yield(d, nil)
	return !t.left
}

// Decode reads a whole response, as Answer does with one from the network.
func Decode(r io.Reader, d Decoder, tell Tell) error {
	events := NewReader(r)
	t := teller{yield: func(d hub.Delta, _ error) bool { return tell(d) }}
	for {
		e, err := events.Next()
		if errors.Is(err, io.EOF) {
			return d.End(t.tell)
		}
		if err != nil {
			return explain(context.Background(), err)
		}
		last, err := d.Event(e, t.tell)
		switch {
		case err != nil || t.left:
			return err
		case last:
			return d.End(t.tell)
		}
	}
}

const (
	retries  = 2
	waitMax  = 30 * time.Second // a longer Retry-After is told, not waited for
	waitBase = 500 * time.Millisecond

	loadingWait = 3 * time.Second // between two looks whether a model is loaded
)

// retry calls try again while it fails in a way that may pass and has shown
// nothing, which try says. The waits are 500 ms doubling, ±20 %, or what the
// vendor asks for. A server that is loading the model is asked until it has, or
// until the patience for a first byte ends.
func (c *Client) retry(ctx context.Context, try func() (shown bool, err error)) (bool, error) {
	began := time.Now()
	for n := 0; ; {
		shown, err := try()
		if err == nil || shown || !Retryable(err) || ctx.Err() != nil {
			return shown, err
		}
		wait := time.Duration(float64(waitBase<<n) * (0.8 + 0.4*rand.Float64()))
		var e *hub.Error
		if errors.As(err, &e) && e.RetryAfter > 0 {
			if wait = e.RetryAfter; wait > waitMax {
				return false, err
			}
		}
		if loading(err) {
			hub.Tell(ctx, hub.Loading)
			wait = min(max(wait, time.Second), loadingWait)
			if time.Since(began)+wait > c.opt.FirstByte {
				return false, err
			}
		} else if n++; n > retries {
			return false, err
		}
		c.opt.Logger.Info("the provider failed and is asked again", "err", c.scrub(err), "wait", wait)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return false, explain(ctx, ctx.Err())
		case <-t.C:
		}
	}
}
