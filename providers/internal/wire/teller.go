package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/omnichat/omnichat/hub"
)

// Teller puts an answer together from what its events say, for all vendors in one
// way, and yields it as deltas while they are wanted. A text that is cut inside of
// a character, or that may turn out to begin a tag, waits for what follows.
//
// One goroutine uses it.
type Teller struct {
	yield func(hub.Delta, error) bool
	shown bool // something was yielded
	left  bool // the caller wants no more

	begun   bool      // an event of the answer has come, whatever it says
	signs   int       // how often one has said something
	counted hub.Usage // when one last said nothing else

	said    half // of the text
	thought half
	args    map[int]*half // of calls, by their index; made for the first that needs it
	opening opening
	closing closing
	length  int // of the text that was yielded, in bytes

	model    string // under which is remembered how its answers begin
	unopened *unopened
	thinks   bool // the vendor tells thinking in a field of its own

	calls   int    // so far
	finish  string // the vendor's reason, once there is one
	settled bool   // nothing was told since
	done    bool   // the vendor's mark of the end was seen
	odd     *apiError
}

// tell yields a delta, unless it is empty or no more are wanted.
func (t *Teller) tell(d hub.Delta) {
	if t.left || d.Text == "" && d.Reasoning == "" && d.Tool == nil && d.Past == "" && d.Opaque == nil && d.Usage == nil && d.Finish == "" {
		return
	}
	if d.Opaque == nil {
		t.settled = false // some servers give a reason with pieces that others follow
	}
	t.shown = true
	if d.Past == hub.KindReasoning {
		t.length = 0
	}
	t.length += len(d.Text)
	t.left = !t.yield(d, nil)
}

// Text tells some of the answer's text. Thinking that stands at its beginning in
// tags is told as such, and what ends with a tag that none has opened.
func (t *Teller) Text(s string) {
	if s != "" {
		t.signs++
	}
	t.text(t.said.join(s))
}

func (t *Teller) text(s string) {
	if t.opening.over {
		t.closing.read(s, t)
		return
	}
	t.opening.read(s, t)
}

// Think tells some of the thinking.
func (t *Teller) Think(s string) {
	if s != "" {
		t.signs++
		if !t.thinks {
			t.thinks = true
			t.closing.stop(t)
			t.unopened.forget(t.model)
		}
	}
	t.tell(hub.Delta{Reasoning: t.thought.join(s)})
}

// Say tells what a text has of both.
func (t *Teller) Say(x Text) {
	t.Think(x.Thought)
	t.Text(x.Said)
}

// Call tells a piece of the call with an index.
func (t *Teller) Call(c hub.ToolDelta) {
	if c.Arguments != "" || c.Index >= t.calls { // some servers repeat id and name with each piece
		t.signs++
	}
	t.calls = max(t.calls, c.Index+1)
	if t.args != nil || !utf8.ValidString(c.Arguments) {
		if t.args == nil {
			t.args = map[int]*half{}
		}
		if t.args[c.Index] == nil {
			t.args[c.Index] = new(half)
		}
		c.Arguments = t.args[c.Index].join(c.Arguments)
	}
	c.ID, c.Name = Whole(c.ID), Whole(c.Name)
	t.closing.settle(t)
	t.tell(hub.Delta{Tool: &c})
}

// Keep tells what is to be replayed as it is.
func (t *Teller) Keep(raw json.RawMessage) {
	t.signs++
	t.tell(hub.Delta{Opaque: bytes.ToValidUTF8(raw, []byte("\ufffd"))})
}

// Finish notes the vendor's reason for the end. More may follow: usage, or an end
// that a vendor repeats with every event.
func (t *Teller) Finish(reason string) {
	if reason != "" {
		t.finish, t.settled = reason, true
	}
}

// Done notes that the answer has ended, with a reason or without.
func (t *Teller) Done() { t.done = true }

// Ended says whether the answer has a reason for its end or a mark of it.
func (t *Teller) Ended() bool { return t.finish != "" || t.done }

// Begun says whether anything of the answer has come.
func (t *Teller) Begun() bool {
	return t.shown || t.opening.held != "" || t.opening.tag != "" || t.closing.held != ""
}

// Length is how many bytes of text there are so far.
func (t *Teller) Length() int {
	return t.length + len(t.opening.held) + len(t.closing.held) + len(t.said)
}

