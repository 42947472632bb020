package openai

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/chat"
)

const baseURL = "https://api.openai.com/v1"

// own says whether a base URL is OpenAI's, in any of its regions.
func own(base string) bool {
	u, err := url.Parse(base)
	return err == nil && (u.Hostname() == "api.openai.com" || strings.HasSuffix(u.Hostname(), ".api.openai.com"))
}

// thinks says whether a model of OpenAI's reasons: it takes an effort, the
// newer name of max_tokens, and no temperature.
func thinks(id string) bool {
	return len(id) > 1 && id[0] == 'o' && id[1] >= '1' && id[1] <= '9' ||
		strings.HasPrefix(id, "gpt-5") && !strings.Contains(id, "chat")
}

func request(p hub.Prompt, own bool) chat.Request {
	special := own && thinks(p.Model)
	q := chat.Quirks{MaxCompletionTokens: special, NoSampling: special, TemplateSwitch: !own}
	switch {
	case !special, strings.HasPrefix(p.Model, "gpt-5."): // these know "none"
	case strings.HasPrefix(p.Model, "gpt-5"):
		q.Off = "minimal"
	default:
		q.Off = "low" // nothing keeps the o models from thinking
	}
	return chat.NewRequest(p, q)
}

// listing is what a server has, as an object or, at Together, a bare list.
type listing struct {
	Data []listed `json:"data"`
}

// UnmarshalJSON reads both forms.
func (l *listing) UnmarshalJSON(raw []byte) error {
	if strings.HasPrefix(string(raw), "[") {
		return json.Unmarshal(raw, &l.Data)
	}
	type plain listing
	return json.Unmarshal(raw, (*plain)(l))
}

// listed is a model with all that compatible servers add to its id.
type listed struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Type          string `json:"type"`               // LM Studio: llm, vlm, embeddings; Together: chat, image, …
	ContextLength int64  `json:"context_length"`     // OpenRouter, Together
	ContextWindow int64  `json:"context_window"`     // Groq
	MaxModelLen   int64  `json:"max_model_len"`      // vLLM
	MaxContext    int64  `json:"max_context_length"` // Mistral, LM Studio
	Architecture  struct {
		Input  []string `json:"input_modalities"`
		Output []string `json:"output_modalities"`
	} `json:"architecture"` // OpenRouter
	Parameters   []string        `json:"supported_parameters"` // OpenRouter
	Capabilities json.RawMessage `json:"capabilities"`         // Mistral; a list elsewhere
	Meta         struct {
		Trained int64 `json:"n_ctx_train"`
	} `json:"meta"` // llama.cpp
}

func (l listing) models(own bool) []hub.Model {
	list := []hub.Model{}
	for _, m := range l.Data {
		if !m.other(own) {
			list = append(list, model(m, own))
		}
	}
	slices.SortFunc(list, func(a, b hub.Model) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(list, func(a, b hub.Model) bool { return a.ID == b.ID })
}

// other says whether a model is for something else than chat.
func (m listed) other(own bool) bool {
	if out := m.Architecture.Output; len(out) > 0 && !slices.Contains(out, "text") {
		return true
	}
	if slices.Contains([]string{"embedding", "embeddings", "image", "audio", "rerank", "moderation", "transcribe", "video"}, m.Type) {
		return true
	}
	return own && slices.ContainsFunc([]string{
		"embedding", "whisper", "tts", "dall-e", "moderation", "transcribe", "realtime", "audio", "image", "sora", "davinci", "babbage", "instruct",
	}, func(part string) bool { return strings.Contains(m.ID, part) })
}

func model(m listed, own bool) hub.Model {
	out := hub.Model{
		ID: m.ID, Name: cmp.Or(m.Name, m.ID),
		Context:   cmp.Or(m.ContextLength, m.ContextWindow, m.MaxModelLen, m.MaxContext, m.Meta.Trained),
		Reasoning: own && thinks(m.ID) || slices.Contains(m.Parameters, "reasoning") || slices.Contains(m.Parameters, "reasoning_effort"),
	}
	var can struct {
		Vision *bool `json:"vision"`
	}
	if json.Unmarshal(m.Capabilities, &can) == nil { // else it says nothing that we know
		out.Vision = can.Vision
	}
	if in := m.Architecture.Input; len(in) > 0 {
		sees := slices.Contains(in, "image")
		out.Vision = &sees
	}
	if m.Type == "vlm" {
		sees := true
		out.Vision = &sees
	}
	return out
}
