package ollama

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
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

var numCtx = regexp.MustCompile(`(?m)^num_ctx\s+"?(\d+)`)

// contextOf is the context of a model as it is loaded, of what /api/ps says, or as
// its Modelfile sets it. The one that it was trained with is not in force: what
// Ollama takes instead is known once it is loaded.
func contextOf(show, loaded wire.Hints) int64 {
	if n := loaded.Number("context_length"); n > 0 {
		return n
	}
	if m := numCtx.FindStringSubmatch(show.Text("parameters")); m != nil {
		if n, err := strconv.ParseInt(m[1], 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// model is what is known of one. Without an answer that shows it, it has a name.
func model(name string, show, loaded wire.Hints) (out hub.Model, chat bool) {
	out = hub.Model{ID: name, Name: strings.TrimSuffix(name, ":latest"), Context: contextOf(show, loaded), OwnContext: true}
	can := show.Texts("capabilities")
	if len(can) == 0 { // not shown, or by an older server
		return out, true
	}
	sees := slices.Contains(can, "vision")
	out.Vision, out.Reasoning = &sees, slices.Contains(can, "thinking")
	out.Thoughtless = !out.Reasoning
	return out, slices.Contains(can, "completion") // or it makes embeddings
}

// nameOf is an entry's model, by its full name.
func nameOf(m wire.Hints) string { return m.Text("name", "model", "id") }

// same says whether two names mean one model: a tag that is left out is the latest.
func same(a, b string) bool {
	full := func(name string) string {
		if !strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
			name += ":latest"
		}
		return strings.ToLower(name)
	}
	return full(a) == full(b)
}

// find is the entry of a model in a list.
func find(list []wire.Hints, name string) wire.Hints {
	for _, m := range list {
		if same(m.Text("name"), name) || same(m.Text("model"), name) {
			return m
		}
	}
	return nil
}
