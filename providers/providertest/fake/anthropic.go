package fake

import (
	"encoding/json"
	"net/http"
	"slices"
)

// Anthropic is its Messages API.
var Anthropic Dialect = anthropic{}

type anthropic struct{}

func (anthropic) Path() string { return "" }

func (anthropic) Error(status int, kind Kind) string {
	kinds := map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
		408: "timeout_error", 413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error", 529: "overloaded_error",
	}
	name, said := kinds[status], "scripted failure"
	if name == "" {
		name = "api_error"
	}
	switch kind {
	case QuotaUsedUp:
		said = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."
	case ContextTooLong:
		said = "prompt is too long: 9001 tokens > 8192 maximum"
	case Filtered:
		said = "Output blocked by content filtering policy"
	}
	return text(object{"type": "error", "error": object{"type": name, "message": said}, "request_id": "req_1"})
}

func (anthropic) Frame(body string) string { return "event: error\ndata: " + body + "\n\n" }

func (anthropic) Chunk(token string) string {
	return anthropicEvent("content_block_delta", object{"index": 0, "delta": object{"type": "text_delta", "text": token}})
}

func (anthropic) Whole(sc Script) string {
	blocks := []object{}
	if len(sc.Reasoning) > 0 {
		blocks = append(blocks, object{"type": "thinking", "thinking": join(sc.Reasoning), "signature": sc.Signature})
	}
	if len(sc.Tokens) > 0 {
		blocks = append(blocks, object{"type": "text", "text": join(sc.Tokens)})
	}
	for _, t := range sc.Tools {
		blocks = append(blocks, object{"type": "tool_use", "id": t.ID, "name": t.Name, "input": json.RawMessage(join(t.Arguments))})
	}
	answer := object{"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks, "stop_reason": anthropicReason(sc)}
	if sc.Usage {
		answer["usage"] = object{
			"input_tokens": 2, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3,
			"output_tokens": len(sc.Tokens) + len(sc.Reasoning), "output_tokens_details": object{"thinking_tokens": len(sc.Reasoning)},
		}
	}
	return text(answer)
}

func (anthropic) Zeros() string {
	return anthropicEvent("message_delta", object{"delta": object{}, "usage": object{"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0}})
}

func anthropicReason(sc Script) string {
	if reason := map[string]string{"": "end_turn", "stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use"}[sc.Finish]; reason != "" {
		return reason
	}
	return sc.Finish
}

func (anthropic) Finishes() map[string]string {
	return map[string]string{
		"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
		"pause_turn": "length", "refusal": "content_filter", "tool_use": "tool_calls",
	}
}

func (anthropic) Signed(sc Script) map[string]string {
	return map[string]string{sc.Signature: join(sc.Reasoning), sc.Redacted: ""}
}

func (anthropic) parse(r *http.Request, body []byte) (Request, error) {
	type block struct {
		Type, Text, Thinking, Signature, Data string
		Source                                struct {
			MediaType string `json:"media_type"`
			Data      string `json:"data"`
		} `json:"source"`
	}
	var b struct {
		Model    string  `json:"model"`
		System   []block `json:"system"`
		Messages []struct {
			Role    string  `json:"role"`
			Content []block `json:"content"`
		} `json:"messages"`
		Temperature *float64 `json:"temperature"`
		TopP        *float64 `json:"top_p"`
		MaxTokens   int      `json:"max_tokens"`
		Thinking    struct {
			Budget int `json:"budget_tokens"`
		} `json:"thinking"`
		Output struct {
			Effort string `json:"effort"`
		} `json:"output_config"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return Request{}, err
	}
	req := Request{
		Model: b.Model, Temperature: b.Temperature, TopP: b.TopP, MaxTokens: b.MaxTokens, Effort: b.Output.Effort + number(b.Thinking.Budget),
		Key: r.Header.Get("X-Api-Key"), wantsUsage: true,
	}
	for _, s := range b.System {
		req.System += s.Text
	}
	for _, m := range b.Messages {
		t := Turn{Role: m.Role}
		for _, c := range m.Content {
			switch c.Type {
			case "text":
				t.Text += c.Text
			case "image":
				t.Images = append(t.Images, image(c.Source.MediaType, c.Source.Data))
			case "thinking":
				t.sign(c.Signature, c.Thinking)
			case "redacted_thinking":
				t.sign(c.Data, "")
			}
		}
		req.Turns = append(req.Turns, t)
	}
	return req, nil
}

func (anthropic) encode(sc Script, _ Request) encoder { return &anthropicEncoder{sc: sc} }

type anthropicEncoder struct {
	sc    Script
	block string // the type of the one that is open
	n     int    // its index
}

func anthropicEvent(name string, fields object) string {
	fields["type"] = name
	return "event: " + name + "\n" + event(fields)
}

func (e *anthropicEncoder) open(kind string, block object) string {
	if e.block == kind {
		return ""
	}
	s := e.close()
	e.block = kind
	return s + anthropicEvent("content_block_start", object{"index": e.n, "content_block": block})
}

func (e *anthropicEncoder) close() string {
	if e.block == "" {
		return ""
	}
	s := anthropicEvent("content_block_stop", object{"index": e.n})
	e.block, e.n = "", e.n+1
	return s
}

func (e *anthropicEncoder) delta(kind, key, value string) string {
	return anthropicEvent("content_block_delta", object{"index": e.n, "delta": map[string]string{"type": kind, key: value}})
}

func (e *anthropicEncoder) start() string {
	usage := object{}
	if e.sc.Usage {
		usage = object{"input_tokens": 2, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3, "output_tokens": 1}
	}
	return anthropicEvent("message_start", object{"message": object{
		"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []any{}, "stop_reason": nil, "usage": usage,
	}}) + anthropicEvent("ping", object{})
}

func (e *anthropicEncoder) think(token string) string {
	return e.open("thinking", object{"type": "thinking", "thinking": "", "signature": ""}) + e.delta("thinking_delta", "thinking", token)
}

func (e *anthropicEncoder) thought() string {
	s := ""
	if e.block == "thinking" && e.sc.Signature != "" {
		s = e.delta("signature_delta", "signature", e.sc.Signature)
	}
	if e.sc.Redacted != "" {
		s += e.open("redacted", object{"type": "redacted_thinking", "data": e.sc.Redacted})
	}
	return s + e.close()
}

func (e *anthropicEncoder) text(token string) string {
	return e.open("text", object{"type": "text", "text": ""}) + e.delta("text_delta", "text", token)
}

func (e *anthropicEncoder) calls() string {
	s := ""
	for _, t := range e.sc.Tools {
		s += e.close() + e.open("tool", object{"type": "tool_use", "id": t.ID, "name": t.Name, "input": object{}})
		s += e.delta("input_json_delta", "partial_json", "")
		for _, piece := range t.Arguments {
			s += e.delta("input_json_delta", "partial_json", piece)
		}
	}
	return s
}

func (e *anthropicEncoder) finish() string {
	delta, fields := object{"stop_sequence": nil}, object{}
	if !e.sc.NoFinish {
		delta["stop_reason"] = anthropicReason(e.sc)
	}
	if e.sc.Usage {
		fields["usage"] = object{"output_tokens": len(e.sc.Tokens) + len(e.sc.Reasoning), "output_tokens_details": object{"thinking_tokens": len(e.sc.Reasoning)}}
	}
	fields["delta"] = delta
	return e.close() + anthropicEvent("message_delta", fields)
}

func (e *anthropicEncoder) done() string { return anthropicEvent("message_stop", object{}) }

// anthropicModels are two a page.
func anthropicModels(names []string, after string) any {
	names = names[slices.Index(names, after)+1:]
	data := []object{}
	for _, name := range names[:min(2, len(names))] {
		data = append(data, object{
			"id": name, "type": "model", "display_name": "Claude " + name, "max_input_tokens": 200000,
			"capabilities": object{"image_input": object{"supported": true}, "thinking": object{"supported": true}, "effort": object{"supported": false}},
		})
	}
	page := object{"data": data, "has_more": len(names) > 2}
	if len(data) > 0 {
		page["last_id"] = data[len(data)-1]["id"]
	}
	return page
}
