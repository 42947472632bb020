package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/omnichat/omnichat/hub"
)

// mendsMax is how often one request is mended: each time one parameter is left
// out, renamed or lowered.
const mendsMax = 3

// refusingMax is how many models' refusals are remembered.
const refusingMax = 500

// mend is what is done with a parameter that a model refused.
type mend struct {
	field string          // its path in the request, with dots; systemRole: the system's text goes to the first turn
	name  string          // what it is called instead; "" if it is left out
	most  int64           // what it is lowered to; 0 if it is not
	value json.RawMessage // if only this value was refused: that; otherwise nil
}

// refusals are what models have refused, by the model's name and path.
type refusals struct {
	mu    sync.Mutex
	mends map[string][]mend
}

func (r *refusals) of(key string) []mend {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mends[key])
}

func (r *refusals) remember(key string, m mend) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mends == nil || r.mends[key] == nil && len(r.mends) >= refusingMax {
		r.mends = map[string][]mend{}
	}
	if list := r.mends[key]; len(list) < 4*mendsMax {
		r.mends[key] = append(list, m)
	}
}

// needed are the fields without which a request is none.
var needed = []string{"model", "messages", "contents", "system", "systemInstruction", "stream"}

// limits are the names that the longest answer has among servers.
var limits = []string{"max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"}

// thoughts are the words for thinking, in whatever a request has of it.
var thoughts = []string{"reasoning", "reasoningeffort", "effort", "thinking", "think", "thoughts", "enablethinking", "thinkingconfig", "thinkingbudget", "thinkinglevel"}

// thinkings are the fields that ask for thinking, or against it.
var thinkings = []string{"reasoning_effort", "reasoning", "thinking", "think", "output_config", "chat_template_kwargs", "generationConfig.thinkingConfig"}

var (
	identifier = regexp.MustCompile(`[A-Za-z][A-Za-z0-9_.]*`)
	number     = regexp.MustCompile(`\d+`)
	// aboutValue are words of a message that refuses a value, and not the field.
	aboutValue = regexp.MustCompile(`(?i)too (large|high|small|low|long|many)|at (most|least)|less than|greater than|between|range|exceed|maximum|minimum|must be|should be|[<>]=?\s*\d`)
	// aboutField are words of one that refuses the field.
	aboutField = regexp.MustCompile(`(?i)unsupported|not supported|not support|not allowed|not permitted|unknown|unrecognized|unexpected|extra|cannot find|deprecated|no longer|not enabled|not available|not valid with`)
)

// plainName is a field's name in one spelling.
func plainName(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "", "[", "", "]", "").Replace(s))
}

// mendFor finds in an error which field of a request it names, and what is to be
// done about it.
func mendFor(body []byte, refused *StatusError) (mend, bool) {
	if noSystem.MatchString(refused.Detail) && !bytes.Equal(joinSystem(body), body) {
		return mend{field: systemRole}, true
	}
	fields := fieldsOf(body)
	// What is named beside the text goes first, then the words in their order.
	words := append([]string{refused.Param}, identifier.FindAllString(refused.Detail, 400)...)
	for _, word := range words {
		if word = strings.Trim(word, "."); word == "" {
			continue
		}
		for _, f := range fields {
			if f.named(word) {
				return f.mend(refused.Detail), true
			}
		}
	}
	return mend{}, false
}

// field is one that a request has and can do without.
type field struct {
	path  string
	value json.RawMessage
}

// fieldsOf lists a request's fields that can be left out.
func fieldsOf(body []byte) []field {
	var top map[string]json.RawMessage
	if json.Unmarshal(body, &top) != nil {
		return nil
	}
	var out []field
	for name, value := range top {
		if name == "generationConfig" {
			var config map[string]json.RawMessage
			_ = json.Unmarshal(value, &config)
			for inner, value := range config {
				out = append(out, field{name + "." + inner, value})
			}
			continue
		}
		if !slices.Contains(needed, name) {
			out = append(out, field{name, value})
		}
	}
	slices.SortFunc(out, func(a, b field) int { return strings.Compare(a.path, b.path) })
	return out
}

func (f field) last() string { return f.path[strings.LastIndexByte(f.path, '.')+1:] }

// named says whether a word of an error means the field.
func (f field) named(word string) bool {
	w := plainName(word)
	if w == plainName(f.path) || w == plainName(f.last()) {
		return true
	}
	if first, _, ok := strings.Cut(word, "."); ok && plainName(first) == plainName(f.path) {
		return true // stream_options.include_usage
	}
	if slices.Contains(thinkings, f.path) {
		return slices.Contains(thoughts, w) || strings.HasPrefix(w, "thinking") || strings.HasPrefix(w, "reasoning")
	}
	return false
}

