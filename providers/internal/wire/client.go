package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/pace"
)

// Options has what every vendor can be told; zero values work.
type Options struct {
	APIKey    string        // never found in an error
	BaseURL   string        // http or https, without a query
	FirstByte time.Duration // 120 s if 0; 5 minutes for a server at home, which may load a model first
	Idle      time.Duration // between two reads; 60 s if 0
	Guarded   bool          // for a base URL that a user gave: only the open internet is reached
	Owner     string        // whose provider it is, whose answers share what they hold; empty for everyone's
	Logger    *slog.Logger  // slog.Default() if nil
}

// LoadMax is how long a server at home may take to load a model.
const LoadMax = 5 * time.Minute

const (
	runMax     = 15 * time.Minute // of an answer, with its retries
	headersMax = 256 << 10        // bytes of a response's headers

	drainMax = 100 * time.Millisecond // for the end of a response whose last event was seen
)

// Why a request is cancelled by the client itself.
var (
	errSilent  = errors.New("the provider was silent for too long")
	errEndless = errors.New("the answer took longer than allowed")
)

// Client makes a vendor's requests.
type Client struct {
	http *http.Client
	opt  Options
	base string
	bad  error // of the base URL
	run  time.Duration

	events   *held // what its answers hold of large events
	refused  refusals
	unopened unopened
}

// NewClient returns a client with a transport of its own.
func NewClient(opt Options) *Client {
	if opt.FirstByte == 0 {
		opt.FirstByte = 120 * time.Second
		if atHome(opt.BaseURL) {
			opt.FirstByte = LoadMax
		}
	}
	if opt.Idle == 0 {
		opt.Idle = 60 * time.Second
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialing(dialer), ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: headersMax, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 64,
		DisableCompression: true, // a compressed stream would arrive in clumps
		// A connection that died in silence would take all its streams with it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
	if opt.Guarded {
		dialer.Control = guard
		transport.Proxy = nil // it would make the connection for us, unseen
	}
	c := &Client{opt: opt, run: runMax, events: newHeld(opt.Owner), http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.base, c.bad = base(opt.BaseURL)
	return c
}

// atHome says whether a base URL leads to this machine or into a private network.
func atHome(given string) bool {
	u, err := url.Parse(given)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	return !strings.Contains(host, ".") || // a container's name, or localhost
		slices.ContainsFunc([]string{".localhost", ".local", ".lan", ".internal", ".home.arpa"}, func(end string) bool { return strings.HasSuffix(host, end) })
}

// base checks a base URL and returns it without a slash at its end.
func base(given string) (string, error) {
	if !hub.ValidBaseURL(given) {
		failed := Fail(hub.CodeProviderInvalid, nil) // the URL is left out: it may hold a key
		failed.Msg = "The provider's base URL is not valid: it must be like https://host/path."
		return "", failed
	}
	return strings.TrimRight(given, "/"), nil
}

// At returns a client like c for another base URL of the same server.
func (c *Client) At(base string) *Client {
	other := &Client{http: c.http, opt: c.opt, run: c.run, base: base, bad: c.bad, events: c.events}
	return other
}

// AtHome says whether the server is on this machine or in a private network.
func (c *Client) AtHome() bool { return atHome(c.base) }

// Base is the base URL.
func (c *Client) Base() string { return c.base }

// Do sends a request and turns every failure into a typed error.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	res, err := c.http.Do(req)
	if err != nil {
		var at *url.Error // whose text has the whole URL
		if errors.As(err, &at) {
			err = at.Err
		}
		if errors.Is(err, errNotAllowed) {
			failed := Fail(hub.CodeProviderInvalid, err)
			failed.Msg = "The provider's address is not allowed: it lies in a private network."
			return nil, failed
		}
		return nil, Fail(hub.CodeProviderNetwork, err)
	}
	if res.StatusCode >= 300 {
		defer res.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(res.Body, bodyMax)) // what came is enough
		return nil, statusError(res, body)
	}
	return res, nil
}

// JSON sends a request to a path below the base URL, with body unless it is nil,
// and reads the answer into answer. It is for what is no stream; ctx has its
// time limit.
func (c *Client) JSON(ctx context.Context, method, path string, header http.Header, body, answer any) error {
	return c.asked(path, c.json(ctx, method, path, header, body, answer))
}

// asked completes an error with the address that was asked.
func (c *Client) asked(path string, err error) error {
	var e *hub.Error
	if errors.As(err, &e) && c.bad == nil {
		e.Asked, _, _ = strings.Cut(c.base+path, "?")
	}
	return c.scrub(err)
}

