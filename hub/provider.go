package hub

import (
	"context"
	"iter"
)

// A Provider answers prompts with one vendor's models.
//
// Stream yields deltas until the answer ends. The last delta of a whole answer
// has a Finish; without one the answer counts as broken off. A failure is the
// last pair it yields, as an *[Error]. Once ctx ends or the caller stops
// ranging, Stream has let go of its connection before it returns.
type Provider interface {
	Stream(ctx context.Context, p Prompt) iter.Seq2[Delta, error]
	// Models lists what can be asked. Model.ID has no provider prefix here.
	Models(ctx context.Context) ([]Model, error)
}

// Model is something that can be asked.
type Model struct {
	ID       string `json:"id"` // "provider/model" outside of a Provider
	Provider string `json:"provider"`
	Name     string `json:"name"`
}

// Turn is one message as a provider gets it.
type Turn struct {
	Role    MessageRole
	Content string
}

// Prompt is what a provider is asked.
type Prompt struct {
	Model           string // without the provider's prefix
	Turns           []Turn // a system prompt comes first
	Temperature     *float64
	TopP            *float64
	MaxTokens       *int // of the answer
	ReasoningEffort string
}

// Delta is one step of an answer. Exactly one field is set, but a Finish may
// come with Usage.
type Delta struct {
	Text      string
	Reasoning string
	Usage     *Usage // the last one counts
	Finish    Reason // stop, length, content_filter or tool_calls
}
