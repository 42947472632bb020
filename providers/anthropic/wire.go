package anthropic

import (
	"cmp"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
)

type request struct {
	Model        string        `json:"model"`
	MaxTokens    int           `json:"max_tokens"`
	Stream       bool          `json:"stream"`
	System       []block       `json:"system,omitempty"`
	Messages     []message     `json:"messages"`
	Temperature  *float64      `json:"temperature,omitempty"`
	TopP         *float64      `json:"top_p,omitempty"`
	Thinking     *thinking     `json:"thinking,omitempty"`
	OutputConfig *outputConfig `json:"output_config,omitempty"`
}

type message struct {
	Role    hub.MessageRole `json:"role"`
	Content []any           `json:"content"` // blocks, and those replayed as they came
}

type block struct {
	Type         string        `json:"type"`
	Text         string        `json:"text,omitempty"`
	Source       *source       `json:"source,omitempty"`
	CacheControl *cacheControl `json:"cache_control,omitempty"`
}

type source struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type"`
	Data      []byte `json:"data"` // encoding/json writes base64
}

type cacheControl struct {
	Type string `json:"type"`
}

type thinking struct {
	Type    string `json:"type"`
	Budget  int    `json:"budget_tokens,omitempty"`
	Display string `json:"display,omitempty"`
}

type outputConfig struct {
	Effort string `json:"effort"`
}

var (
	old      = regexp.MustCompile(`^claude-(2|instant|3-[05]?-?(opus|sonnet|haiku)|3-5)`)               // no thinking
	budgeted = regexp.MustCompile(`^claude-(3-7|(opus|sonnet|haiku)-4(-[0-5])?(-latest|-\d{8}|@.*)?$)`) // thinking by a number of tokens
	sampled  = regexp.MustCompile(`^claude-(opus|sonnet)-4-6`)                                          // the last ones that take a temperature
)

// budgets are how many tokens an effort may think.
var budgets = map[string]int{"low": 2048, "medium": 8192, "high": 24576}

// limits are how many tokens a model may answer, thinking included, where that
// is less than we ask for.
func limit(model string) int {
	switch {
	case strings.HasPrefix(model, "claude-3-5"):
		return 8192
	case old.MatchString(model):
		return 4096
	case strings.HasPrefix(model, "claude-opus-4-2"), strings.HasPrefix(model, "claude-opus-4-0"), strings.HasPrefix(model, "claude-opus-4-1"):
		return 32000
	}
	return 64000
}

// answerTokens is room for the longest answers people read; the API wants a
// number, and refuses one that does not fit beside the conversation.
const answerTokens = 16384

func newRequest(p hub.Prompt) request {
	r := request{Model: p.Model, MaxTokens: answerTokens, Stream: true, Temperature: p.Temperature, TopP: p.TopP}
	if p.MaxTokens != nil {
		r.MaxTokens = *p.MaxTokens
	}
	r.think(p.ReasoningEffort)
	r.MaxTokens = min(r.MaxTokens, limit(p.Model))
	if r.Temperature != nil {
		r.TopP = nil // newer models refuse both at once
	}
	cached := &cacheControl{Type: "ephemeral"}
	for _, t := range p.Turns {
		if t.Role == hub.RoleOfSystem {
			if t.Content != "" {
				r.System = append(r.System, block{Type: "text", Text: t.Content})
			}
			continue
		}
		if m := newMessage(t); len(m.Content) > 0 {
			r.Messages = append(r.Messages, m)
		}
	}
	if n := len(r.System); n > 0 {
		r.System[n-1].CacheControl = cached
	}
	if n := len(r.Messages); n > 0 {
		content := r.Messages[n-1].Content
		if b, ok := content[len(content)-1].(block); ok {
			b.CacheControl = cached
			content[len(content)-1] = b
		}
	}
	return r
}

