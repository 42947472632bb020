package hub

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// Kind is what a part of an answer is.
type Kind string

// The kinds of parts.
const (
	KindText      Kind = "text"
	KindReasoning Kind = "reasoning"
	KindCall      Kind = "call"
)

// A Part is a stretch of an answer of one kind.
type Part struct {
	Type Kind   `json:"type"`
	Text string `json:"text,omitempty"` // of text and reasoning
	MS   int64  `json:"ms,omitempty"`   // how long the reasoning took, in milliseconds; 0: unknown
	Call *Call  `json:"call,omitempty"`
}

// A Call is one use of a tool, from the model's first word of it to its result.
type Call struct {
	ID        string      `json:"id"` // unique within the answer
	Tool      string      `json:"tool"`
	Title     string      `json:"title"`
	Arguments string      `json:"arguments"` // JSON, as the model wrote it
	Status    CallStatus  `json:"status"`
	Wait      *Wait       `json:"wait"`
	Result    *CallResult `json:"result"`
	Error     *Failure    `json:"error"`
	StartedAt time.Time   `json:"started_at"`
	EndedAt   *time.Time  `json:"ended_at"`
}

// CallStatus is where a call stands.
type CallStatus string

// The states of a call.
const (
	CallWriting CallStatus = "writing" // the model writes the arguments
	CallWaiting CallStatus = "waiting" // for a person
	CallRunning CallStatus = "running"
	CallDone    CallStatus = "done"
	CallFailed  CallStatus = "failed"
	CallDenied  CallStatus = "denied"
	CallUnknown CallStatus = "unknown" // its owner died, and nobody knows whether it took effect
)

// ended says whether the call goes no further.
func (c *Call) ended() bool {
	return c.Status != CallWriting && c.Status != CallWaiting && c.Status != CallRunning
}

// read is what the model reads of how the call ended.
func (c *Call) read() string {
	switch {
	case c.Result != nil:
		return c.Result.Text
	case c.Error != nil:
		return c.Error.Detail
	}
	return ""
}

// Wait is what a call waits for.
type Wait struct {
	For    string          `json:"for"` // consent, question or sign_in
	Text   string          `json:"text"`
	Schema json.RawMessage `json:"schema"` // of the answer to a question
	URL    *string         `json:"url"`    // where to sign in
}

// CallResult is what a tool said, as the model reads it.
type CallResult struct {
	Text  string `json:"text"`
	Bytes int64  `json:"bytes"` // of the whole result
	Cut   bool   `json:"cut"`   // Text is not all of it
	Files []File `json:"attachments"`
}

// Said is what an answer says: its text and its reasoning, each joined, and the parts
// that they come from, in order.
type Said struct {
	Content   string
	Reasoning string
	Parts     []Part
}

// saidIn is what a log's content says. Its notices are returned beside it. What cannot be
// read of it, as a later version may have written it, is left out.
func saidIn(c eventlog.Content) (Said, []Notice) {
	s := Said{Content: c.Of(eventlog.Text), Reasoning: c.Of(eventlog.Reasoning), Parts: make([]Part, 0, len(c.Parts))}
	content, reasoning := s.Content, s.Reasoning
	for _, p := range c.Parts {
		n := len(p.Text)
		switch p.Kind {
		case eventlog.Text:
			s.Parts = append(s.Parts, Part{Type: KindText, Text: content[:n]})
			content = content[n:]
		case eventlog.Reasoning:
			s.Parts = append(s.Parts, Part{Type: KindReasoning, Text: reasoning[:n], MS: p.MS})
			reasoning = reasoning[n:]
		case eventlog.Call:
			var call Call
			if json.Unmarshal(p.Call, &call) == nil {
				s.Parts = append(s.Parts, Part{Type: KindCall, Call: &call})
			}
		}
	}
	var notices []Notice
	for _, b := range c.Notices {
		var n Notice
		if json.Unmarshal(b, &n) == nil {
			notices = append(notices, n)
		}
	}
	return s, notices
}

// contentOf is what a stored message says, as a log has it.
func contentOf(m Message) (c eventlog.Content) {
	for _, p := range m.Parts {
		switch p.Type {
		case KindCall:
			c.Parts = append(c.Parts, eventlog.Part{Kind: eventlog.Call, Call: encode(p.Call)})
		case KindReasoning:
			c.Parts = append(c.Parts, eventlog.Part{Kind: eventlog.Reasoning, Text: []byte(p.Text), MS: p.MS})
		default:
			c.Parts = append(c.Parts, eventlog.Part{Kind: eventlog.Text, Text: []byte(p.Text)})
		}
	}
	for _, n := range m.Notices {
		c.Notices = append(c.Notices, encode(n))
	}
	return c
}

// PlainParts are those of an answer that has thought first, if at all, then said its text,
// and then called tools.
func PlainParts(content, reasoning string, thinkingMS int64, calls []ToolCall) []Part {
	parts := []Part{}
	if reasoning != "" {
		parts = append(parts, Part{Type: KindReasoning, Text: reasoning, MS: thinkingMS})
	}
	if content != "" {
		parts = append(parts, Part{Type: KindText, Text: content})
	}
	for _, c := range calls {
		parts = append(parts, Part{Type: KindCall, Call: &Call{ID: c.ID, Tool: c.Name, Arguments: c.Arguments, Status: CallFailed, Error: noSuchTool}})
	}
	return parts
}

// noSuchTool is why a call failed that nobody could make.
var noSuchTool = &Failure{Code: CodeNoSuchTool, Detail: "There is no tool of this name here."}

// toolCalls are the calls among the parts, as they were before there were parts.
func toolCalls(parts []Part) (calls []ToolCall) {
	for _, p := range parts {
		if p.Call != nil {
			calls = append(calls, ToolCall{ID: p.Call.ID, Name: p.Call.Tool, Arguments: p.Call.Arguments})
		}
	}
	return calls
}

// sameParts says whether two answers say the same in the same parts, whatever is known of
// how long they thought.
func sameParts(a, b []Part) bool {
	return slices.EqualFunc(a, b, func(a, b Part) bool {
		if a.Call != nil && b.Call != nil {
			return slices.Equal(encode(a.Call), encode(b.Call))
		}
		return a.Type == b.Type && a.Text == b.Text && a.Call == b.Call
	})
}
