package hub

import "time"

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

// Usage is what an answer cost, in tokens, as the provider reports it.
type Usage struct {
	InputTokens     int64 `json:"input_tokens"`
	OutputTokens    int64 `json:"output_tokens"`
	CachedTokens    int64 `json:"cached_tokens,omitempty"`
	ReasoningTokens int64 `json:"reasoning_tokens,omitempty"`
}

// Failure is why an answer failed, as everyone may see it.
type Failure struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
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
	Seq          int64       `json:"seq"`     // of the last event; content is of that moment
	Version      int64       `json:"version"` // the session's, at the last change
	CreatedAt    time.Time   `json:"created_at"`
	FinishedAt   *time.Time  `json:"finished_at"`

	Added int64 `json:"-"` // the session's version when it was added: the order of messages
	Epoch int64 `json:"-"` // fences owners: each takeover raises it
}

// MessageChanges is what changed in a session after a version of it.
type MessageChanges struct {
	Items   []Message   `json:"items"` // in the order they were added
	Deleted []MessageID `json:"deleted"`
	Version int64       `json:"version"` // the session's
}
