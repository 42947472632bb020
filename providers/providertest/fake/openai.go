package fake

import (
	"encoding/json"
	"net/http"
	"strings"
)

// OpenAI is chat completions, as OpenAI and compatible servers speak it.
var OpenAI Dialect = openAI{path: "/v1"}

type openAI struct{ path string }

func (d openAI) Path() string { return d.path }

func (openAI) Error(status int, kind Kind) string {
	e := object{"message": "scripted failure", "type": "error", "param": nil, "code": nil}
	switch kind {
	case QuotaUsedUp:
		e = object{"message": "You exceeded your current quota, please check your plan and billing details.", "type": "insufficient_quota", "code": "insufficient_quota"}
	case ContextTooLong:
		e = object{"message": "This model's maximum context length is 8192 tokens.", "type": "invalid_request_error", "code": "context_length_exceeded"}
	case Filtered:
		e = object{"message": "The response was filtered.", "type": "invalid_request_error", "code": "content_filter"}
	default:
		switch status {
		case http.StatusUnauthorized:
			e["code"] = "invalid_api_key"
		case http.StatusNotFound:
			e["code"] = "model_not_found"
		case http.StatusTooManyRequests:
			e["code"] = "rate_limit_exceeded"
		case http.StatusServiceUnavailable:
			e["message"] = "The engine is currently overloaded"
		}
	}
	return text(object{"error": e})
}

func (openAI) Frame(body string) string { return "data: " + body + "\n\n" }

func (openAI) Chunk(token string) string { return openAIDelta("content", token) }

func (openAI) Whole(sc Script) string {
	message := object{"role": "assistant", "content": join(sc.Tokens)}
	if len(sc.Reasoning) > 0 {
		key := sc.ThinkKey
		if key == "" {
			key = "reasoning_content"
		}
		message[key] = join(sc.Reasoning)
	}
	var calls []object
	for _, t := range sc.Tools {
		calls = append(calls, object{"id": t.ID, "type": "function", "function": object{"name": t.Name, "arguments": join(t.Arguments)}})
	}
	if len(calls) > 0 {
		message["tool_calls"] = calls
	}
	finish := sc.Finish
	if finish == "" {
		finish = "stop"
	}
	answer := object{"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": []object{{"index": 0, "message": message, "finish_reason": finish}}}
	if sc.Usage {
		answer["usage"] = openAIUsage(sc)
	}
	return text(answer)
}

func openAIUsage(sc Script) object {
	in, out := 7, len(sc.Tokens)+len(sc.Reasoning)
	return object{
		"prompt_tokens": in, "completion_tokens": out, "total_tokens": in + out,
		"prompt_tokens_details": object{"cached_tokens": 3}, "completion_tokens_details": object{"reasoning_tokens": len(sc.Reasoning)},
	}
}

func (openAI) Zeros() string {
	return event(object{"choices": []any{}, "usage": object{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}})
}

func (openAI) Finishes() map[string]string {
	return map[string]string{
		"stop": "stop", "length": "length", "content_filter": "content_filter", "tool_calls": "tool_calls",
		"function_call": "tool_calls", "max_tokens": "length", "model_length": "length", "eos": "stop", "sensitive": "content_filter",
	}
}

func (openAI) Signed(sc Script) map[string]string {
	return map[string]string{sc.Signature: join(sc.Reasoning), sc.Redacted: "", sc.Signature + "-google": ""}
}