func (c *Client) json(ctx context.Context, method, path string, header http.Header, body, answer any) error {
	if c.bad != nil {
		return c.bad
	}
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return Fail(hub.CodeProviderInvalid, err)
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, sent)
	if err != nil {
		return Fail(hub.CodeProviderInvalid, errors.New("the URL is not valid"))
	}
	req.Header = header
	res, err := c.Do(req)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return Fail(hub.CodeProviderTimeout, err)
		}
		return err
	}
	defer res.Body.Close()
	var raw json.RawMessage
	if err := json.NewDecoder(io.LimitReader(res.Body, eventMax)).Decode(&raw); err != nil {
		return Fail(hub.CodeProviderError, fmt.Errorf("malformed answer: %w", err))
	}
	if n := parts(raw); n > partsMax {
		return Fail(hub.CodeProviderError, fmt.Errorf("an answer of %d parts is too long", n))
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return Fail(hub.CodeProviderError, fmt.Errorf("malformed answer: %w", err))
	}
	return nil
}

// partsMax bounds what JSON is taken apart into: a few megabytes of tiny objects
// would take a hundred times their size.
const partsMax = 250_000

// parts is how many values JSON has at most.
func parts(raw []byte) (n int) {
	for _, sign := range []string{",", "{", "["} {
		n += bytes.Count(raw, []byte(sign))
	}
	return n
}

// keyMin is the least length of an API key that is a secret, in bytes. Servers
// that want none are given a word, as "none", which their errors may hold.
const keyMin = 8

// scrub takes the API key out of an error: some servers repeat it.
func (c *Client) scrub(err error) error {
	if err == nil || len(c.opt.APIKey) < keyMin || !strings.Contains(err.Error(), c.opt.APIKey) {
		return err
	}
	clean := func(s string) string { return strings.ReplaceAll(s, c.opt.APIKey, "[key]") }
	var e *hub.Error
	if !errors.As(err, &e) {
		return errors.New(clean(err.Error()))
	}
	failed := *e
	failed.Msg, failed.Said = clean(e.Msg), clean(e.Said)
	if e.Err != nil {
		failed.Err = errors.New(clean(e.Err.Error()))
	}
	return &failed
}

// stream sends a request and hands every event to got until that says it was
// the last one, or fails. It returns nil at the end of the response. The
// connection has been let go of when it returns.
func (c *Client) stream(ctx context.Context, req *http.Request, got func(Event) (last bool, err error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.opt.FirstByte, func() { cancel(errSilent) })
	defer silence.Stop()
	turn := pace.Of(ctx)
	defer turn.Back()
	in := &lively{turn: turn, back: turn.Back, silence: silence, idle: c.opt.Idle}
	res, err := c.Do(req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: in.on})))
	if err != nil {
		return explain(ctx, err)
	}
	defer res.Body.Close()
	in.body = res.Body
	if res.ProtoMajor > 1 { // the connection has other answers, too
		in.conn = nil
	}
	r := NewReader(in)
	r.held = c.events
	defer r.release()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return explain(ctx, err)
		}
		last, err := got(e)
		if err != nil {
			return err
		}
		if last {
			// Read to its end, the connection can be used again.
			silence.Reset(drainMax)
			_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
			return nil
		}
	}
}

// lively puts off the end of patience with every read, and reads when the hub
// has use for it.
type lively struct {
	body    io.Reader
	conn    *conn // nil: not known, or not the answer's own
	err     error // of the body: from then on the connection may be another answer's
	turn    *pace.Reader
	back    func() // turn.Back
	wait    bool   // for the turn before the next read
	silence *time.Timer
	idle    time.Duration
}

// on is told the connection that the answer comes on.
func (l *lively) on(got httptrace.GotConnInfo) {
	c := got.Conn
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	l.conn, _ = c.(*conn)
}

func (l *lively) Read(b []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.wait {
		if l.conn != nil && l.turn.Waits() {
			l.conn.hush(l.back)
		}
		l.turn.Wait()
	}
	n, err := l.body.Read(b)
	l.err = err
	// The first token is not kept waiting, nor where there is much more.
	l.wait = n < 1<<10
	if n > 0 {
		l.silence.Reset(l.idle)
	}
	return n, err
}

// explain says what an error of the connection was.
func explain(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errSilent):
		return Fail(hub.CodeProviderTimeout, cause)
	case errors.Is(cause, errEndless):
		failed := Fail(hub.CodeProviderTimeout, cause)
		failed.Msg = "The answer took too long and was ended."
		return failed
	case cause != nil:
		return cause
	}
	var typed *hub.Error
	if errors.As(err, &typed) {
		return typed
	}
	if errors.Is(err, errTooLong) || errors.Is(err, errTooMany) || errors.Is(err, errDripping) {
		return Fail(hub.CodeProviderError, err)
	}
	return Fail(hub.CodeProviderTruncated, fmt.Errorf("read the answer: %w", err))
}
