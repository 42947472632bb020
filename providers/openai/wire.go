package openai

import (
	"encoding/json"
	"fmt"

	api "github.com/sashabaranov/go-openai"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
)

// chatRequest is the library's request, with the fields that it drops when they
// are zero although zero means something.
type chatRequest struct {
	api.ChatCompletionRequest
	Messages    []chatMessage `json:"messages"`
	Temperature *float64      `json:"temperature,omitempty"`
	TopP        *float64      `json:"top_p,omitempty"`
}

// chatMessage always has content, which the library leaves out when it is empty.
type chatMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func request(p hub.Prompt) chatRequest {
	r := chatRequest{
		ChatCompletionRequest: api.ChatCompletionRequest{
			Model: p.Model, Stream: true, StreamOptions: &api.StreamOptions{IncludeUsage: true}, ReasoningEffort: p.ReasoningEffort,
		},
		Messages: make([]chatMessage, len(p.Turns)), Temperature: p.Temperature, TopP: p.TopP,
	}
	if p.MaxTokens != nil {
		r.MaxTokens = *p.MaxTokens //nolint:staticcheck // compatible servers know this name, and few the new one
	}
	for i, t := range p.Turns {
		r.Messages[i] = chatMessage{Role: string(t.Role), Content: t.Content}
	}
	return r
}

// chunk is one event of an answer. Thinking has two names among servers.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content          string `json:"content"`
			Refusal          string `json:"refusal"`
			Reasoning        string `json:"reasoning"`
			ReasoningContent string `json:"reasoning_content"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int64 `json:"prompt_tokens"`
		CompletionTokens int64 `json:"completion_tokens"`
		PromptDetails    struct {
			CachedTokens int64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		CompletionDetails struct {
			ReasoningTokens int64 `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
	} `json:"usage"`
}

// answer turns events into deltas.
type answer struct {
	yield  func(hub.Delta, error) bool
	shown  bool // a delta was yielded
	left   bool // the caller wants no more
	done   bool // [DONE] was seen
	finish hub.Reason
	usage  *hub.Usage
}

func (a *answer) event(e wire.Event) (more bool, err error) {
	if string(e.Data) == "[DONE]" {
		a.done = true
		return false, nil
	}
	var c chunk
	if err := json.Unmarshal(e.Data, &c); err != nil {
		return false, wire.Fail(hub.CodeProviderError, fmt.Errorf("malformed chunk: %w", err))
	}
	if u := c.Usage; u != nil {
		a.usage = &hub.Usage{
			InputTokens: u.PromptTokens, OutputTokens: u.CompletionTokens,
			CachedTokens: u.PromptDetails.CachedTokens, ReasoningTokens: u.CompletionDetails.ReasoningTokens,
		}
	}
	if len(c.Choices) == 0 {
		return true, nil
	}
	choice := &c.Choices[0]
	d := &choice.Delta
	if d.Reasoning == "" {
		d.Reasoning = d.ReasoningContent
	}
	if !a.tell(hub.Delta{Reasoning: d.Reasoning}) || !a.tell(hub.Delta{Text: d.Content}) || !a.tell(hub.Delta{Text: d.Refusal}) {
		return false, nil
	}
	if choice.FinishReason != "" {
		a.finish = reason(choice.FinishReason)
	}
	return true, nil
}

func (a *answer) tell(d hub.Delta) bool {
	if d.Text == "" && d.Reasoning == "" {
		return true
	}
	a.shown = true
	a.left = !a.yield(d, nil)
	return !a.left
}

// end yields the finish of a whole answer.
func (a *answer) end() error {
	if a.finish == "" && !a.done {
		return wire.Fail(hub.CodeProviderTruncated, fmt.Errorf("no finish_reason and no [DONE]"))
	}
	if a.finish == "" {
		a.finish = hub.ReasonStop
	}
	a.yield(hub.Delta{Finish: a.finish, Usage: a.usage}, nil)
	return nil
}

// reason maps finish_reason.
func reason(s string) hub.Reason {
	switch s {
	case "length", "max_tokens":
		return hub.ReasonLength
	case "content_filter":
		return hub.ReasonContentFilter
	case "tool_calls", "function_call":
		return hub.ReasonToolCalls
	}
	return hub.ReasonStop
}