// think sets an effort the way the model takes it. With it, and for the newest
// models always, any temperature is refused.
func (r *request) think(effort string) {
	budget := budgets[effort]
	switch {
	case old.MatchString(r.Model):
		return
	case effort == hub.EffortOff:
		if !budgeted.MatchString(r.Model) && strings.HasPrefix(r.Model, "claude-") {
			r.Thinking = &thinking{Type: "disabled"} // without a word the newest may think
			if !sampled.MatchString(r.Model) {
				r.Temperature, r.TopP = nil, nil
			}
		}
		return
	case budgeted.MatchString(r.Model), !strings.HasPrefix(r.Model, "claude-"):
		if budget == 0 {
			return
		}
		budget = min(budget, limit(r.Model)/2)
		r.Thinking = &thinking{Type: "enabled", Budget: budget}
	case effort != "":
		// Unless asked to sum it up, the newest think in secret.
		r.Thinking = &thinking{Type: "adaptive", Display: "summarized"}
		r.OutputConfig = &outputConfig{Effort: effort}
	case sampled.MatchString(r.Model):
		return
	}
	r.MaxTokens += budget // MaxTokens is of the answer; theirs is of both
	r.Temperature, r.TopP = nil, nil
}

// newMessage is a turn: what is to be replayed, images, text. Empty blocks are
// refused, so a turn without text says nothing.
func newMessage(t hub.Turn) message {
	m := message{Role: t.Role}
	for _, img := range t.Images {
		m.Content = append(m.Content, block{Type: "image", Source: &source{Type: "base64", MediaType: img.MediaType, Data: img.Data}})
	}
	if strings.TrimSpace(t.Content) == "" {
		return m
	}
	if t.Role == hub.RoleOfAssistant {
		for _, raw := range t.Opaque {
			m.Content = append(m.Content, raw)
		}
	}
	m.Content = append(m.Content, block{Type: "text", Text: t.Content})
	return m
}

// event is any event of an answer.
type event struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`
	Message struct {
		Usage usage `json:"usage"`
	} `json:"message"`
	ContentBlock json.RawMessage `json:"content_block"`
	Delta        struct {
		Type        string `json:"type"`
		Text        string `json:"text"`
		Thinking    string `json:"thinking"`
		Signature   string `json:"signature"`
		PartialJSON string `json:"partial_json"`
		StopReason  string `json:"stop_reason"`
	} `json:"delta"`
	Usage usage           `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// usage counts from the start; what an event leaves out is unchanged.
