package hub

import (
	"encoding/json"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// MessageRole is who speaks.
type MessageRole string

// The roles of a message.
const (
	RoleOfUser      MessageRole = "user"
	RoleOfAssistant MessageRole = "assistant"
	RoleOfSystem    MessageRole = "system"
)

// Status is where a message stands.
type Status string

// A message is streaming until its one end.
const (
	StatusStreaming   Status = "streaming"
	StatusComplete    Status = "complete"
	StatusStopped     Status = "stopped"     // by a person
	StatusInterrupted Status = "interrupted" // its owner died
	StatusError       Status = "error"
)

// Reason is why an answer ended.
type Reason string

// The reasons of a finish event.
const (
	ReasonStop          Reason = "stop"
	ReasonLength        Reason = "length"
	ReasonContentFilter Reason = "content_filter"
	ReasonToolCalls     Reason = "tool_calls"
	ReasonStopped       Reason = "stopped"
	ReasonInterrupted   Reason = "interrupted"
	ReasonError         Reason = "error"
)

// Status returns the status of a message that ended for r.
func (r Reason) Status() Status {
	switch r {
	case ReasonStopped:
		return StatusStopped
	case ReasonInterrupted:
		return StatusInterrupted
	case ReasonError:
		return StatusError
	}
	return StatusComplete
}

// ToolCall is a call of a tool that a model wanted made.
type ToolCall struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // JSON, as the model wrote it
}

// Notice tells of an answer what a person should know: that the conversation
// was cut, or that another model answered.
type Notice struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
}

// Codes of notices.
const (
	NoticeContextCut   Code = "context_cut"   // the oldest messages were left out
	NoticeImagesLeft   Code = "images_left"   // images were left out: the model or its provider cannot take them, or they are too many
	NoticeFallback     Code = "fallback"      // the model asked for failed; another one answered
	NoticeFallbackFail Code = "fallback_fail" // and the other one failed, too
	NoticeLoading      Code = "model_loading" // the model had to be loaded first
	NoticeInputShort   Code = "input_short"   // the server read much less than it was sent
)

// Failure is why an answer failed, as everyone may see it.
type Failure struct {
	Code       Code   `json:"code"`
	Detail     string `json:"detail"`
	RetryAfter int64  `json:"retry_after,omitempty"` // seconds to wait, if the provider said
}

// Message is one turn. Messages form a tree through ParentID.
type Message struct {
	ID           MessageID   `json:"id"`
	SessionID    SessionID   `json:"session_id"`
	ParentID     *MessageID  `json:"parent_id"` // nil at a root
	Role         MessageRole `json:"role"`
	Content      string      `json:"content"`
	Reasoning    string      `json:"reasoning"`
	Status       Status      `json:"status"`
	FinishReason *Reason     `json:"finish_reason"` // nil while streaming and for what no model wrote
	Provider     string      `json:"provider"`
	Model        string      `json:"model"` // "provider/model"
	Usage        *Usage      `json:"usage"`
	Error        *Failure    `json:"error"`
	Seq          int64       `json:"seq"` // of the last event; content is of that moment
	Files        []File      `json:"attachments"`
	Parts        []Part      `json:"parts,omitzero"`       // of an answer: content and reasoning, in their order, and calls
	ToolCalls    []ToolCall  `json:"tool_calls,omitempty"` // the calls among the parts
	Notices      []Notice    `json:"notices,omitempty"`
	ThinkingMS   int64       `json:"thinking_ms,omitempty"` // from the first thinking to the first text
	Version      int64       `json:"version"`               // the session's, at the last change
	CreatedAt    time.Time   `json:"created_at"`
	FinishedAt   *time.Time  `json:"finished_at"`

	Added int64 `json:"-"` // the session's version when it was added: the order of messages
	Epoch int64 `json:"-"` // fences owners: each takeover raises it

	Opaque []json.RawMessage `json:"-"` // what the provider wants replayed
}

// say puts what an answer says into the message.
func (m *Message) say(s Said) {
	m.Content, m.Reasoning, m.Parts, m.ToolCalls = s.Content, s.Reasoning, s.Parts, toolCalls(s.Parts)
}

// sayLog puts what a log has of an answer in flight into the message.
func (m *Message) sayLog(c eventlog.Content) {
	said, notices := saidIn(c)
	m.say(said)
	m.Notices, m.Seq = notices, c.Seq
}

// MessageChanges is what changed in a session after a version of it.
type MessageChanges struct {
	Items   []Message     `json:"items"` // in the order they were added
	Deleted []MessageID   `json:"deleted"`
	Version int64         `json:"version"` // the session's
	Pages   []MessagePage `json:"-"`       // of the items, where these are read later
}

// MessagePage names messages that are read together: those of a session that were
// added from one of its versions to another, and changed after a third.
type MessagePage struct {
	First, Last int64
	After       int64
}
