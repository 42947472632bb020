package chat

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
)

// chunk is one event of an answer, or an answer that came whole.
type chunk struct {
	wire.Head
	Choices [1]choice `json:"choices"` // an array: we ask for one, and a slice would be made anew for each
	Usage   *usage    `json:"usage"`
	Groq    struct {
		Usage *usage          `json:"usage"`
		Error json.RawMessage `json:"error"`
	} `json:"x_groq"`
}

type choice struct {
	Delta        piece           `json:"delta"`
	Message      *piece          `json:"message"` // of an answer that came whole
	FinishReason *string         `json:"finish_reason"`
	Usage        *usage          `json:"usage"` // Moonshot
	Error        json.RawMessage `json:"error"` // OpenRouter
}

// piece is a part of an answer, or all of it. Thinking has several names among
// servers.
type piece struct {
	Content          wire.Text       `json:"content"`
	Refusal          wire.Text       `json:"refusal"`
	Reasoning        wire.Text       `json:"reasoning"`
	ReasoningContent wire.Text       `json:"reasoning_content"`
	Thinking         wire.Text       `json:"thinking"`
	ReasoningDetails json.RawMessage `json:"reasoning_details"`
	ExtraContent     json.RawMessage `json:"extra_content"`
	ToolCalls        []toolCall      `json:"tool_calls"`
	FunctionCall     *function       `json:"function_call"` // the older form of one call
}

type toolCall struct {
	Index        wire.Count      `json:"index"`
	ID           string          `json:"id"`
	Function     function        `json:"function"`
	ExtraContent json.RawMessage `json:"extra_content"`
}

type function struct {
	Name      string         `json:"name"`
	Arguments wire.Arguments `json:"arguments"`
}

