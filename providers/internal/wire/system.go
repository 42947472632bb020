package wire

import (
	"encoding/json"
	"regexp"
	"slices"
)

// systemRole stands for the system's turn where fields of a request are named.
const systemRole = "system role"

// noSystem are the words of chat templates and servers that know no system: the
// first of them are Gemma's, of those that let only two roles alternate, OpenAI's of
// its first reasoning models, and Google's of Gemma.
var noSystem = regexp.MustCompile(`(?i)system[ '"` + "`" + `]*(role|prompt|message|instruction)s?[^.]{0,60}(not|n't) (be )?(support|enabled|allow|accept|permit|available)` +
	`|(not|n't) (support|allow|accept|have)[^.]{0,40}\bsystem\b` +
	`|only user(,| and) (assistant|model)[^.]{0,20} roles are supported|roles must alternate` +
	`|developer instruction[^.]{0,20} not (enabled|supported)` +
	`|(unknown|invalid|unexpected|unsupported) (message )?role:? *['"` + "`" + `]?system`)

// joinSystem returns a request, of any vendor, whose system text stands at the
// beginning of the first turn of a person instead, or as it was if it has none.
func joinSystem(body []byte) []byte {
	var top map[string]json.RawMessage
	if json.Unmarshal(body, &top) != nil {
		return body
	}
	var ok bool
	switch {
	case top["contents"] != nil: // Gemini's
		var system struct {
			Parts json.RawMessage `json:"parts"`
		}
		_ = json.Unmarshal(top["systemInstruction"], &system) // then it has none
		top["contents"], ok = prepend(top["contents"], "parts", system.Parts)
		delete(top, "systemInstruction")
	case top["system"] != nil: // Anthropic's
		top["messages"], ok = prepend(top["messages"], "content", top["system"])
		delete(top, "system")
	default:
		var turns []map[string]json.RawMessage
		if json.Unmarshal(top["messages"], &turns) != nil || len(turns) < 2 || string(turns[0]["role"]) != `"system"` {
			return body
		}
		rest, err := json.Marshal(turns[1:])
		if err != nil {
			return body
		}
		top["messages"], ok = prepend(rest, "content", turns[0]["content"])
	}
	out, err := json.Marshal(top)
	if !ok || err != nil {
		return body
	}
	return out
}

// prepend puts content before that of the first turn of a list, and says whether
// there was any.
func prepend(list json.RawMessage, field string, content json.RawMessage) (json.RawMessage, bool) {
	var turns []map[string]json.RawMessage
	if len(content) == 0 || json.Unmarshal(list, &turns) != nil || len(turns) == 0 || string(turns[0]["role"]) != `"user"` {
		return list, false
	}
	var first, then string
	var joined any
	if json.Unmarshal(content, &first) == nil && json.Unmarshal(turns[0][field], &then) == nil {
		joined = first + "\n\n" + then
	} else {
		joined = slices.Concat(partsOf(content), partsOf(turns[0][field]))
	}
	var err error
	if turns[0][field], err = json.Marshal(joined); err != nil {
		return list, false
	}
	out, err := json.Marshal(turns)
	return out, err == nil
}

// partsOf is a content as the parts that it has.
func partsOf(content json.RawMessage) []any {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return []any{map[string]string{"type": "text", "text": text}}
	}
	var parts []any
	_ = json.Unmarshal(content, &parts) // it has none
	return parts
}
