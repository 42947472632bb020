package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/providertest/fake"
	"github.com/omnichat/omnichat/repo/pgtest"
	"github.com/omnichat/omnichat/repo/redistest"
)

// TestMain is the server itself when a test starts it as a process.
func TestMain(m *testing.M) {
	if os.Getenv("OMNICHAT_TEST_SERVER") != "" {
		main()
		return
	}
	code := m.Run()
	pgtest.Stop()
	http.DefaultClient.CloseIdleConnections()
	// Toxiproxy forgets a toxic whose link breaks while it hands data on.
	if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run")); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// server is OmniChat as a process.
type server struct {
	t    testing.TB
	env  map[string]string
	base string
	cmd  *exec.Cmd
	logs *logs
}

// logs is what a server has written, over all its starts.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// startServer starts a process that asks the fake provider.
func startServer(t testing.TB, provider *fake.Server, env map[string]string) *server {
	t.Helper()
	s := &server{t: t, logs: new(logs), env: map[string]string{
		"OMNICHAT_TEST_SERVER": "1", "OMNICHAT_DATA_DIR": t.TempDir(),
		"OPENAI_BASE_URL": provider.BaseURL(), "OMNICHAT_IDLE_TIMEOUT": "60s", "OMNICHAT_FIRST_BYTE_TIMEOUT": "60s",
	}}
	maps.Copy(s.env, env)
	s.start()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.logs)
		}
	})
	return s
}

// start starts the process and waits for its address. It keeps the address on
// the next start.
func (s *server) start() {
	s.t.Helper()
	if err := s.tryStart(); err != nil {
		s.t.Fatal(err)
	}
}

// tryStart is start for when the server may refuse to. It tries again while
// another process has the port.
func (s *server) tryStart() error {
	for try := 1; ; try++ {
		if s.base == "" {
			port, err := redistest.FreePort()
			if err != nil {
				return err
			}
			s.env["OMNICHAT_ADDR"] = "127.0.0.1:" + port
		}
		err := s.launch()
		if err == nil || try == 20 || !strings.Contains(err.Error(), "address already in use") {
			return err
		}
		pauseFor(s.t.Context(), 100*time.Millisecond)
	}
}

func (s *server) launch() error {
	s.cmd = exec.Command(os.Args[0])
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.cmd.Env = []string{"HOME=" + os.Getenv("HOME")}
	for k, v := range s.env {
		s.cmd.Env = append(s.cmd.Env, k+"="+v)
	}
	before := len(s.logs.String())
	s.cmd.Stderr = s.logs
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		return err
	}
	stuck := time.AfterFunc(2*time.Minute, func() { _ = s.cmd.Process.Kill() })
	defer stuck.Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(line), "http://")
	if err != nil || !ok {
		s.kill()
		return fmt.Errorf("the server said %q, %w: %s", line, err, s.logs.String()[before:])
	}
	if s.base == "" { // only the first start writes it: clients read it while a process is replaced
		s.base = "http://" + address
	}
	return nil
}

// kill is kill -9.
func (s *server) kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// client is one user's.
type client struct {
	s     *server
	token string
}

func (s *server) user(name string) *client {
	s.t.Helper()
	c := &client{s: s}
	c.call(http.MethodPost, "/users", map[string]string{"username": name, "password": "correct horse"}, nil)
	return s.logIn(name)
}

func (s *server) logIn(name string) *client {
	s.t.Helper()
	res, err := http.PostForm(s.base+"/token", url.Values{"username": {name}, "password": {"correct horse"}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.AccessToken == "" {
		s.t.Fatalf("log in: %s, %v", res.Status, err)
	}
	return &client{s: s, token: out.AccessToken}
}

func (c *client) request(ctx context.Context, method, path string, body any) *http.Request {
	c.s.t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.s.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.s.base+path, r)
	if err != nil {
		c.s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req
}

// call makes a request that must succeed.
func (c *client) call(method, path string, body, into any) {
	c.s.t.Helper()
	res, err := http.DefaultClient.Do(c.request(c.s.t.Context(), method, path, body))
	if err != nil {
		c.s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		c.s.t.Fatalf("%s %s: %s, %v: %s", method, path, res.Status, err, b)
	}
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			c.s.t.Fatalf("%s %s: %v", method, path, err)
		}
	}
}

func decodeBody(res *http.Response, into any) error {
	defer res.Body.Close()
	return json.NewDecoder(res.Body).Decode(into)
}

// event is any event of a stream.
type event struct {
	Type      string          `json:"type"`
	MessageID string          `json:"message_id"`
	SessionID string          `json:"session_id"`
	AnswerID  string          `json:"answer_id"`
	From      *int64          `json:"from"`
	Seq       int64           `json:"seq"`
	Text      string          `json:"text"`
	Reasoning string          `json:"reasoning"`
	Reason    string          `json:"reason"`
	Version   int64           `json:"version"`
	Viewers   int             `json:"viewers"`
	Ref       int64           `json:"ref"`
	Code      string          `json:"code"`
	Error     *hub.Failure    `json:"error"`
	Message   json.RawMessage `json:"message"`
	Session   *hub.Session    `json:"session"`
	Model     string          `json:"model"`
	Notices   []hub.Notice    `json:"notices"`
	Usage     *hub.Usage      `json:"usage"`
	ToolCalls []hub.ToolCall  `json:"tool_calls"`
}

// viewer keeps the rules of the contract for one stream.
type viewer struct {
	id    string
	seq   int64
	buf   []byte
	end   *event
	twice int  // events at or below its place
	torn  bool // a snapshot took back what had been shown
	blank bool // it joins without a position
	trace bool // it notes what it showed when
	shown []shown
}

// shown is that a viewer showed so many bytes at a time.
type shown struct {
	at    time.Time
	bytes int
}

