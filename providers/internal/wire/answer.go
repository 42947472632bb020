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

// Decoder turns the events of one answer into what a [Teller] is told.
type Decoder interface {
	// Event tells what an event says. It returns true after the last event of
	// an answer; vendors without one leave that to the end of the response.
	Event(e Event, t *Teller) (last bool, err error)
	// End tells what is known only when all has come.
	End(t *Teller)
	// Usage is what the events so far have counted, nil if nothing.
	Usage() *hub.Usage
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
		var t Teller
		model := modelOf(path, body)
		err = c.mended(path, body, func(body []byte) (bool, error) {
			return c.retry(run, func() (bool, error) {
				req, err := http.NewRequestWithContext(run, http.MethodPost, c.base+path, bytes.NewReader(body))
				if err != nil {
					return false, Fail(hub.CodeProviderInvalid, errors.New("the URL is not valid"))
				}
				req.Header = header.Clone()
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Accept", "text/event-stream")
				t = Teller{yield: yield, model: model, unopened: &c.unopened}
				t.closing.assumed = c.unopened.has(model)
				err = c.read(run, req, decoder(), &t)
				return t.shown, err
			})
		})
		if err == nil || t.left || ctx.Err() != nil {
			return
		}
		yield(hub.Delta{}, c.scrub(err))
	}
}

// read sends a request and tells the answer to its end.
func (c *Client) read(ctx context.Context, req *http.Request, d Decoder, t *Teller) error {
	asked := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wordless *time.Timer // from the answer's first event on
	defer func() {
		if wordless != nil {
			wordless.Stop()
		}
	}()
	err := c.stream(ctx, req, func(e Event) (last bool, err error) {
		said, settled := t.signs, t.settled
		last, err = t.event(e, d)
		if t.signs == said { // what it counts may be all that it says
			if u := d.Usage(); u != nil && *u != t.counted {
				t.counted = *u
				t.signs++
			}
		}
		limit := c.wordless()
		if t.settled {
			limit = lateMax
		}
		switch {
		case wordless == nil && t.begun:
			wordless = time.AfterFunc(limit, func() { cancel(errSilent) })
		case wordless != nil && (t.signs != said || t.settled != settled):
			wordless.Reset(limit)
		}
		return last, err
	})
	if cause := context.Cause(asked); cause != nil && !errors.Is(cause, errEndless) {
		return err // nobody waits for it any more
	}
	return t.end(d, err)
}

// Decode reads a whole response, as Answer does with one from the network.
func Decode(r io.Reader, d Decoder, tell func(hub.Delta) bool) error {
	events := NewReader(r)
	t := Teller{yield: func(d hub.Delta, _ error) bool { return tell(d) }}
	for {
		e, err := events.Next()
		last := errors.Is(err, io.EOF)
		switch {
		case last:
			err = nil
		case err != nil:
			err = explain(context.Background(), err)
		default:
			last, err = t.event(e, d)
		}
		if last || err != nil {
			return t.end(d, err)
		}
	}
}

// lateMax is how long usage and the mark of the end may take after the reason for
// it, whatever else comes: some servers keep such a connection open for ever.
const lateMax = 10 * time.Second

// wordless is how long an answer that has begun may go on without a word, a
// thought, a call or a count, whatever else comes. Some servers send empty deltas
// for minutes while a model thinks in secret, others do when they are stuck.
func (c *Client) wordless() time.Duration { return max(5*c.opt.Idle, c.opt.FirstByte) }

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
	told := false // that the model is being loaded
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
		if waits := loading(err); !waits || !told {
			c.opt.Logger.Info("the provider failed and is asked again", "err", c.scrub(err), "wait", wait)
			told = waits
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return false, explain(ctx, ctx.Err())
		case <-t.C:
		}
	}
}