func (d openAI) parse(r *http.Request, body []byte) (Request, error) {
	var b struct {
		Model    string `json:"model"`
		Messages []struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
			Details []struct {
				Type, Text, Signature, Data string
			} `json:"reasoning_details"`
			Extra struct {
				Google struct {
					Signature string `json:"thought_signature"`
				} `json:"google"`
			} `json:"extra_content"`
		} `json:"messages"`
		Temperature         *float64 `json:"temperature"`
		TopP                *float64 `json:"top_p"`
		MaxTokens           int      `json:"max_tokens"`
		MaxCompletionTokens int      `json:"max_completion_tokens"`
		Effort              string   `json:"reasoning_effort"`
		StreamOptions       struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return Request{}, err
	}
	req := Request{
		Model: b.Model, Temperature: b.Temperature, TopP: b.TopP, MaxTokens: b.MaxTokens + b.MaxCompletionTokens, Effort: b.Effort,
		Key: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), wantsUsage: b.StreamOptions.IncludeUsage,
	}
	for _, m := range b.Messages {
		t := Turn{Role: m.Role}
		var parts []struct {
			Text     string `json:"text"`
			ImageURL struct {
				URL string `json:"url"`
			} `json:"image_url"`
		}
		if json.Unmarshal(m.Content, &parts) != nil {
			if err := json.Unmarshal(m.Content, &t.Text); err != nil {
				return Request{}, err
			}
		}
		for _, p := range parts {
			t.Text += p.Text
			if url, ok := strings.CutPrefix(p.ImageURL.URL, "data:"); ok {
				mediaType, data, _ := strings.Cut(url, ";base64,")
				t.Images = append(t.Images, image(mediaType, data))
			}
		}
		for _, d := range m.Details {
			if d.Type == "reasoning.encrypted" {
				t.sign(d.Data, "")
			} else {
				t.sign(d.Signature, d.Text)
			}
		}
		if s := m.Extra.Google.Signature; s != "" {
			t.sign(s, "")
		}
		if m.Role == "system" {
			req.System += t.Text
			continue
		}
		req.Turns = append(req.Turns, t)
	}
	return req, nil
}

func (openAI) encode(sc Script, req Request) encoder {
	return &openAIEncoder{sc: sc, usage: sc.Usage && req.wantsUsage}
}

type openAIEncoder struct {
	sc    Script
	usage bool
}

type openAIChoice struct {
	Index  int     `json:"index"`
	Delta  any     `json:"delta"`
	Finish *string `json:"finish_reason"`
}

func openAIChunk(delta any, finish *string) string {
	return event(struct {
		ID      string          `json:"id"`
		Object  string          `json:"object"`
		Created int             `json:"created"`
		Model   string          `json:"model"`
		Choices [1]openAIChoice `json:"choices"`
	}{"chatcmpl-1", "chat.completion.chunk", 1, "m", [1]openAIChoice{{Delta: delta, Finish: finish}}})
}

func openAIDelta(key, value string) string { return openAIChunk(map[string]string{key: value}, nil) }

func (e *openAIEncoder) start() string {
	return openAIChunk(object{"role": "assistant", "content": ""}, nil)
}

func (e *openAIEncoder) think(token string) string {
	key := e.sc.ThinkKey
	if key == "" {
		key = "reasoning_content"
	}
	delta := object{key: token}
	if e.sc.Signature != "" {
		delta["reasoning_details"] = []object{{"type": "reasoning.text", "text": token, "format": "anthropic-claude-v1", "index": 0}}
	}
	return openAIChunk(delta, nil)
}

func (e *openAIEncoder) thought() string {
	if e.sc.Signature == "" {
		return ""
	}
	return openAIChunk(object{"content": "", "reasoning_details": []object{{"type": "reasoning.text", "signature": e.sc.Signature, "index": 0}}}, nil) +
		openAIChunk(object{"reasoning_details": []object{{"type": "reasoning.encrypted", "data": e.sc.Redacted, "index": 1}}}, nil)
}

func (e *openAIEncoder) text(token string) string { return openAIDelta("content", token) }

func (e *openAIEncoder) calls() string {
	s := ""
	for i, t := range e.sc.Tools {
		s += openAIChunk(object{"tool_calls": []object{{"index": i, "id": t.ID, "type": "function", "function": object{"name": t.Name, "arguments": ""}}}}, nil)
		for _, piece := range t.Arguments {
			s += openAIChunk(object{"tool_calls": []object{{"index": i, "function": object{"arguments": piece}}}}, nil)
		}
	}
	return s
}

func (e *openAIEncoder) finish() string {
	s := ""
	if e.sc.Signature != "" {
		s += openAIChunk(object{"extra_content": object{"google": object{"thought_signature": e.sc.Signature + "-google"}}}, nil)
	}
	if !e.sc.NoFinish {
		reason := e.sc.Finish
		if reason == "" {
			reason = "stop"
		}
		s += openAIChunk(object{}, &reason)
	}
	if e.usage {
		s += event(object{"choices": []any{}, "usage": openAIUsage(e.sc)})
	}
	return s
}

func (e *openAIEncoder) done() string { return "data: [DONE]\n\n" }

func openAIModels(names []string) any {
	data := []object{}
	for _, name := range names {
		data = append(data, object{"id": name, "object": "model"})
	}
	return object{"object": "list", "data": data}
}
