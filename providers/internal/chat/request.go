// Package chat is OpenAI's chat completions, which OpenAI, Ollama and all
// servers compatible with them speak.
package chat

import (
	"cmp"
	"encoding/base64"
	"encoding/json"

	api "github.com/sashabaranov/go-openai"

	"github.com/omnichat/omnichat/hub"
)

// Quirks are what servers and models differ in.
type Quirks struct {
	MaxCompletionTokens bool   // the newer name of max_tokens, which few servers know
	NoSampling          bool   // the model takes no temperature
	Off                 string // the effort with which a model does not think; "none" if empty
	TemplateSwitch      bool   // the server hands chat_template_kwargs to the model's template
}

// Request is the library's request, with the fields that it drops when they are
// zero although zero means something.
type Request struct {
	api.ChatCompletionRequest
	Messages    []message `json:"messages"`
	Temperature *float64  `json:"temperature,omitempty"`
	TopP        *float64  `json:"top_p,omitempty"`
}

// message always has content, which the library leaves out when it is empty.
type message struct {
	Role    string `json:"role"`
	Content any    `json:"content"` // a string, or the library's parts
	opaque
}

// opaque is what some servers want back as they sent it, on the answer's message.
type opaque struct {
	ReasoningDetails json.RawMessage `json:"reasoning_details,omitempty"` // OpenRouter
	ExtraContent     json.RawMessage `json:"extra_content,omitempty"`     // Google, with a thought_signature
	Call             string          `json:"call,omitempty"`              // the tool call that ExtraContent belongs to
}

// NewRequest maps a prompt.
func NewRequest(p hub.Prompt, q Quirks) Request {
	r := Request{
		ChatCompletionRequest: api.ChatCompletionRequest{
			Model: p.Model, Stream: true, StreamOptions: &api.StreamOptions{IncludeUsage: true}, ReasoningEffort: p.ReasoningEffort,
		},
		Messages: make([]message, len(p.Turns)),
	}
	if p.ReasoningEffort == hub.EffortOff {
		r.ReasoningEffort = cmp.Or(q.Off, "none")
		if q.TemplateSwitch {
			r.ChatTemplateKwargs = map[string]any{"enable_thinking": false, "thinking": false} // Qwen's and DeepSeek's words
		}
	}
	if !q.NoSampling {
		r.Temperature, r.TopP = p.Temperature, p.TopP
	}
	switch {
	case p.MaxTokens == nil:
	case q.MaxCompletionTokens:
		r.MaxCompletionTokens = *p.MaxTokens
	default:
		r.MaxTokens = *p.MaxTokens //nolint:staticcheck // compatible servers know this name, and few the new one
	}
	for i, t := range p.Turns {
		r.Messages[i] = newMessage(t)
	}
	return r
}

func newMessage(t hub.Turn) message {
	m := message{Role: string(t.Role), Content: t.Content}
	if len(t.Images) > 0 {
		var parts []api.ChatMessagePart
		if t.Content != "" {
			parts = append(parts, api.ChatMessagePart{Type: api.ChatMessagePartTypeText, Text: t.Content})
		}
		for _, img := range t.Images {
			url := "data:" + img.MediaType + ";base64," + base64.StdEncoding.EncodeToString(img.Data)
			parts = append(parts, api.ChatMessagePart{Type: api.ChatMessagePartTypeImageURL, ImageURL: &api.ChatMessageImageURL{URL: url}})
		}
		m.Content = parts
	}
	for _, raw := range t.Opaque {
		var o opaque
		// What belongs to a call goes with the call, and calls are not replayed.
		if json.Unmarshal(raw, &o) != nil || o.Call != "" {
			continue
		}
		if o.ReasoningDetails != nil {
			m.ReasoningDetails = o.ReasoningDetails
		}
		if o.ExtraContent != nil {
			m.ExtraContent = o.ExtraContent
		}
	}
	return m
}
