package fake

import (
	"encoding/json"
	"net/http"
)

// Ollama is its own calls for models, and chat completions.
var Ollama Dialect = ollama{openAI{}}

type ollama struct{ openAI }

// Error knows no quota and no filter: the models are the user's own.
func (ollama) Error(status int, kind Kind) string {
	switch {
	case kind == ContextTooLong:
		return `{"error":{"message":"the input length exceeds the context length","type":"invalid_request_error","param":null,"code":null}}`
	case kind != "":
		return ""
	case status == http.StatusNotFound:
		return `{"error":{"message":"model \"m\" not found, try pulling it first","type":"not_found_error","param":null,"code":null}}`
	case status == http.StatusServiceUnavailable:
		return `{"error":{"message":"server busy, please try again.  maximum pending requests exceeded","type":"api_error","param":null,"code":null}}`
	}
	return `{"error":{"message":"scripted failure","type":"api_error","param":null,"code":null}}`
}

// Finishes are the two that Ollama has, beside calls.
func (ollama) Finishes() map[string]string {
	return map[string]string{"stop": "stop", "length": "length", "tool_calls": "tool_calls"}
}

// Whole has the thinking in Ollama's field.
func (d ollama) Whole(sc Script) string {
	sc.ThinkKey = "reasoning"
	return d.openAI.Whole(sc)
}

// encode sends the thinking in Ollama's field.
func (d ollama) encode(sc Script, req Request) encoder {
	if sc.ThinkKey == "" {
		sc.ThinkKey = "reasoning"
	}
	return d.openAI.encode(sc, req)
}

func ollamaTags(names []string) any {
	models := []object{}
	for _, name := range append(names, "embedder") {
		models = append(models, object{"name": name, "model": name})
	}
	return object{"models": models}
}

func (s *Server) show(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Model string `json:"model"`
	}
	_ = json.NewDecoder(r.Body).Decode(&asked) // no model: not found
	switch asked.Model {
	case "embedder":
		s.reply(w, object{"capabilities": []string{"embedding"}})
	case "unknown":
		http.Error(w, `{"error":"model 'unknown' not found"}`, http.StatusNotFound)
	default:
		s.reply(w, object{
			"capabilities": []string{"completion", "vision", "thinking"}, "parameters": "stop \"x\"",
			"model_info": object{"general.architecture": "llama", "llama.context_length": 131072},
		})
	}
}
