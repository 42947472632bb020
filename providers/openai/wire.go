package openai

import (
	"cmp"
	"math"
	"net/url"
	"slices"
	"strings"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/chat"
	"github.com/omnichat/omnichat/providers/internal/wire"
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

// kind is which server it is, where that says more elsewhere than in its list.
type kind int

const (
	other kind = iota
	llamaCpp
	lmStudio
)

// kindOf tells a server by its list.
func kindOf(list []wire.Hints) kind {
	for _, m := range list {
		owner := strings.ToLower(m.Text("owned_by"))
		switch {
		case strings.HasPrefix(owner, "llamacpp"), strings.HasPrefix(owner, "llama.cpp"), m.Of("meta").Number("n_ctx_train") > 0:
			return llamaCpp
		case owner == "organization_owner", m.Text("arch") != "" && m.Text("compatibility_type") != "":
			return lmStudio
		}
	}
	return other
}

// models are those of a list that are for chat.
func models(list []wire.Hints, own bool) []hub.Model {
	out := []hub.Model{}
	for _, m := range list {
		if m.Text("id") != "" && !notForChat(m, own) {
			out = append(out, model(m, own))
		}
	}
	slices.SortStableFunc(out, func(a, b hub.Model) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(out, func(a, b hub.Model) bool { return a.ID == b.ID })
}

// notForChat says whether a model is for something else.
func notForChat(m wire.Hints, own bool) bool {
	if out := m.Of("architecture").Texts("output_modalities"); len(out) > 0 && !slices.Contains(out, "text") {
		return true
	}
	if slices.Contains([]string{"embedding", "embeddings", "image", "audio", "rerank", "moderation", "transcribe", "video"}, m.Text("type")) {
		return true
	}
	return own && slices.ContainsFunc([]string{
		"embedding", "whisper", "tts", "dall-e", "moderation", "transcribe", "realtime", "audio", "image", "sora", "davinci", "babbage", "instruct",
	}, func(part string) bool { return strings.Contains(m.Text("id"), part) })
}

// model reads all that compatible servers add to an id.
func model(m wire.Hints, own bool) hub.Model {
	id := m.Text("id")
	out := hub.Model{ID: id, Name: cmp.Or(m.Text("name"), id), Price: price(m.Of("pricing")), Context: cmp.Or(
		m.Number("loaded_context_length"), // LM Studio, of a model that is loaded
		m.Of("meta").Number("n_ctx"),      // llama.cpp
		// OpenRouter and Together; Groq; vLLM; Mistral and LM Studio; llama.cpp, which was trained so
		m.Number("context_length", "context_window", "max_model_len", "max_context_length"),
		m.Of("meta").Number("n_ctx_train"),
	)}
	parameters := m.Texts("supported_parameters") // OpenRouter
	can := m.Texts("capabilities")                // Mistral's says of each whether; it is a list elsewhere
	out.Reasoning = own && thinks(id) || slices.Contains(parameters, "reasoning") || slices.Contains(parameters, "reasoning_effort") ||
		slices.Contains(can, "reasoning") || slices.Contains(can, "thinking")
	out.Thoughtless = !out.Reasoning && (len(parameters) > 0 || m.Of("capabilities").Bool("reasoning") != nil)
	out.Vision = m.Of("capabilities").Bool("vision")
	if in := m.Of("architecture").Texts("input_modalities"); len(in) > 0 {
		sees := slices.Contains(in, "image")
		out.Vision = &sees
	}
	if m.Text("type") == "vlm" || slices.Contains(can, "multimodal") || slices.Contains(can, "vision") {
		sees := true
		out.Vision = &sees
	}
	return out
}

// price reads OpenRouter's, in dollars for a token.
func price(p wire.Hints) *hub.Price {
	in, ok := p.Amount("prompt")
	out, also := p.Amount("completion")
	if !ok || !also {
		return nil
	}
	cached, ok := p.Amount("input_cache_read")
	if !ok {
		cached = in
	}
	million := func(dollars float64) float64 { return math.Round(dollars*1e12) / 1e6 }
	return &hub.Price{Input: million(in), CachedInput: million(cached), Output: million(out)}
}

// completeProps adds what llama.cpp says at /props of a model, or rather of what it has
// loaded: which context there is, which is not the one it was trained with.
func completeProps(m *hub.Model, props wire.Hints) {
	if n := props.Of("default_generation_settings").Number("n_ctx"); n > 0 {
		m.Context = n
	} else if n := props.Number("n_ctx"); n > 0 {
		m.Context = n
	}
	if sees := props.Of("modalities").Bool("vision"); sees != nil {
		m.Vision = sees
	}
}