// event has a vendor's decoder read one event, unless it says nothing.
func (t *Teller) event(e Event, d Decoder) (last bool, err error) {
	if len(e.Data) == 0 || e.Data[0] != '{' || e.Name == "ping" {
		e.Data = bytes.TrimSpace(e.Data)
		switch {
		case isSign(e):
			return false, nil
		case isDone(e.Data):
			t.done = true
			return true, nil
		case e.Data[0] == '[':
			var list []json.RawMessage
			if json.Unmarshal(e.Data, &list) == nil {
				parts := make([][]byte, len(list))
				for i, part := range list {
					parts[i] = part
				}
				return t.events(e.Name, parts, d)
			}
		}
	}
	if bytes.IndexByte(e.Data, '\n') >= 0 && !json.Valid(e.Data) {
		return t.events(e.Name, bytes.Split(e.Data, []byte("\n")), d) // the empty lines between them were left out
	}
	t.begun = true
	last, err = d.Event(e, t)
	t.done = t.done || last
	if err == nil && t.odd == nil && !t.Begun() && !t.Ended() {
		t.odd = oddError(e.Data)
	}
	return last || t.left, err
}

// events reads several that came as one.
func (t *Teller) events(name string, list [][]byte, d Decoder) (last bool, err error) {
	for _, data := range list {
		if len(data) > 0 && data[0] == '[' && !isDone(data) {
			continue // no vendor has lists of lists
		}
		if last, err = t.event(Event{Name: name, Data: data}, d); last || err != nil {
			return last, err
		}
	}
	return false, nil
}

// isSign says whether an event is a sign of life: blank, a comment, or called so.
func isSign(e Event) bool {
	switch strings.ToLower(e.Name) {
	case "ping", "heartbeat", "keepalive", "keep-alive":
		return true
	case "error":
		return false
	}
	if len(e.Data) == 0 || e.Data[0] == ':' {
		return true
	}
	switch strings.ToLower(string(e.Data[:min(len(e.Data), 12)])) {
	case "ping", "heartbeat", "keepalive", "keep-alive":
		return true
	}
	return false
}

// isDone says whether data is the mark of the end that OpenAI's format has, and
// others take over.
func isDone(data []byte) bool {
	word := bytes.Trim(data, "\"' \t")
	return len(word) < 9 && (bytes.EqualFold(word, []byte("[DONE]")) || bytes.EqualFold(word, []byte("DONE")))
}

// end tells what is still to be told when no more events come, and the finish: or
// it says why the answer is not whole. failed is why its reading ended, nil for the
// end of the response.
func (t *Teller) end(d Decoder, failed error) error {
	if t.left {
		return failed
	}
	if t.settled && passing(failed) {
		failed = nil // the answer had ended
	}
	if failed == nil {
		d.End(t)
	}
	t.text(t.said.end())
	t.opening.end(t)
	t.tell(hub.Delta{Reasoning: t.thought.end()})
	for i, h := range t.args {
		t.tell(hub.Delta{Tool: &hub.ToolDelta{Index: i, Arguments: h.end()}})
	}
	var why hub.Reason
	if failed == nil {
		why, failed = t.reason()
	}
	usage := d.Usage()
	if failed != nil {
		if usage != nil && t.shown {
			t.tell(hub.Delta{Usage: usage})
		}
		return failed
	}
	t.closing.stop(t)
	t.tell(hub.Delta{Finish: why, Usage: usage})
	return nil
}

// passing says whether a failure is none once the answer has ended: the connection
// broke or fell silent, or what it sent is nothing that can be read.
func passing(failed error) bool {
	switch hub.CodeOf(failed) {
	case hub.CodeProviderTruncated, hub.CodeProviderTimeout:
		return true
	}
	return errors.Is(failed, errMalformed)
}

// reason is why the answer ended.
func (t *Teller) reason() (hub.Reason, error) {
	word := strings.ToLower(strings.TrimSpace(t.finish))
	word = strings.ReplaceAll(word[strings.LastIndexByte(word, '.')+1:], "-", "_")
	why, known := reasons[word]
	switch {
	case !t.shown && t.finish == "" && t.odd != nil:
		return "", inBand(*t.odd)
	case !t.Ended():
		return "", Fail(hub.CodeProviderTruncated, errors.New("neither a reason for the end nor a mark of it"))
	case known && why.failure != "" && (why.always || !t.shown):
		return "", Fail(why.failure, errors.New("the answer ended with "+t.finish))
	case why.reason == "" && t.calls > 0, why.reason == hub.ReasonStop && t.calls > 0:
		return hub.ReasonToolCalls, nil
	case why.reason == "":
		return hub.ReasonStop, nil
	}
	return why.reason, nil
}

