package hub

import "encoding/json"

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
// and is not kept: a viewer that comes later is told again, if it is still so.
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
