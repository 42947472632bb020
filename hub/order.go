package hub

// Order is what an answer is generated with, beside its model and what was said before. It
// is stored with the answer, so that whoever takes the answer over has it. A field that is
// not set is the model's own.
type Order struct {
	Temperature     *float64 `json:"temperature,omitempty"`
	TopP            *float64 `json:"top_p,omitempty"`
	MaxTokens       *int     `json:"max_tokens,omitempty"` // of the answer
	ReasoningEffort string   `json:"reasoning_effort,omitempty"`
}

// orderOf is what a question asks for, and its session where the question leaves it open.
func orderOf(q Question, s Parameters) Order {
	o := Order{Temperature: q.Temperature, TopP: q.TopP, MaxTokens: q.MaxTokens, ReasoningEffort: q.ReasoningEffort}
	if o.Temperature == nil {
		o.Temperature = s.Temperature
	}
	if o.MaxTokens == nil {
		o.MaxTokens = s.MaxTokens
	}
	if o.ReasoningEffort == "" {
		o.ReasoningEffort = s.ReasoningEffort
	}
	return o
}
