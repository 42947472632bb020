package hub

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// Framing is how events are laid out for a transport. The JSON in it is the
// same for all.
type Framing int

// The framings.
const (
	Lines Framing = iota // one JSON object a line, for WebSocket messages
	SSE                  // "id: <seq>", "data: <JSON>" and an empty line
)

// frameMax is how much larger than its event a frame is, in bytes.
const frameMax = len("id: 9223372036854775807\ndata: \n\n")

// appendFrame adds one event to dst. An event without a seq (below 0) has no id.
func appendFrame(dst []byte, f Framing, seq int64, event []byte) []byte {
	if f == Lines {
		return append(append(dst, event...), '\n')
	}
	if seq >= 0 {
		dst = append(dst, "id: "...)
		dst = strconv.AppendInt(dst, seq, 10)
		dst = append(dst, '\n')
	}
	dst = append(dst, "data: "...)
	dst = append(dst, event...)
	return append(dst, "\n\n"...)
}

type startFields struct {
	Type      string     `json:"type"`
	MessageID MessageID  `json:"message_id"`
	Seq       int64      `json:"seq"`
	SessionID SessionID  `json:"session_id"`
	ParentID  *MessageID `json:"parent_id"`
	Model     string     `json:"model"`
	Version   int64      `json:"version"`
}

type finishEvent struct {
	Type      string    `json:"type"`
	MessageID MessageID `json:"message_id"`
	Seq       int64     `json:"seq"`
	Reason    Reason    `json:"reason"`
	Usage     *Usage    `json:"usage"`
	Error     *Failure  `json:"error"`
	Version   int64     `json:"version,omitempty"` // absent if the message was deleted

	Model      string     `json:"model,omitempty"` // which answered: start's, or the fallback
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	Notices    []Notice   `json:"notices,omitempty"`
	ThinkingMS int64      `json:"thinking_ms,omitempty"`
}

// noticeEvent tells what an answer waits for before its first token. It has no seq
// and is not kept: who comes later is told again, or has no need to know.
type noticeEvent struct {
	Type      string    `json:"type"`
	MessageID MessageID `json:"message_id"`
	SessionID SessionID `json:"session_id"`
	Notice    Notice    `json:"notice"`
}

type messageEvent struct {
	Type    string  `json:"type"`
	Version int64   `json:"version"`
	Message Message `json:"message"`
}

type messageDeletedEvent struct {
	Type      string    `json:"type"`
	Version   int64     `json:"version"`
	SessionID SessionID `json:"session_id"`
	MessageID MessageID `json:"message_id"`
}

type sessionEvent struct {
	Type        string  `json:"type"`
	UserVersion int64   `json:"user_version"`
	Session     Session `json:"session"`
}

type sessionDeletedEvent struct {
	Type        string    `json:"type"`
	UserVersion int64     `json:"user_version"`
	SessionID   SessionID `json:"session_id"`
}

type presenceEvent struct {
	Type      string    `json:"type"`
	SessionID SessionID `json:"session_id"`
	Viewers   int       `json:"viewers"`
}

type versionEvent struct {
	Type      string    `json:"type"`
	SessionID SessionID `json:"session_id,omitempty"`
	UserID    UserID    `json:"user_id,omitempty"`
	Version   int64     `json:"version"`
}

type readyEvent struct {
	Type        string `json:"type"`
	UserID      UserID `json:"user_id"`
	UserVersion int64  `json:"user_version"`
}

type ackEvent struct {
	Type      string    `json:"type"`
	Ref       int64     `json:"ref"`
	Version   int64     `json:"version,omitempty"`
	SessionID SessionID `json:"session_id,omitempty"`
	MessageID MessageID `json:"message_id,omitempty"`
	AnswerID  MessageID `json:"answer_id,omitempty"`
}

type errorEvent struct {
	Type   string `json:"type"`
	Ref    int64  `json:"ref"`
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
}

// encode turns one of the event structs above into JSON.
func encode(event any) []byte {
	b, err := json.Marshal(event)
	if err != nil { // only strings, numbers and times: cannot fail
		panic("hub: encode event: " + err.Error())
	}
	return b
}

// appendDelta adds a delta's JSON to dst. A from below 0 stands for seq-1, a
// single event's, and is left out. It allocates only to grow dst.
func appendDelta(dst []byte, id MessageID, from, seq int64, reasoning bool, text []byte) []byte {
	dst = append(dst, `{"type":"delta","message_id":"`...)
	dst = append(dst, id...)
	dst = append(dst, '"')
	if from >= 0 {
		dst = append(dst, `,"from":`...)
		dst = strconv.AppendInt(dst, from, 10)
	}
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendInt(dst, seq, 10)
	if reasoning {
		dst = append(dst, `,"reasoning":`...)
	} else {
		dst = append(dst, `,"text":`...)
	}
	dst = append(dst, '"')
	dst = AppendEscaped(dst, text)
	return append(dst, `"}`...)
}

// AppendEscaped adds valid UTF-8 to a JSON string (RFC 8259, section 7).
func AppendEscaped[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789abcdef"
	done := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, s[done:]...)
}

// clean makes text fit for every database and every client: valid UTF-8
// without U+0000. Nearly all text comes back as it is.
func clean(s string) string {
	ok := utf8.ValidString(s)
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] != 0
	}
	if ok {
		return s
	}
	out := make([]rune, 0, len(s))
	for _, r := range s { // a broken byte ranges as U+FFFD
		if r != 0 {
			out = append(out, r)
		}
	}
	return string(out)
}
