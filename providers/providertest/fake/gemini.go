package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Gemini is Google's generateContent.
var Gemini Dialect = gemini{}

type gemini struct{}

func (gemini) Path() string { return "/v1beta" }

func (gemini) Error(status int, kind Kind) string {
	names := map[int]string{
		400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
		500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
	}
	e := object{"code": status, "message": "scripted failure", "status": names[status]}
	quota := func(id string) []object {
		return []object{{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []object{{"quotaId": id}}}}
	}
	switch {
	case kind == QuotaUsedUp:
		e["message"] = "You exceeded your current quota, please check your plan and billing details."
		e["details"] = quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")
	case kind == ContextTooLong:
		e["message"] = "The input token count (9001) exceeds the maximum number of tokens allowed (8192)."
	case kind == Filtered:
		return "" // a prompt that is refused is answered, by promptFeedback
	case status == http.StatusTooManyRequests:
		e["message"] = "You exceeded your current quota, please check your plan and billing details."
		e["details"] = quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")
	case status == http.StatusServiceUnavailable:
		e["message"] = "The model is overloaded. Please try again later."
	}
	return text(object{"error": e})
}

func (gemini) Frame(body string) string { return "data: " + body + "\n\n" }

func (gemini) Chunk(token string) string { return geminiChunk(object{"text": token}) }

// Whole is a list of the chunks, each over several lines.
func (gemini) Whole(sc Script) string {
	var chunks []json.RawMessage
	for _, line := range strings.Split(string(Render(Gemini, sc)), "\n") {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			chunks = append(chunks, json.RawMessage(data))
		}
	}
	list, err := json.MarshalIndent(chunks, "", "  ")
	if err != nil {
		panic(err) // ours alone
	}
	return strings.ReplaceAll(string(list), "\n  {", "{") + "\n"
}

func (gemini) Zeros() string {
	return event(object{"usageMetadata": object{"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}})
}

func (gemini) Finishes() map[string]string {
	return map[string]string{
		"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter",
		"PROHIBITED_CONTENT": "content_filter", "BLOCKLIST": "content_filter", "SPII": "content_filter",
	}
}

func (gemini) Signed(sc Script) map[string]string {
	return map[string]string{sc.Signature: sc.Tokens[len(sc.Tokens)-1], sc.Redacted: ""}
}

func (gemini) parse(r *http.Request, body []byte) (Request, error) {
	model, method, _ := strings.Cut(r.PathValue("call"), ":")
	if method != "streamGenerateContent" || r.URL.Query().Get("alt") != "sse" {
		return Request{}, fmt.Errorf("method %s with alt=%s", method, r.URL.Query().Get("alt"))
	}
	type content struct {
		Role  string `json:"role"`
		Parts []struct {
			Text       string `json:"text"`
			Thought    bool   `json:"thought"`
			Signature  string `json:"thoughtSignature"`
			InlineData *struct {
				MimeType string `json:"mimeType"`
				Data     string `json:"data"`
			} `json:"inlineData"`
		} `json:"parts"`
	}
	var b struct {
		System   content   `json:"systemInstruction"`
		Contents []content `json:"contents"`
		Config   struct {
			Temperature *float64 `json:"temperature"`
			TopP        *float64 `json:"topP"`
			MaxTokens   int      `json:"maxOutputTokens"`
			Thinking    struct {
				Budget int    `json:"thinkingBudget"`
				Level  string `json:"thinkingLevel"`
			} `json:"thinkingConfig"`
		} `json:"generationConfig"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return Request{}, err
	}
	req := Request{
		Model: model, Temperature: b.Config.Temperature, TopP: b.Config.TopP, MaxTokens: b.Config.MaxTokens,
		Effort: b.Config.Thinking.Level + number(b.Config.Thinking.Budget), Key: r.Header.Get("X-Goog-Api-Key"), wantsUsage: true,
	}
	for _, p := range b.System.Parts {
		req.System += p.Text
	}
	for _, c := range b.Contents {
		t := Turn{Role: strings.Replace(c.Role, "model", "assistant", 1)}
		for _, p := range c.Parts {
			if p.InlineData != nil {
				t.Images = append(t.Images, image(p.InlineData.MimeType, p.InlineData.Data))
			}
			if !p.Thought {
				t.Text += p.Text
			}
			if p.Signature != "" {
				t.sign(p.Signature, p.Text)
			}
		}
		req.Turns = append(req.Turns, t)
	}
	return req, nil
}

func (gemini) encode(sc Script, _ Request) encoder { return &geminiEncoder{sc: sc} }

type geminiEncoder struct {
	sc   Script
	sent int // tokens
}

type geminiCandidate struct {
	Content object `json:"content,omitempty"`
	Finish  string `json:"finishReason,omitempty"`
	Index   int    `json:"index"`
}

func geminiChunk(parts ...object) string {
	c := geminiCandidate{Content: object{"parts": parts, "role": "model"}}
	return event(object{"candidates": []geminiCandidate{c}, "modelVersion": "m", "responseId": "1"})
}

func (e *geminiEncoder) start() string { return "" }

func (e *geminiEncoder) think(token string) string {
	return geminiChunk(object{"text": token, "thought": true})
}

func (e *geminiEncoder) thought() string {
	if e.sc.Redacted == "" {
		return ""
	}
	return geminiChunk(object{"text": "", "thoughtSignature": e.sc.Redacted})
}

func (e *geminiEncoder) text(token string) string {
	part := object{"text": token}
	if e.sent++; e.sent == len(e.sc.Tokens) && e.sc.Signature != "" {
		part["thoughtSignature"] = e.sc.Signature
	}
	return geminiChunk(part)
}

// calls come whole.
func (e *geminiEncoder) calls() string {
	var parts []object
	for _, t := range e.sc.Tools {
		parts = append(parts, object{"functionCall": object{"id": t.ID, "name": t.Name, "args": json.RawMessage(join(t.Arguments))}})
	}
	if len(parts) == 0 {
		return ""
	}
	return geminiChunk(parts...)
}

func (e *geminiEncoder) finish() string {
	last := object{"modelVersion": "m"}
	if !e.sc.NoFinish {
		reason := map[string]string{"": "STOP", "stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}[e.sc.Finish]
		if reason == "" {
			reason = e.sc.Finish
		}
		last["candidates"] = []geminiCandidate{{Finish: reason}}
	}
	if e.sc.Usage {
		last["usageMetadata"] = object{
			"promptTokenCount": 7, "cachedContentTokenCount": 3, "candidatesTokenCount": len(e.sc.Tokens),
			"thoughtsTokenCount": len(e.sc.Reasoning), "totalTokenCount": 7 + len(e.sc.Tokens) + len(e.sc.Reasoning),
		}
	}
	return event(last)
}

// done is nothing: the stream just ends.
func (e *geminiEncoder) done() string { return "" }

// geminiModels are two a page, and one that makes embeddings.
func geminiModels(names []string, after string) any {
	names = names[slices.Index(names, after)+1:]
	models := []object{{"name": "models/embedder", "supportedGenerationMethods": []string{"embedContent"}}}
	for _, name := range names[:min(2, len(names))] {
		models = append(models, object{
			"name": "models/" + name, "displayName": "Gemini " + name, "inputTokenLimit": 1048576, "outputTokenLimit": 65536,
			"supportedGenerationMethods": []string{"generateContent", "countTokens"}, "thinking": true,
		})
	}
	page := object{"models": models}
	if len(names) > 2 {
		page["nextPageToken"] = names[1]
	}
	return page
}
