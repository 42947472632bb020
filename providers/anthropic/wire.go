package anthropic

import (
	"cmp"
	"encoding/json"
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

// event is any event of an answer, or an answer that came whole.
type event struct {
	wire.Head
	Index        wire.Count      `json:"index"`
	Message      whole           `json:"message"`
	ContentBlock json.RawMessage `json:"content_block"`
	Delta        struct {
		Type        string         `json:"type"`
		Text        wire.Text      `json:"text"`
		Thinking    wire.Text      `json:"thinking"`
		Signature   string         `json:"signature"`
		PartialJSON wire.Arguments `json:"partial_json"`
		StopReason  string         `json:"stop_reason"`
	} `json:"delta"`
	whole
}

// whole is a message. That of message_start has nothing but the usage.
type whole struct {
	Content    json.RawMessage `json:"content"`
	StopReason string          `json:"stop_reason"`
	Usage      usage           `json:"usage"`
}

// usage counts from the start; what an event leaves out is unchanged.
type usage struct {
	Input         wire.Count `json:"input_tokens"`
	CacheCreation wire.Count `json:"cache_creation_input_tokens"`
	CacheRead     wire.Count `json:"cache_read_input_tokens"`
	Output        wire.Count `json:"output_tokens"`
	Details       struct {
		Thinking wire.Count `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
}

// started is the start of a content block, or all of it.
type started struct {
	Type      string         `json:"type"`
	Text      wire.Text      `json:"text"`
	Thinking  wire.Text      `json:"thinking"`
	Signature string         `json:"signature"`
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Input     wire.Arguments `json:"input"`
}

// thought is a whole thinking block. Its text must come back as it was.
type thought struct {
	Type      string `json:"type"`
	Thinking  string `json:"thinking"`
	Signature string `json:"signature"`
}

// decoder turns the events of one answer into deltas.
type decoder struct {
	same   wire.Same // of deltas of text
	event  event
	open   *thought        // the block that is being thought
	hidden json.RawMessage // the redacted block that is open
	text   strings.Builder // of open
	tools  int             // calls so far
	call   bool            // one is open
	args   bool            // it has arguments
	input  string          // of it, as its start has them
	usage  usage
	whole  json.RawMessage // the content of an answer that came whole, in case that no deltas come
}

func newDecoder() wire.Decoder { return &decoder{} }

// Event is wire.Decoder's.
func (d *decoder) Event(e wire.Event, t *wire.Teller) (last bool, err error) {
	if text, ok := d.same.Match(e); ok {
		t.Text(text)
		return false, nil
	}
	d.event = event{}
	v := &d.event
	if err := e.Decode(v, &v.Head); err != nil {
		return false, err
	}
	d.usage.raise(&v.Message.Usage)
	d.usage.raise(&v.Usage)
	switch cmp.Or(v.Type, e.Name) {
	case "message_start":
		d.whole = v.Message.Content
	case "message": // the request was answered as if it had asked for no stream
		d.whole = v.Content
		t.Finish(v.StopReason)
		t.Done()
	case "content_block_start":
		d.start(v.ContentBlock, t)
	case "content_block_delta":
		if v.Delta.Type == "text_delta" && v.Delta.Text.Said != "" {
			d.same.Learn(e, "text", v.Delta.Text.Said)
		}
		d.delta(t)
	case "content_block_stop":
		d.close(t)
	case "message_delta":
		t.Finish(cmp.Or(v.Delta.StopReason, v.StopReason))
	case "message_stop":
		return true, nil
	}
	return false, nil
}

// start begins a block. The server's own tools are not the caller's to make.
func (d *decoder) start(raw json.RawMessage, t *wire.Teller) {
	var b started
	if wire.Unmarshal(raw, &b) != nil {
		return // a block of no type
	}
	switch b.Type {
	case "text":
		t.Say(b.Text)
	case "thinking":
		d.open = &thought{Type: b.Type, Signature: b.Signature}
		d.text.Reset()
		d.think(b.Thinking, t)
	case "redacted_thinking":
		d.hidden = raw
	case "tool_use":
		d.tools++
		d.call, d.args, d.input = true, false, string(b.Input)
		t.Call(hub.ToolDelta{Index: d.tools - 1, ID: b.ID, Name: b.Name})
	}
}

func (d *decoder) think(x wire.Text, t *wire.Teller) {
	d.text.WriteString(x.Said + x.Thought)
	t.Think(x.Said + x.Thought)
}

// delta goes by what it has: some servers leave its type out.
func (d *decoder) delta(t *wire.Teller) {
	b := &d.event.Delta
	t.Say(b.Text)
	d.think(b.Thinking, t)
	if d.open != nil {
		d.open.Signature += b.Signature
	}
	if b.PartialJSON != "" && d.call {
		d.args = true
		t.Call(hub.ToolDelta{Index: d.tools - 1, Arguments: string(b.PartialJSON)})
	}
}

// close ends a block. Thinking without a signature would be refused.
func (d *decoder) close(t *wire.Teller) {
	switch {
	case d.open != nil:
		if d.open.Signature != "" {
			d.open.Thinking = wire.Whole(d.text.String())
			if raw, err := json.Marshal(d.open); err == nil { // strings only
				t.Keep(raw)
			}
		}
		d.open = nil
	case d.hidden != nil:
		t.Keep(d.hidden)
		d.hidden = nil
	case d.call:
		if !d.args && d.input != "{}" {
			t.Call(hub.ToolDelta{Index: d.tools - 1, Arguments: d.input})
		}
		d.call = false
	}
}

// raise takes the greater of each count: some proxies end with zeros.
func (u *usage) raise(v *usage) {
	for _, c := range [][2]*wire.Count{
		{&u.Input, &v.Input}, {&u.CacheCreation, &v.CacheCreation}, {&u.CacheRead, &v.CacheRead},
		{&u.Output, &v.Output}, {&u.Details.Thinking, &v.Details.Thinking},
	} {
		c[0].Raise(*c[1])
	}
}

// End is wire.Decoder's.
func (d *decoder) End(t *wire.Teller) {
	if d.whole == nil || t.Begun() {
		return
	}
	var blocks []json.RawMessage
	if wire.Unmarshal(d.whole, &blocks) != nil || len(blocks) == 0 {
		var text wire.Text
		if wire.Unmarshal(d.whole, &text) == nil {
			t.Say(text)
		}
		return
	}
	for _, raw := range blocks {
		d.start(raw, t)
		d.close(t)
	}
}

// Usage is wire.Decoder's.
func (d *decoder) Usage() *hub.Usage {
	u := &d.usage
	if !u.Input.Known && !u.CacheCreation.Known && !u.CacheRead.Known && !u.Output.Known {
		return nil
	}
	return &hub.Usage{
		InputTokens:  u.Input.N + u.CacheCreation.N + u.CacheRead.N,
		OutputTokens: u.Output.N, CachedTokens: u.CacheRead.N, ReasoningTokens: u.Details.Thinking.N,
	}
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