type usage struct {
	Input         *int64 `json:"input_tokens"`
	CacheCreation *int64 `json:"cache_creation_input_tokens"`
	CacheRead     *int64 `json:"cache_read_input_tokens"`
	Output        *int64 `json:"output_tokens"`
	Details       struct {
		Thinking *int64 `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
}

// started is the start of a content block.
type started struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	Signature string          `json:"signature"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
}

// thought is a whole thinking block. Its text must come back as it was.
type thought struct {
	Type      string `json:"type"`
	Thinking  string `json:"thinking"`
	Signature string `json:"signature"`
}

// decoder turns the events of one answer into deltas.
type decoder struct {
	same    wire.Same // of deltas of text
	event   event
	open    *thought        // the block that is being thought
	hidden  json.RawMessage // the redacted block that is open
	text    strings.Builder // of open
	tools   int             // calls so far
	args    bool            // the open call has arguments
	input   json.RawMessage // of the open call, as its start has them
	usage   usage
	counted bool
	stop    string
	whole   bool // message_stop was seen
}

func newDecoder() wire.Decoder { return &decoder{} }

// Event is wire.Decoder's.
func (d *decoder) Event(e wire.Event, tell wire.Tell) (last bool, err error) {
	if text, ok := d.same.Match(e); ok {
		return !tell(hub.Delta{Text: text}), nil
	}
	d.event = event{}
	v := &d.event
	if err := e.Decode(v, &v.Error); err != nil {
		return false, err
	}
	switch v.Type {
	case "message_start":
		d.count(v.Message.Usage)
	case "content_block_start":
		return false, d.start(v.ContentBlock, tell)
	case "content_block_delta":
		if v.Delta.Type == "text_delta" && v.Delta.Text != "" {
			d.same.Learn(e, "text", v.Delta.Text)
		}
		d.delta(tell)
	case "content_block_stop":
		d.close(tell)
	case "message_delta":
		d.count(v.Usage)
		if v.Delta.StopReason != "" {
			d.stop = v.Delta.StopReason
		}
	case "message_stop":
		d.whole = true
		return true, nil
	}
	return false, nil
}

func (d *decoder) start(raw json.RawMessage, tell wire.Tell) error {
	var b started
	if err := json.Unmarshal(raw, &b); err != nil {
		return wire.Fail(hub.CodeProviderError, errors.New("a block without a start"))
	}
	switch b.Type {
	case "text":
		tell(hub.Delta{Text: b.Text})
	case "thinking":
		d.open = &thought{Type: b.Type, Signature: b.Signature}
		d.text.Reset()
		d.text.WriteString(b.Thinking)
		tell(hub.Delta{Reasoning: b.Thinking})
	case "redacted_thinking":
		d.hidden = raw
	case "tool_use", "server_tool_use":
		d.tools++
		d.args, d.input = false, b.Input
		tell(hub.Delta{Tool: &hub.ToolDelta{Index: d.tools - 1, ID: b.ID, Name: b.Name}})
	}
	return nil
}

func (d *decoder) delta(tell wire.Tell) {
	switch b := &d.event.Delta; b.Type {
	case "text_delta":
		tell(hub.Delta{Text: b.Text})
	case "thinking_delta":
		d.text.WriteString(b.Thinking)
		tell(hub.Delta{Reasoning: b.Thinking})
	case "signature_delta":
		if d.open != nil {
			d.open.Signature += b.Signature
		}
	case "input_json_delta":
		if b.PartialJSON != "" && d.tools > 0 {
			d.args = true
			tell(hub.Delta{Tool: &hub.ToolDelta{Index: d.tools - 1, Arguments: b.PartialJSON}})
		}
	}
}

// close ends a block. Thinking without a signature would be refused.
func (d *decoder) close(tell wire.Tell) {
	switch {
	case d.open != nil:
		if d.open.Signature != "" {
			d.open.Thinking = d.text.String()
			if raw, err := json.Marshal(d.open); err == nil { // strings only
				tell(hub.Delta{Opaque: raw})
			}
		}
		d.open = nil
	case d.hidden != nil:
		tell(hub.Delta{Opaque: d.hidden})
		d.hidden = nil
	case d.input != nil:
		if !d.args && string(d.input) != "{}" {
			tell(hub.Delta{Tool: &hub.ToolDelta{Index: d.tools - 1, Arguments: string(d.input)}})
		}
		d.input = nil
	}
}

func (d *decoder) count(u usage) {
	for _, c := range []struct{ have, got **int64 }{
		{&d.usage.Input, &u.Input}, {&d.usage.CacheCreation, &u.CacheCreation}, {&d.usage.CacheRead, &u.CacheRead},
		{&d.usage.Output, &u.Output}, {&d.usage.Details.Thinking, &u.Details.Thinking},
	} {
		if *c.got != nil {
			*c.have = *c.got
			d.counted = true
		}
	}
}

// End is wire.Decoder's.
func (d *decoder) End(tell wire.Tell) error {
	if d.stop == "" && !d.whole {
		return wire.Fail(hub.CodeProviderTruncated, errors.New("no stop_reason and no message_stop"))
	}
	finish := hub.Delta{Finish: reason(d.stop)}
	if d.counted {
		n := func(p *int64) int64 {
			if p == nil {
				return 0
			}
			return *p
		}
		u := &d.usage
		finish.Usage = &hub.Usage{
			InputTokens:  n(u.Input) + n(u.CacheCreation) + n(u.CacheRead),
			OutputTokens: n(u.Output), CachedTokens: n(u.CacheRead), ReasoningTokens: n(u.Details.Thinking),
		}
	}
	tell(finish)
	return nil
}

// reason maps stop_reason. What pauses may go on, as what is cut may.
func reason(s string) hub.Reason {
	switch s {
	case "max_tokens", "model_context_window_exceeded", "pause_turn":
		return hub.ReasonLength
	case "refusal":
		return hub.ReasonContentFilter
	case "tool_use":
		return hub.ReasonToolCalls
	}
	return hub.ReasonStop
}

// page is a part of the list of models.
// models are those of a page of the list.
func models(page []wire.Hints) []hub.Model {
	var list []hub.Model
	for _, m := range page {
		id := m.Text("id")
		if id == "" || m.Text("lifecycle") == "retired" {
			continue
		}
		out := hub.Model{ID: id, Name: cmp.Or(m.Text("display_name"), id), Context: m.Number("max_input_tokens"), Reasoning: !old.MatchString(id)}
		if can := m.Of("capabilities"); can != nil {
			supported := func(name string) bool { yes := can.Of(name).Bool("supported"); return yes != nil && *yes }
			sees := supported("image_input")
			out.Vision, out.Reasoning = &sees, supported("thinking") || supported("effort")
			out.Thoughtless = !out.Reasoning
		}
		list = append(list, out)
	}
	return list
}
