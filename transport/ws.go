package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/omnichat/omnichat/hub"
)

const (
	readLimitBefore = 4 << 10 // bytes of a message, before auth
	readLimitAfter  = 4       // times the body limit: what is over that is refused, over this it ends the connection
	stuckAfter      = 10 * time.Second
	pingTimeout     = 10 * time.Second
	slowest         = 16 << 10 // bytes a second that a peer reads at least, or its pong is late
	patienceMax     = 2 * time.Minute
	writeBuffer     = 128 << 10 // of the system: what lies in a larger one hides how slow a peer is
	positionsMax    = 10_000
)

// socket is one WebSocket connection.
type socket struct {
	server *Server
	conn   *websocket.Conn
	stuck  *time.Timer // ends a connection whose peer takes nothing

	sent    atomic.Int64 // bytes
	writing atomic.Bool

	mu  sync.Mutex
	who identity
}

// Write is hub.Sink's: a batch of lines is one text message. A large one goes
// out in frames, and a slow peer may take long for it as long as it takes some.
func (w *socket) Write(_ context.Context, batch []byte) error {
	batch = bytes.TrimSuffix(batch, []byte("\n"))
	w.writing.Store(true)
	defer w.writing.Store(false)
	w.sent.Add(int64(len(batch)))
	w.stuck.Reset(stuckAfter)
	defer w.stuck.Stop()
	if len(batch) <= chunk {
		return w.conn.Write(context.Background(), websocket.MessageText, batch)
	}
	message, err := w.conn.Writer(context.Background(), websocket.MessageText)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(batch, chunk) {
		if _, err := message.Write(part); err != nil {
			return err
		}
		w.stuck.Reset(stuckAfter)
	}
	return message.Close()
}

func (w *socket) identity() identity {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.who
}

// end closes the connection with a code. What the peer answers is not waited
// for beyond the library's limit.
func (w *socket) end(code websocket.StatusCode, reason string) {
	_ = w.conn.Close(code, reason) // it may be gone already
}

// sameOrigin says whether a browser's request may open a WebSocket.
func (s *Server) sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin == "" || origin == "http://"+r.Host || origin == "https://"+r.Host || s.origins[origin]
}

// ws is GET /ws.
func (s *Server) ws(c echo.Context) error {
	r := c.Request()
	if !s.sameOrigin(r) {
		return &hub.Error{Code: hub.CodeForbidden, Msg: "this origin is not allowed"}
	}
	var who identity
	if token := bearer(r); token != "" {
		var err error
		if who, err = s.logins.verify(r.Context(), token); err != nil {
			return err
		}
	}
	if !s.sockets.enter() {
		return &hub.Error{Code: hub.CodeUnavailable, Msg: "this server is going away; connect again", RetryAfter: time.Second}
	}
	defer s.sockets.exit()
	conn, err := websocket.Accept(takeover{c.Response().Writer}, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		s.log.Debug("WebSocket handshake", "err", err)
		return nil // answered by the library
	}
	defer conn.CloseNow()
	w := &socket{server: s, conn: conn, who: who}
	w.stuck = time.AfterFunc(time.Hour, func() { _ = conn.CloseNow() })
	w.stuck.Stop()
	if !s.sockets.add(w) {
		return nil // closed without a word: it was opened while the others were told
	}
	defer s.sockets.remove(w)
	if who.user == "" && !w.authenticate() {
		return nil
	}
	if !s.sockets.claim(w.who.user, s.opt.MaxSockets) {
		w.end(closeTooMany, "too many connections")
		return nil
	}
	defer s.sockets.unclaim(w.who.user)
	w.serve()
	return nil
}

// authenticate waits for the first message.
func (w *socket) authenticate() bool {
	w.conn.SetReadLimit(readLimitBefore)
	var late sync.WaitGroup
	late.Add(1)
	timer := time.AfterFunc(w.server.opt.AuthTimeout, func() {
		defer late.Done()
		w.end(closeAuthTimeout, "no auth in time")
	})
	_, data, err := w.conn.Read(context.Background())
	if !timer.Stop() {
		late.Wait()
		return false
	}
	if err != nil {
		return false
	}
	var m struct {
		Type  string `json:"type"`
		Token string `json:"token"`
		Ref   int64  `json:"ref"`
	}
	if err := decode(data, &m); err != nil || m.Type != "auth" {
		w.end(closeUnauthenticated, "the first message must be auth")
		return false
	}
	ctx, cancel := context.WithTimeout(w.server.ctx, w.server.opt.CallTimeout)
	defer cancel()
	who, err := w.server.logins.verify(ctx, m.Token)
	switch {
	case hub.CodeOf(err) == hub.CodeUnauthenticated:
		w.end(closeUnauthenticated, "not authenticated")
		return false
	case err != nil: // who it is cannot be said now, which logs nobody out
		w.server.log.Warn("WebSocket auth", "err", err)
		w.end(closeServiceRestart, "try again")
		return false
	}
	w.who = who
	return true
}

