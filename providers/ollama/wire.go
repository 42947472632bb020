package ollama

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/omnichat/omnichat/hub"
)

// base completes what OLLAMA_HOST may be: a host, with a port or without.
func base(host string) string {
	switch {
	case host == "":
		return "http://127.0.0.1:11434"
	case strings.Contains(host, "://"):
		return strings.TrimSuffix(strings.TrimRight(host, "/"), "/v1")
	case strings.Contains(strings.Trim(host, "[]"), ":") && !strings.HasSuffix(host, "]"):
		return "http://" + strings.TrimRight(host, "/")
	}
	return "http://" + host + ":11434"
}

type tags struct {
	Models []struct {
		Name string `json:"name"`
	} `json:"models"`
}

// show is what one model can do.
type show struct {
	Capabilities []string                   `json:"capabilities"`
	Parameters   string                     `json:"parameters"` // of its Modelfile, a line each
	Info         map[string]json.RawMessage `json:"model_info"`
}

var numCtx = regexp.MustCompile(`(?m)^num_ctx\s+(\d+)`)

// context is the model's, unless its Modelfile sets another.
func (s show) context() int64 {
	if m := numCtx.FindStringSubmatch(s.Parameters); m != nil {
		if n, err := strconv.ParseInt(m[1], 10, 64); err == nil {
			return n
		}
	}
	for name, raw := range s.Info {
		if strings.HasSuffix(name, ".context_length") {
			n, _ := strconv.ParseInt(string(raw), 10, 64) // else unknown
			return max(0, n)
		}
	}
	return 0
}

func (t tags) models(shown []show) []hub.Model {
	list := []hub.Model{}
	for i, m := range t.Models {
		s := shown[i]
		out := hub.Model{ID: m.Name, Name: strings.TrimSuffix(m.Name, ":latest"), Context: s.context()}
		if len(s.Capabilities) > 0 {
			if !slices.Contains(s.Capabilities, "completion") {
				continue // it makes embeddings
			}
			sees := slices.Contains(s.Capabilities, "vision")
			out.Vision, out.Reasoning = &sees, slices.Contains(s.Capabilities, "thinking")
		}
		list = append(list, out)
	}
	slices.SortFunc(list, func(a, b hub.Model) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
