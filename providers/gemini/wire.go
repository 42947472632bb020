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
		if json.Unmarshal(raw, &k) != nil || json.Unmarshal(k.Part, &p) != nil {
			continue
		}
		switch {
		case p.FunctionCall != nil:
			// A call must be followed by its result, and calls are not replayed.
		case p.Thought:
			out = append(out, k.Part)
		case k.At >= said && k.At <= len(t.Content) && strings.HasPrefix(t.Content[k.At:], p.Text):
			upTo(k.At)
			out = append(out, k.Part)
			said += len(p.Text)
		}
	}
	upTo(len(t.Content))
	return out
}

// chunk is one event of an answer.
type chunk struct {
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
	UsageMetadata *usage          `json:"usageMetadata"`
	Error         json.RawMessage `json:"error"`
}

// received is one part of an answer.
type received struct {
	Text             string `json:"text"`
	Thought          bool   `json:"thought"`
	ThoughtSignature string `json:"thoughtSignature"`
	FunctionCall     *struct {
		ID   string          `json:"id"`
		Name string          `json:"name"`
		Args json.RawMessage `json:"args"`
	} `json:"functionCall"`
}

type usage struct {
	Prompt     int64 `json:"promptTokenCount"`
	Cached     int64 `json:"cachedContentTokenCount"`
	Candidates int64 `json:"candidatesTokenCount"`
	Thoughts   int64 `json:"thoughtsTokenCount"`
	ToolUse    int64 `json:"toolUsePromptTokenCount"`
}

// decoder turns the events of one answer into deltas.
type decoder struct {
	chunk  chunk
	said   int // bytes of text so far
	tools  int // calls so far
	finish string
	usage  *hub.Usage
}

func newDecoder() wire.Decoder { return &decoder{} }

// Event is wire.Decoder's. No event is known to be the last: usage may follow.
func (d *decoder) Event(e wire.Event, tell wire.Tell) (last bool, err error) {
	d.chunk = chunk{}
	c := &d.chunk
	if err := e.Decode(c, &c.Error); err != nil {
		return false, err
	}
	if c.PromptFeedback.BlockReason != "" {
		return false, wire.Fail(hub.CodeContentFilter, errors.New("the prompt was blocked: "+c.PromptFeedback.BlockReason+" "+c.PromptFeedback.BlockReasonMessage))
	}
	if u := c.UsageMetadata; u != nil {
		d.usage = &hub.Usage{
			InputTokens: u.Prompt + u.ToolUse, OutputTokens: u.Candidates + u.Thoughts,
			CachedTokens: u.Cached, ReasoningTokens: u.Thoughts,
		}
	}
	for i, p := range c.Candidates[0].Content.Parts {
		at := d.said
		d.part(p, tell)
		if p.ThoughtSignature != "" {
			if err := keep(e.Data, i, at, tell); err != nil {
				return false, err
			}
		}
	}
	if reason := c.Candidates[0].FinishReason; reason != "" && reason != "FINISH_REASON_UNSPECIFIED" {
		d.finish = reason
	}
	return false, nil
}

func (d *decoder) part(p received, tell wire.Tell) {
	switch {
	case p.FunctionCall != nil:
		args := string(p.FunctionCall.Args)
		tell(hub.Delta{Tool: &hub.ToolDelta{Index: d.tools, ID: p.FunctionCall.ID, Name: p.FunctionCall.Name, Arguments: cmp.Or(args, "{}")}})
		d.tools++
	case p.Thought:
		tell(hub.Delta{Reasoning: p.Text})
	default:
		tell(hub.Delta{Text: p.Text})
		d.said += len(p.Text)
	}
}

// keep tells the i-th part of a chunk as it came. Few parts have a signature,
// so that only they are read twice.
func keep(chunk []byte, i, at int, tell wire.Tell) error {
	var raw struct {
		Candidates [1]struct {
			Content struct {
				Parts []json.RawMessage `json:"parts"`
			} `json:"content"`
		} `json:"candidates"`
	}
	err := json.Unmarshal(chunk, &raw)
	if err != nil || i >= len(raw.Candidates[0].Content.Parts) {
		return wire.Fail(hub.CodeProviderError, errors.New("a part is gone"))
	}
	opaque, err := json.Marshal(kept{At: at, Part: raw.Candidates[0].Content.Parts[i]})
	if err != nil {
		return wire.Fail(hub.CodeProviderError, err)
	}
	tell(hub.Delta{Opaque: opaque})
	return nil
}

// End is wire.Decoder's.
func (d *decoder) End(tell wire.Tell) error {
	why, ok := reasons[d.finish]
	switch {
	case d.finish == "":
		return wire.Fail(hub.CodeProviderTruncated, errors.New("no finishReason"))
	case !ok:
		return wire.Fail(hub.CodeProviderError, errors.New("finishReason "+d.finish))
	case why == hub.ReasonStop && d.tools > 0:
		why = hub.ReasonToolCalls
	}
	tell(hub.Delta{Finish: why, Usage: d.usage})
	return nil
}

// reasons maps finishReason. Those not named are failures of the model, such
// as MALFORMED_FUNCTION_CALL.
var reasons = map[string]hub.Reason{
	"STOP":                     hub.ReasonStop,
	"MAX_TOKENS":               hub.ReasonLength,
	"SAFETY":                   hub.ReasonContentFilter,
	"RECITATION":               hub.ReasonContentFilter,
	"PROHIBITED_CONTENT":       hub.ReasonContentFilter,
	"BLOCKLIST":                hub.ReasonContentFilter,
	"SPII":                     hub.ReasonContentFilter,
	"LANGUAGE":                 hub.ReasonContentFilter,
	"IMAGE_SAFETY":             hub.ReasonContentFilter,
	"IMAGE_PROHIBITED_CONTENT": hub.ReasonContentFilter,
	"IMAGE_RECITATION":         hub.ReasonContentFilter,
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