func newViewer() *viewer { return &viewer{seq: -1} }

// text is what the viewer shows.
func (v *viewer) text() string { return string(v.buf) }

// apply takes an event; a hole is an error.
func (v *viewer) apply(e event) error {
	if v.trace {
		defer func() { v.shown = append(v.shown, shown{time.Now(), len(v.buf)}) }()
	}
	switch e.Type {
	case "snapshot":
		v.torn = v.torn || !strings.HasPrefix(e.Text, v.text())
		v.id, v.seq, v.buf = e.MessageID, e.Seq, []byte(e.Text)
		return nil
	case "start", "delta", "finish":
	default:
		return nil
	}
	if v.end != nil {
		return fmt.Errorf("%s %d after the finish", e.Type, e.Seq)
	}
	if e.Seq <= v.seq {
		v.twice++
		return nil
	}
	from := e.Seq - 1
	if e.From != nil {
		from = *e.From
	}
	if from != v.seq {
		return fmt.Errorf("%s %d follows %d, the viewer stands at %d", e.Type, e.Seq, from, v.seq)
	}
	v.id, v.seq = e.MessageID, e.Seq
	v.buf = append(v.buf, e.Text...)
	if e.Type == "finish" {
		v.end = &e
	}
	return nil
}

// sse opens an event stream.
func (c *client) sse(ctx context.Context, method, path string, body any) (*http.Response, error) {
	res, err := http.DefaultClient.Do(c.request(ctx, method, path, body))
	if err == nil && res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		return res, fmt.Errorf("%s: %s", res.Status, b)
	}
	if err == nil {
		res.Body = lines{Reader: bufio.NewReaderSize(res.Body, 64<<10), Closer: res.Body}
	}
	return res, err
}

// lines is a body that may be read by several calls of follow, one after another.
type lines struct {
	*bufio.Reader
	io.Closer
}

// follow reads an event stream until until says so, or its end.
func (v *viewer) follow(r io.Reader, until func() bool) error {
	in, ok := r.(lines)
	if !ok {
		in = lines{Reader: bufio.NewReader(r)}
	}
	id := int64(-1)
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line = strings.TrimSuffix(line, "\n")
		if n, ok := strings.CutPrefix(line, "id: "); ok {
			if _, err := fmt.Sscan(n, &id); err != nil {
				return err
			}
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var e event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return err
		}
		if e.Seq != id {
			return fmt.Errorf("id %d on seq %d", id, e.Seq)
		}
		if err := v.apply(e); err != nil {
			return err
		}
		if until != nil && until() {
			return nil
		}
	}
}

// ask asks and reads the whole answer.
func (c *client) ask(body map[string]any) *viewer {
	c.s.t.Helper()
	res, err := c.sse(c.s.t.Context(), http.MethodPost, "/chat/stream", body)
	if err != nil {
		c.s.t.Fatal(err)
	}
	defer res.Body.Close()
	v := newViewer()
	if err := v.follow(res.Body, nil); err != nil {
		c.s.t.Fatal(err)
	}
	return v
}

// message reads a message from the history.
func (c *client) message(session, id string) hub.Message {
	c.s.t.Helper()
	var out hub.MessageChanges
	c.call(http.MethodGet, "/sessions/"+session+"/messages", nil, &out)
	for _, m := range out.Items {
		if string(m.ID) == id {
			return m
		}
	}
	c.s.t.Fatalf("message %s is not in the history", id)
	return hub.Message{}
}

func (c *client) session() string {
	c.s.t.Helper()
	var s hub.Session
	c.call(http.MethodPost, "/sessions", map[string]string{}, &s)
	return string(s.ID)
}

// socket is a WebSocket that has been greeted.
type socket struct {
	conn *websocket.Conn
	left []event
}

func (c *client) socket(ctx context.Context) (*socket, error) {
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(c.s.base, "http")+"/ws", nil)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	w := &socket{conn: conn}
	if err := w.send(ctx, map[string]any{"type": "auth", "token": c.token}); err != nil {
		return nil, err
	}
	if e, err := w.next(ctx); err != nil || e.Type != "ready" {
		return nil, fmt.Errorf("greeted with %q, %w", e.Type, err)
	}
	return w, nil
}

func (w *socket) send(ctx context.Context, cmd any) error {
	b, err := json.Marshal(cmd)
	if err != nil {
		return err
	}
	return w.conn.Write(ctx, websocket.MessageText, b)
}

func (w *socket) next(ctx context.Context) (event, error) {
	for len(w.left) == 0 {
		_, data, err := w.conn.Read(ctx)
		if err != nil {
			return event{}, err
		}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				return event{}, fmt.Errorf("%w in %q", err, line)
			}
			w.left = append(w.left, e)
		}
	}
	e := w.left[0]
	w.left = w.left[1:]
	return e, nil
}

// until reads until an event of the type.
func (w *socket) until(ctx context.Context, kind string) (event, error) {
	for {
		e, err := w.next(ctx)
		if err != nil || e.Type == kind {
			return e, err
		}
	}
}

// watch subscribes and follows the one stream of a session to its end.
func (w *socket) watch(ctx context.Context, session string, v *viewer, until func() bool) error {
	positions := map[string]int64{}
	if v.id != "" && (!v.blank || v.seq >= 0) {
		positions[v.id] = v.seq
	}
	if err := w.send(ctx, map[string]any{"type": "subscribe", "ref": 1, "session_id": session, "positions": positions}); err != nil {
		return err
	}
	for {
		e, err := w.next(ctx)
		if err != nil {
			return err
		}
		if err := v.apply(e); err != nil {
			return err
		}
		if v.end != nil || until != nil && until() {
			return nil
		}
	}
}

// soon is a context for what must not hang.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
