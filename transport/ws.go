package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	strict "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/eventlog"
	"github.com/omnichat/omnichat/transport/outlet"
)

const (
	readLimitBefore = 4 << 10 // bytes of a message, before auth
	readLimitAfter  = 4       // times the body limit: what is over that is refused, over this it ends the connection
	stuckAfter      = 10 * time.Second
	pingTimeout     = 10 * time.Second
	slowest         = 16 << 10 // bytes a second that a peer must read for its pong to be in time
	patienceMax     = 2 * time.Minute
	positionsMax    = 10_000
	repliesMax      = 64 << 10 // bytes of answers to commands that may wait for the client to read
)

// A socket is one WebSocket. The library does the handshake, reading and control frames.
// What the hub writes does not pass through the library, which would wait for the client.
type socket struct {
	conns  *connections
	conn   *websocket.Conn
	out    outlet.Outlet
	checks checks

	commands commands // those that are under way
	network  string   // the client's; see edge.networkOf

	mu       sync.Mutex
	who      identity
	nextPing time.Time
	late     time.Time // when the pong to the last ping is late; zero if it has come
	ping     byte      // the number of the last ping
	pinged   int64     // bytes that were sent before that ping
	read     int64     // bytes that the peer has read, as its last pong tells
}

var (
	_ hub.Sink = (*socket)(nil)
	_ client   = (*socket)(nil)
)

// frames has buffers for a frame's header and its payload.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// Write is hub.Sink's: a batch of lines is one text message.
func (w *socket) Write(batch []byte) bool {
	batch = bytes.TrimSuffix(batch, []byte("\n"))
	buf := frames.Get().(*[]byte)
	defer frames.Put(buf)
	*buf = appendHeader((*buf)[:0], len(batch))
	if len(batch) > outlet.Chunk {
		return w.out.WriteBoth(*buf, batch)
	}
	*buf = append(*buf, batch...)
	return w.out.Write(*buf)
}

// End is hub.Sink's. The hub calls it only if the viewer has failed, as a WebSocket's viewer
// has no end of its own.
func (w *socket) End() { w.out.Cut() }

// appendHeader adds the header of a server's text message of one frame (RFC 6455,
// section 5.2).
func appendHeader(dst []byte, size int) []byte {
	const finalText = 0x81
	switch {
	case size <= 125:
		return append(dst, finalText, byte(size))
	case size <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, finalText, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, finalText, 127), uint64(size))
}

func (w *socket) identity() identity {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.who
}

// end closes the connection with a code. It waits for the peer's answer no longer than the
// library does.
func (w *socket) end(code websocket.StatusCode, reason string) {
	_ = w.conn.Close(code, reason) // it may be gone already
}

// sameOrigin says whether a browser's request may open a WebSocket.
func (ed *edge) sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin == "" || origin == "http://"+r.Host || origin == "https://"+r.Host || ed.origins[origin]
}

// ws is GET /ws.
func (cs *connections) ws(c echo.Context) error {
	r := c.Request()
	if !cs.edge.sameOrigin(r) {
		return &hub.Error{Code: hub.CodeForbidden, Msg: "this origin is not allowed"}
	}
	var who identity
	if token := bearer(r); token != "" {
		var err error
		if who, err = cs.logins.verify(r.Context(), token); err != nil {
			return err
		}
	}
	if !cs.clients.enter() {
		return &hub.Error{Code: hub.CodeUnavailable, Msg: "this server is going away; connect again", RetryAfter: time.Second}
	}
	w := &socket{conns: cs, who: who, network: cs.edge.networkOf(c), nextPing: time.Now().Add(cs.heartbeat)}
	response := &handshake{Takeover: outlet.Takeover{ResponseWriter: c.Response().Writer, Out: &w.out, Patience: stuckAfter, Workers: &cs.clients.wg}}
	conn, err := websocket.Accept(response, r,
		&websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled, OnPongReceived: w.pong})
	if err != nil {
		cs.clients.exit()
		c.Response().Header().Del(echo.HeaderContentType) // the library's
		switch response.refused {
		case 0:
			cs.logger.Debug("WebSocket handshake", "err", err)
			return nil // the connection is gone
		case http.StatusUpgradeRequired:
			return &hub.Error{Code: codeUpgrade, Msg: "this path speaks WebSocket", Err: err}
		}
		return &hub.Error{Code: hub.CodeInvalid, Msg: "the WebSocket handshake is not valid", Err: err}
	}
	w.conn = conn
	// The handler returns, which frees what net/http needs for a request.
	go func() {
		defer cs.clients.exit()
		defer w.out.Cut()
		defer conn.CloseNow()
		cs.guard(w.run)
	}()
	return nil
}

