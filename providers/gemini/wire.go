package gemini

import (
	"cmp"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
)

// base completes a base URL with the API's version.
func base(given string) string {
	given = strings.TrimRight(cmp.Or(given, "https://generativelanguage.googleapis.com"), "/")
	if strings.HasSuffix(given, "/v1") || strings.HasSuffix(given, "/v1beta") {
		return given
	}
	return given + "/v1beta"
}

type request struct {
	SystemInstruction *content         `json:"systemInstruction,omitempty"`
	Contents          []content        `json:"contents"`
	GenerationConfig  generationConfig `json:"generationConfig"`
}

type content struct {
	Role  string `json:"role,omitempty"`
	Parts []any  `json:"parts"` // of type part, and those replayed as they came
}

type part struct {
	Text       string `json:"text,omitempty"`
	InlineData *blob  `json:"inlineData,omitempty"`
}

type blob struct {
	MimeType string `json:"mimeType"`
	Data     []byte `json:"data"` // encoding/json writes base64
}

type generationConfig struct {
	Temperature     *float64        `json:"temperature,omitempty"`
	TopP            *float64        `json:"topP,omitempty"`
	MaxOutputTokens int             `json:"maxOutputTokens,omitempty"`
	ThinkingConfig  *thinkingConfig `json:"thinkingConfig,omitempty"`
}

type thinkingConfig struct {
	IncludeThoughts bool   `json:"includeThoughts"`
	ThinkingBudget  *int   `json:"thinkingBudget,omitempty"`
	ThinkingLevel   string `json:"thinkingLevel,omitempty"`
}

var (
	budgeted = regexp.MustCompile(`^gemini-2\.5-`)                       // thinks by a number of tokens
	leveled  = regexp.MustCompile(`^gemini-([3-9]|[1-9]\d)`)             // thinks by a level
	thinks   = regexp.MustCompile(`^gemini-(flash|pro)(-lite)?-latest$`) // whatever is newest
	budgets  = map[string]int{"low": 1024, "medium": 8192, "high": 24576}
)

// thinking asks to see the thoughts of models that have some; others refuse it.
func thinking(p hub.Prompt) (config *thinkingConfig, budget int) {
	if p.ReasoningEffort == hub.EffortOff {
		return unthinking(p.Model), 0
	}
	config = &thinkingConfig{IncludeThoughts: true}
	switch {
	case budgeted.MatchString(p.Model):
		if b := budgets[p.ReasoningEffort]; b > 0 {
			config.ThinkingBudget = &b
		}
	case leveled.MatchString(p.Model), thinks.MatchString(p.Model), p.ReasoningEffort != "":
		config.ThinkingLevel = p.ReasoningEffort
	default:
		return nil, 0
	}
	return config, budgets[p.ReasoningEffort]
}

// unthinking has a model think as little as it can be told to: the larger ones
// cannot be kept from it.
func unthinking(model string) *thinkingConfig {
	large := strings.Contains(model, "pro")
	switch {
	case budgeted.MatchString(model):
		budget := 0
		if large {
			budget = 128
		}
		return &thinkingConfig{ThinkingBudget: &budget}
	case leveled.MatchString(model), thinks.MatchString(model):
		level := "minimal"
		if large {
			level = "low"
		}
		return &thinkingConfig{ThinkingLevel: level}
	}
	return nil
}

func newRequest(p hub.Prompt) request {
	config, budget := thinking(p)
	r := request{GenerationConfig: generationConfig{Temperature: p.Temperature, TopP: p.TopP, ThinkingConfig: config}}
	if p.MaxTokens != nil {
		r.GenerationConfig.MaxOutputTokens = *p.MaxTokens + budget // theirs is of thoughts and answer
	}
	for _, t := range p.Turns {
		role := "user"
		switch t.Role {
		case hub.RoleOfSystem:
			if t.Content != "" {
				if r.SystemInstruction == nil {
					r.SystemInstruction = &content{}
				}
				r.SystemInstruction.Parts = append(r.SystemInstruction.Parts, part{Text: t.Content})
			}
			continue
		case hub.RoleOfAssistant:
			role = "model"
		}
		parts := parts(t)
		if len(parts) == 0 {
			continue
		}
		if n := len(r.Contents); n > 0 && r.Contents[n-1].Role == role {
			r.Contents[n-1].Parts = append(r.Contents[n-1].Parts, parts...)
			continue
		}
		r.Contents = append(r.Contents, content{Role: role, Parts: parts})
	}
	return r
}

// kept is a part with a signature, and where in the answer's text it began.
type kept struct {
	At   int             `json:"at"`
	Part json.RawMessage `json:"part"`
}

// parts are a turn's, with each signature on the part that it came with.
func parts(t hub.Turn) []any {
	var out []any
	for _, img := range t.Images {
		out = append(out, part{InlineData: &blob{MimeType: img.MediaType, Data: img.Data}})
	}
	said := 0
	upTo := func(at int) {
		if at > said {
			out = append(out, part{Text: t.Content[said:at]})
			said = at
		}
	}
	for _, raw := range t.Opaque {
		var k kept
		var p received
		if json.Unmarshal(raw, &k) != nil || wire.Unmarshal(k.Part, &p) != nil {
			continue
		}
		switch {
		case p.FunctionCall != nil:
			// A call must be followed by its result, and calls are not replayed.
		case p.Thought:
			out = append(out, k.Part)
		case k.At >= said && k.At <= len(t.Content) && strings.HasPrefix(t.Content[k.At:], p.Text.Said):
			upTo(k.At)
			out = append(out, k.Part)
			said += len(p.Text.Said)
		}
	}
	upTo(len(t.Content))
	return out
}

