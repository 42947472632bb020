package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
)

// chunk is one event of an answer. Thinking has two names among servers.
type chunk struct {
	Choices [1]struct { // an array: we ask for one, and a slice would be made anew for each
		Delta struct {
			Content          content         `json:"content"`
			Refusal          string          `json:"refusal"`
			Reasoning        string          `json:"reasoning"`
			ReasoningContent string          `json:"reasoning_content"`
			ReasoningDetails json.RawMessage `json:"reasoning_details"`
			ExtraContent     json.RawMessage `json:"extra_content"`
			ToolCalls        []toolCall      `json:"tool_calls"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *usage          `json:"usage"`
	Error json.RawMessage `json:"error"`
}

type toolCall struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string  `json:"name"`
		Arguments content `json:"arguments"`
	} `json:"function"`
	ExtraContent json.RawMessage `json:"extra_content"`
}

type usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
	CacheHitTokens   int64 `json:"prompt_cache_hit_tokens"` // DeepSeek
	PromptDetails    struct {
		CachedTokens int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		ReasoningTokens int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// content is a string, or Mistral's list of parts.
type content struct{ text, thinking string }

// UnmarshalJSON reads both forms; anything else is kept as it is.
func (c *content) UnmarshalJSON(raw []byte) error {
	switch raw[0] {
	case 'n':
		return nil
	case '"':
		if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
			c.text = string(inner)
			return nil
		}
		return json.Unmarshal(raw, &c.text)
	case '[':
		var parts []struct {
			Text     string `json:"text"`
			Thinking []struct {
				Text string `json:"text"`
			} `json:"thinking"`
		}
		if err := json.Unmarshal(raw, &parts); err != nil {
			return err
		}
		for _, p := range parts {
			c.text += p.Text
			for _, t := range p.Thinking {
				c.thinking += t.Text
			}
		}
		return nil
	}
	c.text = string(raw)
	return nil
}

// Decoder turns the events of one answer into deltas.
type Decoder struct {
	chunk   chunk
	same    wire.Same // of chunks that have one text and nothing else
	thinks  bool      // which is thinking
	done    bool      // [DONE] was seen
	finish  string
	usage   *hub.Usage
	details []map[string]json.RawMessage // OpenRouter's reasoning_details, whose texts come in pieces
	calls   []string                     // the ids of the answer's calls
	at      map[int]int                  // the server's index of a call: ours
}

// NewDecoder returns a decoder.
func NewDecoder() wire.Decoder { return &Decoder{at: map[int]int{}} }

// Event is wire.Decoder's.
func (d *Decoder) Event(e wire.Event, tell wire.Tell) (last bool, err error) {
	if string(e.Data) == "[DONE]" {
		d.done = true
		return true, nil
	}
	if text, ok := d.same.Match(e); ok {
		if d.thinks {
			return !tell(hub.Delta{Reasoning: text}), nil
		}
		return !tell(hub.Delta{Text: text}), nil
	}
	d.chunk = chunk{}
	c := &d.chunk
	if err := e.Decode(c, &c.Error); err != nil {
		return false, err
	}
	if c.Usage != nil {
		d.usage = c.Usage.tokens()
	}
	choice := &c.Choices[0]
	m := &choice.Delta
	thinking := m.Content.thinking
	switch {
	case m.Reasoning != "":
		thinking = m.Reasoning
	case m.ReasoningContent != "":
		thinking = m.ReasoningContent
	}
	if key, text := c.only(); text != "" {
		d.same.Learn(e, key, text)
		d.thinks = key != "content"
	}
	if err := d.gather(m.ReasoningDetails); err != nil {
		return false, err
	}
	if choice.FinishReason != "" {
		d.finish = choice.FinishReason
	}
	if !tell(hub.Delta{Reasoning: thinking}) || !tell(hub.Delta{Text: m.Content.text}) || !tell(hub.Delta{Text: m.Refusal}) {
		return true, nil
	}
	if !keep(tell, opaque{ExtraContent: m.ExtraContent}) {
		return true, nil
	}
	for _, t := range m.ToolCalls {
		at := d.place(t)
		if !tell(hub.Delta{Tool: &hub.ToolDelta{Index: at, ID: t.ID, Name: t.Function.Name, Arguments: t.Function.Arguments.text}}) ||
			!keep(tell, opaque{ExtraContent: t.ExtraContent, Call: d.calls[at]}) {
			return true, nil
		}
	}
	return false, nil
}

// only returns the one text of a chunk that has nothing else, and its name.
func (c *chunk) only() (key, text string) {
	choice := &c.Choices[0]
	m := &choice.Delta
	if m.Content.thinking != "" || m.Refusal != "" || m.ReasoningDetails != nil || m.ExtraContent != nil || len(m.ToolCalls) > 0 ||
		choice.FinishReason != "" || c.Usage != nil {
		return "", ""
	}
	texts := 0
	for k, v := range map[string]string{"content": m.Content.text, "reasoning": m.Reasoning, "reasoning_content": m.ReasoningContent} {
		if v != "" {
			key, text = k, v
			texts++
		}
	}
	if texts != 1 {
		return "", ""
	}
	return key, text
}

// keep tells what is to be replayed, if there is something.
func keep(tell wire.Tell, o opaque) bool {
	for _, raw := range []*json.RawMessage{&o.ReasoningDetails, &o.ExtraContent} {
		if string(*raw) == "null" {
			*raw = nil
		}
	}
	if o.ReasoningDetails == nil && o.ExtraContent == nil {
		return true
	}
	raw, err := json.Marshal(o)
	return err != nil || tell(hub.Delta{Opaque: raw})
}

// place finds which call a piece belongs to: some servers leave the index out,
// or give all calls the same.
func (d *Decoder) place(t toolCall) int {
	key := -1
	if t.Index != nil {
		key = *t.Index
	}
	at, ok := d.at[key]
	if !ok || t.ID != "" && d.calls[at] != "" && t.ID != d.calls[at] {
		at = len(d.calls)
		d.calls = append(d.calls, t.ID)
		d.at[key] = at
	}
	return at
}

// gather joins the pieces of a text or summary: they are one block, and its
// signature is of the whole.
func (d *Decoder) gather(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var pieces []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &pieces); err != nil {
		return wire.Fail(hub.CodeProviderError, fmt.Errorf("malformed reasoning_details: %w", err))
	}
	for _, piece := range pieces {
		if len(piece) == 0 {
			continue
		}
		n := len(d.details)
		kind := string(piece["type"])
		if n == 0 || kind != `"reasoning.text"` && kind != `"reasoning.summary"` ||
			string(d.details[n-1]["type"]) != kind || string(d.details[n-1]["index"]) != string(piece["index"]) {
			d.details = append(d.details, piece)
			continue
		}
		whole := d.details[n-1]
		for k, v := range piece {
			switch {
			case string(v) == "null":
			case k == "text" || k == "summary":
				whole[k] = joined(whole[k], v)
			default:
				whole[k] = v
			}
		}
	}
	return nil
}

// joined is two JSON strings as one.
func joined(a, b json.RawMessage) json.RawMessage {
	var before, more string
	if json.Unmarshal(a, &before) != nil || json.Unmarshal(b, &more) != nil {
		return b
	}
	whole, err := json.Marshal(before + more)
	if err != nil {
		return b
	}
	return whole
}

// End is wire.Decoder's.
func (d *Decoder) End(tell wire.Tell) error {
	if d.finish == "" && !d.done {
		return wire.Fail(hub.CodeProviderTruncated, errors.New("no finish_reason and no [DONE]"))
	}
	why, err := reason(d.finish)
	if err != nil {
		return err
	}
	if why == hub.ReasonStop && len(d.calls) > 0 {
		why = hub.ReasonToolCalls
	}
	if len(d.details) > 0 {
		raw, err := json.Marshal(d.details)
		if err == nil && !keep(tell, opaque{ReasoningDetails: raw}) {
			return nil
		}
	}
	tell(hub.Delta{Finish: why, Usage: d.usage})
	return nil
}

// reason maps finish_reason, of which every server has some more.
func reason(s string) (hub.Reason, error) {
	switch s {
	case "length", "max_tokens", "model_length":
		return hub.ReasonLength, nil
	case "content_filter", "sensitive", "safety", "refusal":
		return hub.ReasonContentFilter, nil
	case "tool_calls", "function_call":
		return hub.ReasonToolCalls, nil
	case "insufficient_system_resource":
		return "", wire.Fail(hub.CodeProviderOverloaded, errors.New("finish_reason "+s))
	case "error", "network_error", "abort":
		return "", wire.Fail(hub.CodeProviderError, errors.New("finish_reason "+s))
	}
	return hub.ReasonStop, nil
}

func (u *usage) tokens() *hub.Usage {
	return &hub.Usage{
		InputTokens: u.PromptTokens,
		// Some count the thinking in the total alone.
		OutputTokens: max(u.CompletionTokens, u.TotalTokens-u.PromptTokens),
		CachedTokens: max(u.PromptDetails.CachedTokens, u.CacheHitTokens), ReasoningTokens: u.CompletionDetails.ReasoningTokens,
	}
}