// mend says what is done about the field.
func (f field) mend(said string) mend {
	m := mend{field: f.path}
	if aboutValue.MatchString(said) && !aboutField.MatchString(said) {
		m.value = f.value
	}
	at := slices.Index(limits, f.last())
	if at < 0 {
		return m
	}
	sent, _ := strconv.ParseInt(string(f.value), 10, 64)
	if m.value != nil {
		for _, n := range number.FindAllString(said, 50) {
			if n, err := strconv.ParseInt(n, 10, 64); err == nil && n < sent && n > m.most {
				m.most = n
			}
		}
		return m
	}
	switch f.path {
	case "max_tokens":
		m.name = "max_completion_tokens"
	case "max_completion_tokens":
		if strings.Contains(said, "max_tokens") {
			m.name = "max_tokens"
		}
	}
	return m
}

// apply returns the request with the mend made, or as it was if it has no use
// for it.
func (m mend) apply(body []byte) []byte {
	if m.field == systemRole {
		return joinSystem(body)
	}
	var top map[string]json.RawMessage
	if json.Unmarshal(body, &top) != nil {
		return body
	}
	outer, name, inside := strings.Cut(m.field, ".")
	at := top
	if inside {
		at = nil
		if json.Unmarshal(top[outer], &at) != nil {
			return body
		}
	} else {
		name = m.field
	}
	value, ok := at[name]
	if !ok || m.value != nil && m.most == 0 && !bytes.Equal(m.value, value) {
		return body
	}
	if m.most > 0 {
		if n, err := strconv.ParseInt(string(value), 10, 64); err != nil || n <= m.most {
			return body
		}
		at[name] = json.RawMessage(strconv.FormatInt(m.most, 10))
	} else {
		delete(at, name)
		if m.name != "" && at[m.name] == nil {
			at[m.name] = value
		}
	}
	if inside {
		inner, err := json.Marshal(at)
		if err != nil {
			return body
		}
		top[outer] = inner
	}
	out, err := json.Marshal(top)
	if err != nil {
		return body
	}
	return out
}

// mendable is the refusal of a request that may do better without something.
func mendable(err error) (*StatusError, bool) {
	var s *StatusError
	if !errors.As(err, &s) {
		return nil, false
	}
	code := hub.CodeOf(err)
	if noSystem.MatchString(s.Detail) { // servers take the blame for what their templates raise
		return s, code == hub.CodeProviderInvalid || code == hub.CodeProviderError
	}
	if s.Status != http.StatusBadRequest && s.Status != http.StatusUnprocessableEntity {
		return nil, false
	}
	return s, code == hub.CodeProviderInvalid || code == hub.CodeContextLength
}

// modelOf is the name under which a request's refusals are remembered.
func modelOf(path string, body []byte) string {
	var named struct {
		Model string `json:"model"`
	}
	_ = json.Unmarshal(body, &named) // Gemini's is in the path
	return path + " " + named.Model
}

// mended calls try with a request's body until it is not refused for what it
// names, and remembers what helped.
func (c *Client) mended(path string, body []byte, try func(body []byte) (shown bool, err error)) error {
	model := modelOf(path, body)
	for _, m := range c.refused.of(model) {
		body = m.apply(body)
	}
	var made []mend
	var first error // what the server said of the question as it was asked
	for tries := 0; ; tries++ {
		shown, err := try(body)
		if err == nil || shown {
			for _, m := range made {
				c.refused.remember(model, m)
			}
			return err
		}
		refused, ok := mendable(err)
		if first == nil || !ok {
			first = err
		}
		if !ok || tries == mendsMax {
			return first
		}
		m, ok := mendFor(body, refused)
		tooLong := hub.CodeOf(err) == hub.CodeContextLength
		if tooLong {
			m.name, m.most = "", 0 // what there is room for, the server knows
		}
		if !ok || m.most == 0 && m.field == "max_tokens" && strings.HasSuffix(path, "/messages") { // which must have it
			return first
		}
		next := m.apply(body)
		if bytes.Equal(next, body) {
			return first
		}
		c.opt.Logger.Info("the provider refused a parameter and is asked without it", "parameter", m.field, "instead", m.name)
		body = next
		if !tooLong { // which is of this conversation alone
			made = append(made, m)
		}
	}
}