// takeover is a response whose connection becomes a WebSocket.
type takeover struct{ http.ResponseWriter }

// Hijack is http.Hijacker's.
func (t takeover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
		_ = tcp.SetWriteBuffer(writeBuffer) // without it a slow peer is noticed late
	}
	return conn, rw, err
}

// serve runs an authenticated connection to its end.
func (w *socket) serve() {
	w.conn.SetReadLimit(readLimitAfter * w.server.opt.BodyLimit)
	ctx, cancel := context.WithCancel(w.server.ctx)
	connect, connected := context.WithTimeout(ctx, w.server.opt.CallTimeout)
	v, err := w.server.hub.Connect(connect, w.who.user)
	connected()
	if err != nil {
		cancel()
		w.end(closeServiceRestart, "try again")
		return
	}
	defer v.Close()
	var helpers sync.WaitGroup
	helpers.Go(func() {
		if err := v.Run(ctx, w, 0); err != nil && ctx.Err() == nil {
			w.server.log.Debug("WebSocket write", "err", err)
			_ = w.conn.CloseNow()
		}
	})
	helpers.Go(func() { w.ping(ctx) })
	helpers.Go(func() {
		if w.server.watch(ctx, w.identity) {
			w.end(closeUnauthenticated, "the access token has run out")
		}
	})
	w.read(ctx, v)
	cancel()
	_ = w.conn.CloseNow()
	helpers.Wait()
}

// ping finds out that a peer is gone although nobody says so. A write that is
// under way finds that out by itself; and what was written before a ping is
// read before it is answered, for which a slow peer gets its time.
func (w *socket) ping(ctx context.Context) {
	t := time.NewTicker(w.server.opt.Heartbeat)
	defer t.Stop()
	read := int64(0) // of sent, as far as a pong has said
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if w.writing.Load() {
			continue
		}
		sent := w.sent.Load()
		patience := pingTimeout + min(patienceMax, time.Duration((sent-read)/slowest)*time.Second)
		pong, cancel := context.WithTimeout(ctx, patience)
		err := w.conn.Ping(pong)
		late := pong.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			read = sent
		case late && !w.writing.Load():
			_ = w.conn.CloseNow()
			return
		}
	}
}

// read takes commands until the connection ends.
func (w *socket) read(ctx context.Context, v *hub.Viewer) {
	pace := rate.NewLimiter(100, 400)
	for {
		kind, data, err := w.conn.Read(context.Background())
		if err != nil {
			return
		}
		if !pace.Allow() {
			w.end(closeTooMany, "too many commands")
			return
		}
		if kind != websocket.MessageText {
			v.Refuse(0, &hub.Error{Code: hub.CodeInvalid, Msg: "commands are text messages"})
			continue
		}
		cmd, err := w.parse(data)
		if err == nil {
			call, cancel := context.WithTimeout(ctx, w.server.opt.CallTimeout)
			err = w.do(call, v, cmd)
			cancel()
		}
		if errors.Is(err, errLoggedOut) {
			w.end(closeUnauthenticated, "not authenticated")
			return
		}
		if err != nil {
			if code := hub.CodeOf(err); code == hub.CodeInternal {
				w.server.log.Error("WebSocket command failed", "type", cmd.Type, "err", err)
			}
			_, told := problemOf(err)
			v.Refuse(cmd.Ref, told)
		}
	}
}

// parse reads a client's message within the limit.
func (w *socket) parse(data []byte) (command, error) {
	if limit := w.server.opt.BodyLimit; int64(len(data)) > limit {
		return command{Ref: refOf(data)}, &hub.Error{Code: hub.CodeTooLarge, Msg: fmt.Sprintf("the message is over %d bytes", limit)}
	}
	return parseCommand(data)
}

var errLoggedOut = errors.New("the auth of another or no user")

// command is what a client sends. Which fields it may have, its type says.
type command struct {
	Type      string           `json:"type"`
	Ref       int64            `json:"ref"`
	Token     string           `json:"token"`
	Positions map[string]int64 `json:"positions"`
	askBody
}

// fields that each type of command may have beside type and ref.
var fields = map[string][]string{
	"auth":        {"token"},
	"subscribe":   {"session_id", "positions"},
	"unsubscribe": {"session_id"},
	"send": {"session_id", "message_id", "answer_id", "parent_id", "content", "model", "temperature", "top_p",
		"max_tokens", "reasoning_effort"},
	"stop": {"message_id"},
	"ping": {},
}