// ending is what a vendor's word for the end means.
type ending struct {
	reason  hub.Reason // stop if empty
	failure hub.Code   // of one that is no end of an answer
	always  bool       // also after a text
}

// reasons are the words of all vendors, since each is spoken through proxies of
// others, too. Those that are not named mean stop.
var reasons = map[string]ending{
	"length": {reason: hub.ReasonLength}, "max_tokens": {reason: hub.ReasonLength}, "model_length": {reason: hub.ReasonLength},
	"max_output_tokens": {reason: hub.ReasonLength}, "max_completion_tokens": {reason: hub.ReasonLength}, "max_length": {reason: hub.ReasonLength},
	"model_context_window_exceeded": {reason: hub.ReasonLength}, "context_length_exceeded": {reason: hub.ReasonLength},
	"pause_turn": {reason: hub.ReasonLength}, // what pauses may go on, as what is cut may

	"content_filter": {reason: hub.ReasonContentFilter}, "content_filtered": {reason: hub.ReasonContentFilter},
	"sensitive": {reason: hub.ReasonContentFilter}, "refusal": {reason: hub.ReasonContentFilter}, "safety": {reason: hub.ReasonContentFilter},
	"recitation": {reason: hub.ReasonContentFilter}, "prohibited_content": {reason: hub.ReasonContentFilter}, "blocklist": {reason: hub.ReasonContentFilter},
	"spii": {reason: hub.ReasonContentFilter}, "language": {reason: hub.ReasonContentFilter}, "model_armor": {reason: hub.ReasonContentFilter},
	"image_safety": {reason: hub.ReasonContentFilter}, "image_prohibited_content": {reason: hub.ReasonContentFilter}, "image_recitation": {reason: hub.ReasonContentFilter},
	"guardrail_intervened": {reason: hub.ReasonContentFilter}, "error_toxic": {reason: hub.ReasonContentFilter},

	"tool_calls": {reason: hub.ReasonToolCalls}, "function_call": {reason: hub.ReasonToolCalls}, "tool_use": {reason: hub.ReasonToolCalls},
	"tool_call": {reason: hub.ReasonToolCalls},

	"insufficient_system_resource": {failure: hub.CodeProviderOverloaded, always: true},
	"error":                        {failure: hub.CodeProviderError, always: true}, "network_error": {failure: hub.CodeProviderError, always: true},
	"abort": {failure: hub.CodeProviderError, always: true},
	// Gemini's, of calls that it did not get right.
	"malformed_function_call": {failure: hub.CodeProviderError}, "unexpected_tool_call": {failure: hub.CodeProviderError},
	"too_many_tool_calls": {failure: hub.CodeProviderError}, "malformed_response": {failure: hub.CodeProviderError},
}

// oddError is the error that an event tells in none of the forms for one, nil if
// it is none. It counts only where no answer comes.
func oddError(data []byte) *apiError {
	var o struct {
		Code     Text            `json:"code"`
		Status   Text            `json:"status"`
		Message  json.RawMessage `json:"message"`
		Msg      json.RawMessage `json:"msg"`
		Detail   json.RawMessage `json:"detail"`
		ErrorMsg json.RawMessage `json:"error_msg"`
		Errors   json.RawMessage `json:"errors"`
		Base     struct {
			Message json.RawMessage `json:"status_msg"`
		} `json:"base_resp"`
	}
	if Unmarshal(data, &o) != nil {
		return nil
	}
	for _, raw := range []json.RawMessage{o.Message, o.Msg, o.Detail, o.ErrorMsg, o.Errors, o.Base.Message} {
		said := plain(raw)
		if said == "" || said == "null" || said == "[]" || said[0] == '{' {
			continue
		}
		return &apiError{Message: said, words: strings.ToLower(said + " " + o.Code.Said + " " + o.Status.Said)}
	}
	return nil
}