// handshake is the response to a request for a WebSocket. It keeps the status with which the
// library refuses one, so that the client is told a problem instead.
type handshake struct {
	outlet.Takeover
	refused int // the status with which the library refuses; 0 if it does not
}

func (h *handshake) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols {
		h.Takeover.WriteHeader(status)
	} else {
		h.refused = status
	}
}

func (h *handshake) Write(b []byte) (int, error) { return len(b), nil } // the library writes a refusal alone

// run serves the connection from its handshake to its end.
func (w *socket) run() {
	cs := w.conns
	if !cs.clients.add(w) {
		return // it was opened while the others were told to go: it is closed without a word
	}
	defer cs.clients.remove(w)
	if w.who.User == "" && !w.authenticate() {
		return
	}
	if !cs.clients.claim(w.who.User, cs.maxSockets) {
		w.end(closeTooMany, "too many connections")
		return
	}
	defer cs.clients.unclaim(w.who.User)
	w.serve()
}

// authenticate waits for the first message, which must be auth, and says whether the login
// holds.
func (w *socket) authenticate() bool {
	w.conn.SetReadLimit(readLimitBefore)
	var late sync.WaitGroup
	late.Add(1)
	timer := time.AfterFunc(w.conns.authTimeout, func() {
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
	var who identity
	verified := w.conns.aside(func() {
		ctx, cancel := context.WithTimeout(w.conns.ctx, w.conns.callTimeout)
		defer cancel()
		who, err = w.conns.logins.verify(ctx, m.Token)
	})
	switch {
	case !verified:
		return false
	case hub.CodeOf(err) == hub.CodeUnauthenticated:
		w.end(closeUnauthenticated, "not authenticated")
		return false
	case err != nil: // the database is away, which logs nobody out
		w.conns.logger.Warn("WebSocket auth", "err", err)
		w.end(closeServiceRestart, "try again")
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.who = who
	return true
}

// serve connects an authenticated client to the hub and takes its commands until the
// connection ends.
func (w *socket) serve() {
	cs := w.conns
	w.conn.SetReadLimit(readLimitAfter * cs.bodyLimit)
	var v *hub.Viewer
	var err error
	connected := cs.aside(func() {
		ctx, cancel := context.WithTimeout(cs.ctx, cs.callTimeout)
		defer cancel()
		if v, err = cs.hub.Connect(ctx, w.who.Access, eventlog.Lines); err != nil {
			return
		}
		w.out.OnRoom(v.Resume)
		if cs.keep(w) {
			v.Start(w)
		}
	})
	if v != nil {
		defer v.Close()
	}
	if !connected || err != nil {
		w.end(closeServiceRestart, "try again")
		return
	}
	w.takeCommands(v)
}

// tend is client's. It pings the peer, and cuts the connection if the pong does not come in
// time. A write that is under way finds out by itself whether the peer is gone. A peer reads
// what was written before a ping first, so the time allowed for the pong grows with that.
func (w *socket) tend(now time.Time) {
	sent, behind := w.out.State()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.late.IsZero() && now.After(w.late):
		w.late = time.Time{}
		if !behind {
			w.out.Cut() // the peer is gone
		}
	case w.late.IsZero() && !behind && now.After(w.nextPing):
		w.nextPing, w.pinged = now.Add(w.conns.heartbeat), sent
		w.ping++
		w.late = now.Add(pingTimeout + min(patienceMax, time.Duration((sent-w.read)/slowest)*time.Second))
		_ = w.out.Write([]byte{0x89, 1, w.ping}) // what there is no room for waits
	}
}

// pong is called by the library for each pong.
func (w *socket) pong(_ context.Context, payload []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(payload) == 1 && payload[0] == w.ping {
		w.late, w.read = time.Time{}, w.pinged
	}
}

func (w *socket) expire() { w.end(closeUnauthenticated, "the login does not hold any more") }

// takeCommands reads commands until the connection ends, and then waits for those that are
// under way.
func (w *socket) takeCommands(v *hub.Viewer) {
	defer w.commands.working.Wait()
	defer w.commands.close(false)
	pace := rate.NewLimiter(100, 400)
	in := &inbox{conn: w.conn, share: w.conns.messages.of("user "+string(w.identity().User), "network "+w.network)}
	defer in.close()
	for {
		kind, data, err := in.next()
		if err != nil {
			return
		}
		if !pace.Allow() {
			w.end(closeTooMany, "too many commands")
			return
		}
		if v.Owed() > repliesMax {
			w.end(closeTooMany, "the answers to commands are not read")
			return
		}
		if kind != websocket.MessageText {
			v.Refuse(0, &hub.Error{Code: hub.CodeInvalid, Msg: "commands are text messages"})
			continue
		}
		if !w.conns.aside(func() { w.take(v, data) }) {
			return
		}
	}
}

// command carries out a command.
func (w *socket) command(v *hub.Viewer, cmd command) {
	err := errLoggedOut
	if !w.conns.logins.revoked(w.identity().Grant) {
		ctx, cancel := context.WithTimeout(w.conns.ctx, w.conns.callTimeout)
		err = w.do(ctx, v, cmd)
		cancel()
	}
	if err != nil {
		w.refuse(v, cmd, err)
	}
}

// refuse tells the client why a command was not carried out. It ends the connection if the
// login does not hold any more.
func (w *socket) refuse(v *hub.Viewer, cmd command, err error) {
	if errors.Is(err, errLoggedOut) {
		w.commands.close(true)
		w.end(closeUnauthenticated, "not authenticated")
		return
	}
	if hub.CodeOf(err) == hub.CodeInternal {
		w.conns.logger.Error("WebSocket command failed", "type", cmd.Type, "err", err)
	}
	_, told := problemOf(err)
	v.Refuse(cmd.Ref, told)
}

// parse reads a client's message, or refuses it if it is too large.
func (w *socket) parse(data []byte) (command, error) {
	if limit := w.conns.bodyLimit; int64(len(data)) > limit {
		return command{Ref: refOf(data)}, &hub.Error{Code: hub.CodeTooLarge, Msg: fmt.Sprintf("the message is over %d bytes", limit)}
	}
	return parseCommand(data)
}

var errLoggedOut = errors.New("the auth of another or no user")

// A command is what a client sends. Its type says which fields it may have.
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
		"max_tokens", "reasoning_effort", "attachments"},
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
	var given map[string]jsontext.Value
	if err := strict.Unmarshal(data, &given, jsontext.AllowInvalidUTF8(true)); err != nil {
		return command{Ref: cmd.Ref}, err
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
		who, err := w.conns.logins.verify(ctx, cmd.Token)
		if err != nil && hub.CodeOf(err) != hub.CodeUnauthenticated {
			return err
		}
		if err != nil || !who.renews(w.identity()) {
			return errLoggedOut
		}
		w.mu.Lock()
		w.who = who
		w.mu.Unlock()
		w.conns.recheckOne(w)
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
	return hub.Invalid("type", "is not a command")
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