// parseCommand reads a client's message. With an error the command has the ref,
// if that could be read.
func parseCommand(data []byte) (command, error) {
	var cmd command
	if err := decode(data, &cmd); err != nil {
		return command{Ref: refOf(data)}, err
	}
	allowed, ok := fields[cmd.Type]
	if !ok {
		return command{Ref: cmd.Ref}, hub.Invalid("type", "is not one of auth, subscribe, unsubscribe, send, stop and ping")
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(data, &given); err != nil {
		return command{Ref: cmd.Ref}, hub.Invalid("type", "is missing")
	}
	delete(given, "type")
	delete(given, "ref")
	for _, f := range allowed {
		delete(given, f)
	}
	for f := range given {
		return command{Ref: cmd.Ref}, hub.Invalid(f, "is not a field of "+cmd.Type)
	}
	return cmd, nil
}

// refOf reads the ref of a message that is refused, if it has one.
func refOf(data []byte) int64 {
	var head struct {
		Ref int64 `json:"ref"`
	}
	_ = json.Unmarshal(data, &head) // a courtesy
	return head.Ref
}

// required reads an id that a command must have.
func required[T ~string](field string, v *string) (T, error) {
	if v == nil {
		return "", hub.Invalid(field, "is required")
	}
	id, err := fieldID[T](field, v)
	if err != nil {
		return "", err
	}
	return *id, nil
}

// do carries out a command.
func (w *socket) do(ctx context.Context, v *hub.Viewer, cmd command) error {
	switch cmd.Type {
	case "auth":
		who, err := w.server.logins.verify(ctx, cmd.Token)
		if err != nil && hub.CodeOf(err) != hub.CodeUnauthenticated {
			return err
		}
		if err != nil || who.user != w.identity().user {
			return errLoggedOut
		}
		w.mu.Lock()
		w.who = who
		w.mu.Unlock()
		return v.Ready(ctx)
	case "subscribe":
		id, err := required[hub.SessionID]("session_id", cmd.SessionID)
		if err != nil {
			return err
		}
		positions, err := parsePositions(cmd.Positions)
		if err != nil {
			return err
		}
		return v.Subscribe(ctx, cmd.Ref, id, positions)
	case "unsubscribe":
		id, err := required[hub.SessionID]("session_id", cmd.SessionID)
		if err != nil {
			return err
		}
		return v.Unsubscribe(ctx, cmd.Ref, id)
	case "send":
		q, err := cmd.question()
		if err != nil {
			return err
		}
		return v.Send(ctx, cmd.Ref, q)
	case "stop":
		id, err := required[hub.MessageID]("message_id", cmd.MessageID)
		if err != nil {
			return err
		}
		return v.Stop(ctx, cmd.Ref, id)
	}
	v.Pong()
	return nil
}

func parsePositions(in map[string]int64) (map[hub.MessageID]int64, error) {
	if len(in) > positionsMax {
		return nil, hub.Invalid("positions", "has too many streams")
	}
	out := make(map[hub.MessageID]int64, len(in))
	for k, seq := range in {
		id, ok := hub.ParseID(k)
		if !ok {
			return nil, hub.Invalid("positions", "must be UUIDs with their seq")
		}
		if seq < -1 || seq == math.MaxInt64 {
			return nil, hub.Invalid("positions", "has a seq below 0")
		}
		out[hub.MessageID(id)] = seq
	}
	return out, nil
}

// sockets is all connections there are.
type sockets struct {
	mu     sync.Mutex
	open   map[*socket]struct{}
	users  map[hub.UserID]int
	closed bool
	wg     sync.WaitGroup // one for each handler
}

func newSockets() *sockets {
	return &sockets{open: map[*socket]struct{}{}, users: map[hub.UserID]int{}}
}

// enter counts a handler, unless the server goes away.
func (s *sockets) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

func (s *sockets) exit() { s.wg.Done() }

// add makes a handler's connection known, unless the server goes away.
func (s *sockets) add(w *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open[w] = struct{}{}
	return true
}

func (s *sockets) remove(w *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, w)
}

// claim counts a user's connection, within the limit.
func (s *sockets) claim(user hub.UserID, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[user] >= limit {
		return false
	}
	s.users[user]++
	return true
}

func (s *sockets) unclaim(user hub.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[user]--; s.users[user] == 0 {
		delete(s.users, user)
	}
}

// closeAll tells every client to go elsewhere, and waits for the handlers until
// ctx ends; then it cuts the connections that are left and returns.
func (s *sockets) closeAll(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	var all []*socket
	for w := range s.open {
		all = append(all, w)
	}
	s.mu.Unlock()
	var closing sync.WaitGroup
	for _, w := range all {
		cut := time.AfterFunc(2*time.Second, func() { _ = w.conn.CloseNow() })
		closing.Go(func() {
			defer cut.Stop()
			w.end(closeServiceRestart, "the server goes away")
		})
	}
	stop := context.AfterFunc(ctx, func() {
		for _, w := range all {
			_ = w.conn.CloseNow()
		}
	})
	defer stop()
	done := make(chan struct{})
	go func() { // it outlives the call only with handlers that do
		closing.Wait()
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