// chunk is one event of an answer.
type chunk struct {
	wire.Head
	Candidates [1]struct { // an array: we ask for one, and a slice would be made anew for each
		Content struct {
			Parts []received `json:"parts"`
		} `json:"content"`
		FinishReason string `json:"finishReason"`
	} `json:"candidates"`
	PromptFeedback struct {
		BlockReason        string `json:"blockReason"`
		BlockReasonMessage string `json:"blockReasonMessage"`
	} `json:"promptFeedback"`
	UsageMetadata *usage `json:"usageMetadata"`
}

// received is one part of an answer.
type received struct {
	Text             wire.Text `json:"text"`
	Thought          bool      `json:"thought"`
	ThoughtSignature string    `json:"thoughtSignature"`
	FunctionCall     *struct {
		ID   string         `json:"id"`
		Name string         `json:"name"`
		Args wire.Arguments `json:"args"`
	} `json:"functionCall"`
}

type usage struct {
	Prompt     wire.Count `json:"promptTokenCount"`
	Cached     wire.Count `json:"cachedContentTokenCount"`
	Candidates wire.Count `json:"candidatesTokenCount"`
	Thoughts   wire.Count `json:"thoughtsTokenCount"`
	ToolUse    wire.Count `json:"toolUsePromptTokenCount"`
}

// decoder turns the events of one answer into deltas.
type decoder struct {
	chunk chunk
	tools int // calls so far
	usage usage
}

func newDecoder() wire.Decoder { return &decoder{} }

// Event is wire.Decoder's. No event is known to be the last: usage may follow.
func (d *decoder) Event(e wire.Event, t *wire.Teller) (last bool, err error) {
	d.chunk = chunk{}
	c := &d.chunk
	if err := e.Decode(c, &c.Head); err != nil {
		return false, err
	}
	if u := c.UsageMetadata; u != nil {
		d.usage.raise(u)
	}
	if c.PromptFeedback.BlockReason != "" {
		return false, wire.Fail(hub.CodeContentFilter, errors.New("the prompt was blocked: "+c.PromptFeedback.BlockReason+" "+c.PromptFeedback.BlockReasonMessage))
	}
	for i := range c.Candidates[0].Content.Parts {
		p := &c.Candidates[0].Content.Parts[i]
		at := t.Length()
		d.part(p, t)
		if p.ThoughtSignature != "" {
			keep(e.Data, i, at, t)
		}
	}
	switch reason := c.Candidates[0].FinishReason; strings.ToUpper(reason) {
	case "FINISH_REASON_UNSPECIFIED":
	case "FUNCTION_CALL", "TOOL_CALL", "TOOL_CALLS": // what proxies write: calls end with STOP here
		t.Finish("STOP")
	default:
		t.Finish(reason)
	}
	return false, nil
}

func (d *decoder) part(p *received, t *wire.Teller) {
	switch {
	case p.FunctionCall != nil:
		args := string(p.FunctionCall.Args)
		t.Call(hub.ToolDelta{Index: d.tools, ID: p.FunctionCall.ID, Name: p.FunctionCall.Name, Arguments: cmp.Or(args, "{}")})
		d.tools++
	case p.Thought:
		t.Think(p.Text.Said + p.Text.Thought)
	default:
		t.Say(p.Text)
	}
}

// keep tells the i-th part of a chunk as it came. Few parts have a signature,
// so that only they are read twice.
func keep(chunk []byte, i, at int, t *wire.Teller) {
	var raw struct {
		Candidates [1]struct {
			Content struct {
				Parts []json.RawMessage `json:"parts"`
			} `json:"content"`
		} `json:"candidates"`
	}
	if wire.Unmarshal(chunk, &raw) != nil || i >= len(raw.Candidates[0].Content.Parts) {
		return
	}
	if opaque, err := json.Marshal(kept{At: at, Part: raw.Candidates[0].Content.Parts[i]}); err == nil {
		t.Keep(opaque)
	}
}

// raise takes the greater of each count.
func (u *usage) raise(v *usage) {
	for _, c := range [][2]*wire.Count{
		{&u.Prompt, &v.Prompt}, {&u.Cached, &v.Cached}, {&u.Candidates, &v.Candidates}, {&u.Thoughts, &v.Thoughts}, {&u.ToolUse, &v.ToolUse},
	} {
		c[0].Raise(*c[1])
	}
}

// End is wire.Decoder's: there is nothing that waits for it.
func (d *decoder) End(*wire.Teller) {}

// Usage is wire.Decoder's.
func (d *decoder) Usage() *hub.Usage {
	u := &d.usage
	if !u.Prompt.Known && !u.Candidates.Known && !u.Thoughts.Known {
		return nil
	}
	return &hub.Usage{
		InputTokens: u.Prompt.N + u.ToolUse.N, OutputTokens: u.Candidates.N + u.Thoughts.N,
		CachedTokens: u.Cached.N, ReasoningTokens: u.Thoughts.N,
	}
}

// page is a part of the list of models.
// models are those of a page of the list.
func models(page []wire.Hints) []hub.Model {
	var list []hub.Model
	for _, m := range page {
		id := strings.TrimPrefix(m.Text("name"), "models/")
		if id == "" || !slices.Contains(m.Texts("supportedGenerationMethods"), "generateContent") || strings.Contains(id, "-tts") || strings.Contains(id, "-image") {
			continue // it makes no text
		}
		out := hub.Model{ID: id, Name: cmp.Or(m.Text("displayName"), id), Context: m.Number("inputTokenLimit")}
		if thinks := m.Bool("thinking"); thinks != nil {
			out.Reasoning = *thinks
		}
		if strings.HasPrefix(id, "gemini-") {
			sees := true
			out.Vision = &sees
		}
		list = append(list, out)
	}
	return list
}