type usage struct {
	PromptTokens     wire.Count `json:"prompt_tokens"`
	InputTokens      wire.Count `json:"input_tokens"`
	CompletionTokens wire.Count `json:"completion_tokens"`
	OutputTokens     wire.Count `json:"output_tokens"`
	TotalTokens      wire.Count `json:"total_tokens"`
	CacheHitTokens   wire.Count `json:"prompt_cache_hit_tokens"` // DeepSeek
	CachedTokens     wire.Count `json:"cached_tokens"`           // Moonshot
	ReasoningTokens  wire.Count `json:"reasoning_tokens"`        // Perplexity
	PromptDetails    struct {
		CachedTokens wire.Count `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		ReasoningTokens wire.Count `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// Decoder turns the events of one answer into deltas.
type Decoder struct {
	chunk   chunk
	same    wire.Same // of chunks that have one text and nothing else
	thinks  bool      // which is thinking
	whole   *piece    // an answer that came whole, in case that no deltas come
	blank   bool      // the last event had nothing but a reason that is empty
	usage   usage
	named   bool                         // thinking has come under a name of its own
	details []map[string]json.RawMessage // OpenRouter's reasoning_details, whose texts come in pieces
	calls   []call
	at      map[int64]int // the server's index of a call: ours
}

// call is what is known of a call of the answer.
type call struct {
	id, name  string
	arguments []byte
}

// NewDecoder returns a decoder.
func NewDecoder() wire.Decoder { return &Decoder{at: map[int64]int{}} }

// Event is wire.Decoder's. Which event is the last, only [DONE] says.
func (d *Decoder) Event(e wire.Event, t *wire.Teller) (last bool, err error) {
	if text, ok := d.same.Match(e); ok {
		d.blank = false
		if d.thinks {
			d.named = true
			t.Think(text)
		} else {
			t.Text(text)
		}
		return false, nil
	}
	d.chunk = chunk{}
	c := &d.chunk
	choice := &c.Choices[0]
	if err := e.Decode(c, &c.Head); err != nil {
		return false, err
	}
	for _, raw := range []json.RawMessage{choice.Error, c.Groq.Error} {
		if err := wire.Failed(raw); err != nil {
			return false, err
		}
	}
	for _, u := range []*usage{c.Usage, choice.Usage, c.Groq.Usage} {
		if u != nil {
			d.usage.raise(u)
		}
	}
	if thinks, text := c.only(); text != "" {
		key := "content"
		if thinks {
			key = "reasoning"
			if choice.Delta.ReasoningContent.Said != "" {
				key = "reasoning_content"
			}
		}
		d.same.Learn(e, key, text)
		d.thinks = thinks
	}
	said := d.say(&choice.Delta, t)
	if choice.Message != nil && !said && !t.Begun() {
		d.keepWhole(choice.Message)
	}
	d.blank = false
	if reason := choice.FinishReason; reason != nil {
		t.Finish(*reason)
		d.blank = *reason == "" && !said
	}
	return false, nil
}

// only returns the one text of a chunk that has nothing else, and whether it is
// thinking under one of its two usual names.
func (c *chunk) only() (thinks bool, text string) {
	choice := &c.Choices[0]
	m := &choice.Delta
	if m.Content.Thought != "" || m.Refusal.Said != "" || m.ReasoningDetails != nil || m.ExtraContent != nil || len(m.ToolCalls) > 0 ||
		m.FunctionCall != nil || m.Thinking.Said != "" || m.Reasoning.Thought != "" || m.ReasoningContent.Thought != "" ||
		choice.FinishReason != nil && *choice.FinishReason != "" || choice.Message != nil || c.Usage != nil || choice.Usage != nil || c.Groq.Usage != nil {
		return false, ""
	}
	content, reasoning, other := m.Content.Said, m.Reasoning.Said, m.ReasoningContent.Said
	switch {
	case reasoning == "" && other == "":
		return false, content
	case content == "" && other == "":
		return true, reasoning
	case content == "" && reasoning == "":
		return true, other
	}
	return false, ""
}

// say tells what a piece says, and whether that was anything.
func (d *Decoder) say(m *piece, t *wire.Teller) bool {
	thought := ""
	for _, x := range []*wire.Text{&m.Reasoning, &m.ReasoningContent, &m.Thinking, {Thought: m.Content.Thought}} {
		if thought = x.Said + x.Thought; thought != "" {
			break // the others say the same
		}
	}
	details := d.gather(m.ReasoningDetails)
	if d.named = d.named || thought != ""; d.named {
		details = "" // they say the same once more
	}
	t.Think(thought + details)
	t.Text(m.Content.Said)
	t.Text(m.Refusal.Said + m.Refusal.Thought)
	keep(t, opaque{ExtraContent: m.ExtraContent})
	if f := m.FunctionCall; f != nil {
		m.ToolCalls = append(m.ToolCalls, toolCall{Function: *f})
	}
	for _, c := range m.ToolCalls {
		if c.ID == "" && c.Function == (function{}) && c.ExtraContent == nil {
			continue
		}
		at := d.place(c)
		t.Call(hub.ToolDelta{Index: at, ID: c.ID, Name: c.Function.Name, Arguments: string(c.Function.Arguments)})
		keep(t, opaque{ExtraContent: c.ExtraContent, Call: d.calls[at].id})
	}
	return thought != "" || details != "" || m.Content.Said != "" || m.Refusal.Said != "" || len(m.ToolCalls) > 0
}

// keepWhole keeps an answer that came whole until the end: some servers send all
// that there is so far with each delta. What goes on is joined.
func (d *Decoder) keepWhole(m *piece) {
	if d.whole == nil {
		d.whole = m
		return
	}
	before := *d.whole
	*d.whole = *m
	join := func(x *wire.Text, before wire.Text) {
		if !strings.HasPrefix(x.Said, before.Said) && len(before.Said) < wholeMax {
			x.Said = before.Said + x.Said
		}
		if !strings.HasPrefix(x.Thought, before.Thought) && len(before.Thought) < wholeMax {
			x.Thought = before.Thought + x.Thought
		}
	}
	join(&d.whole.Content, before.Content)
	join(&d.whole.Reasoning, before.Reasoning)
	join(&d.whole.ReasoningContent, before.ReasoningContent)
	if len(m.ToolCalls) == 0 {
		d.whole.ToolCalls = before.ToolCalls
	}
}

// wholeMax bounds what is joined of such an answer, in bytes.
const wholeMax = 8 << 20

// keep tells what is to be replayed, if there is something.
func keep(t *wire.Teller, o opaque) {
	for _, raw := range []*json.RawMessage{&o.ReasoningDetails, &o.ExtraContent} {
		if string(*raw) == "null" {
			*raw = nil
		}
	}
	if o.ReasoningDetails == nil && o.ExtraContent == nil {
		return
	}
	if raw, err := json.Marshal(o); err == nil {
		t.Keep(raw)
	}
}

// place finds which call a piece belongs to: some servers leave the index out,
// or give all calls the same, and some leave the id out, too.
func (d *Decoder) place(t toolCall) int {
	key := int64(-1)
	if t.Index.Known {
		key = t.Index.N
	}
	at, ok := d.at[key]
	if ok {
		c := &d.calls[at]
		begins := t.Function.Name != "" && c.name != "" && (t.Function.Name != c.name || json.Valid(c.arguments))
		another := t.ID != "" && c.id != "" && t.ID != c.id
		ok = !another && (t.Index.Known || t.ID != "" || !begins)
	}
	if !ok {
		at = len(d.calls)
		d.calls = append(d.calls, call{})
		d.at[key] = at
	}
	c := &d.calls[at]
	c.id, c.name = cmp.Or(c.id, t.ID), cmp.Or(c.name, t.Function.Name)
	if !t.Index.Known { // else it decides nothing
		c.arguments = append(c.arguments, t.Function.Arguments...)
	}
	return at
}

// gather joins the pieces of a text or summary: they are one block, and its
// signature is of the whole. It returns what they say.
func (d *Decoder) gather(raw json.RawMessage) string {
	if raw == nil {
		return ""
	}
	var pieces []map[string]json.RawMessage
	if wire.Unmarshal(raw, &pieces) != nil {
		return ""
	}
	said := ""
	for _, p := range pieces {
		if len(p) == 0 {
			continue
		}
		for _, key := range []string{"text", "summary"} {
			var text wire.Text
			if wire.Unmarshal(p[key], &text) == nil {
				said += text.Said
			}
		}
		n := len(d.details)
		kind := string(p["type"])
		if n == 0 || kind != `"reasoning.text"` && kind != `"reasoning.summary"` ||
			string(d.details[n-1]["type"]) != kind || string(d.details[n-1]["index"]) != string(p["index"]) {
			d.details = append(d.details, p)
			continue
		}
		whole := d.details[n-1]
		for k, v := range p {
			switch {
			case string(v) == "null":
			case k == "text" || k == "summary":
				whole[k] = joined(whole[k], v)
			default:
				whole[k] = v
			}
		}
	}
	return said
}

// joined is two JSON strings as one: halves of a character find each other.
func joined(a, b json.RawMessage) json.RawMessage {
	if len(a) < 2 || len(b) < 2 || a[0] != '"' || b[0] != '"' {
		return b
	}
	return slices.Concat(a[:len(a)-1], b[1:])
}

// End is wire.Decoder's.
func (d *Decoder) End(t *wire.Teller) {
	if d.whole != nil && !t.Begun() {
		d.say(d.whole, t)
		t.Done()
	}
	if d.blank && t.Begun() {
		t.Done() // the last event was made for an end, though it has no word for it
	}
	if len(d.details) > 0 && t.Ended() {
		if raw, err := json.Marshal(d.details); err == nil {
			keep(t, opaque{ReasoningDetails: raw})
		}
	}
}

// raise takes the greater of each count.
func (u *usage) raise(v *usage) {
	for _, c := range [][2]*wire.Count{
		{&u.PromptTokens, &v.PromptTokens}, {&u.PromptTokens, &v.InputTokens},
		{&u.CompletionTokens, &v.CompletionTokens}, {&u.CompletionTokens, &v.OutputTokens},
		{&u.TotalTokens, &v.TotalTokens},
		{&u.CachedTokens, &v.CachedTokens}, {&u.CachedTokens, &v.CacheHitTokens}, {&u.CachedTokens, &v.PromptDetails.CachedTokens},
		{&u.ReasoningTokens, &v.ReasoningTokens}, {&u.ReasoningTokens, &v.CompletionDetails.ReasoningTokens},
	} {
		c[0].Raise(*c[1])
	}
}

// Usage is wire.Decoder's.
func (d *Decoder) Usage() *hub.Usage {
	u := &d.usage
	if !u.PromptTokens.Known && !u.CompletionTokens.Known {
		return nil
	}
	output := u.CompletionTokens.N
	if u.PromptTokens.Known { // some count the thinking in the total alone
		output = max(output, u.TotalTokens.N-u.PromptTokens.N)
	}
	return &hub.Usage{
		InputTokens: u.PromptTokens.N, OutputTokens: output,
		CachedTokens: u.CachedTokens.N, ReasoningTokens: u.ReasoningTokens.N,
	}
}
