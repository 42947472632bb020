package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	fast "github.com/go-json-experiment/json" // encoding/json/v2 of Go 1.27: half the CPU of encoding/json
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/omnichat/omnichat/hub"
)

// What stands beside an answer's text is read leniently: a member of another
// type than it should have is as if it were absent. Only what is no JSON is
// malformed.
var (
	quick   = fast.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsonv1.UnmarshalArrayFromAnyLength(true))
	lenient = fast.JoinOptions(quick, jsonv1.ReportErrorsWithLegacySemantics(true)) // goes on behind what does not fit
)

// errMalformed says that a part of a response is nothing that the vendor's format
// has.
var errMalformed = errors.New("malformed")

// Unmarshal reads JSON leniently. It fails only for what is no JSON. Reading the
// same twice must give the same: v's own types set themselves and add nothing.
func Unmarshal(data []byte, v any) error {
	if fast.Unmarshal(data, v, quick) == nil {
		return nil
	}
	err := fast.Unmarshal(data, v, lenient)
	var other *jsonv1.UnmarshalTypeError
	if err == nil || errors.As(err, &other) {
		return nil
	}
	return err
}

// Head is what every event may have: an error in place of an answer.
type Head struct {
	Type   string          `json:"type"`
	Object string          `json:"object"`
	Error  json.RawMessage `json:"error"`
}

// Decode reads the event into v, of which head is a part. It returns the error
// that the event is instead, if it is one.
func (e Event) Decode(v any, head *Head) error {
	err := Unmarshal(e.Data, v)
	named := strings.EqualFold(e.Name, "error")
	if err == nil && !named && head.Type != "error" && head.Object != "error" && (len(head.Error) == 0 || string(head.Error) == "null") {
		return nil
	}
	if parsed, ok := parseError(e.Data); ok {
		return inBand(parsed)
	}
	if named { // llama.cpp's has no more than the inside of an error object
		if parsed, ok := parseError(slices.Concat([]byte(`{"error":`), e.Data, []byte("}"))); ok && parsed.Message != "" {
			return inBand(parsed)
		}
	}
	switch {
	case named: // its words must do
		text := strings.ToValidUTF8(strings.TrimSpace(string(e.Data)), "")
		said := apiError{Message: text, words: strings.ToLower(text)}
		return said.fail(0, fmt.Errorf("an error event without an error object: %.200q", text))
	case err == nil: // an error member that says nothing, like ""
		return nil
	}
	return Fail(hub.CodeProviderError, fmt.Errorf("%w chunk: %w", errMalformed, err))
}

// Failed is the error that a part of an event tells, nil if it is none.
func Failed(raw json.RawMessage) error {
	switch string(raw) {
	case "", "null", `""`, "{}", "false":
		return nil
	}
	if e, ok := parseError(slices.Concat([]byte(`{"error":`), raw, []byte("}"))); ok {
		return inBand(e)
	}
	return nil
}

// Count is a number of tokens: a whole number, or any other that is rounded,
// also in quotes. Anything else is as if it were absent.
type Count struct {
	N     int64
	Known bool
}

// UnmarshalJSONFrom never fails but for what is no JSON.
func (c *Count) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	*c = Count{}
	text := string(raw)
	if raw.Kind() == '"' {
		text = strings.TrimSpace(unquote(raw))
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		*c = Count{n, true}
	} else if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(f) {
		*c = Count{int64(min(max(math.Round(f), -1e15), 1e15)), true}
	}
	return nil
}

// Raise makes c the greater of both: what is counted in several places, or again
// and again, is never less than it was.
func (c *Count) Raise(other Count) {
	if other.Known {
		c.N, c.Known = max(c.N, other.N), true
	}
}

// Text is what a model says, in whatever form it comes: a string, an object with
// one, or a list of both. Strings keep halves of characters, see [half].
type Text struct {
	Said    string
	Thought string
}

// textPart is an element of a list, or an object alone.
type textPart struct {
	Type      string `json:"type"`
	Text      Text   `json:"text"`
	Content   Text   `json:"content"`
	Value     Text   `json:"value"`
	Refusal   Text   `json:"refusal"`
	Thinking  Text   `json:"thinking"`
	Reasoning Text   `json:"reasoning"`
	Summary   Text   `json:"summary"`
}

// UnmarshalJSONFrom never fails but for what is no JSON.
func (t *Text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	*t = Text{}
	switch raw.Kind() {
	case '"':
		t.Said = unquote(raw)
	case '0':
		t.Said = string(raw)
	case '{':
		t.add(raw)
	case '[':
		var parts []jsontext.Value
		if deep(raw) || Unmarshal(raw, &parts) != nil {
			return nil
		}
		for _, p := range parts {
			t.add(p)
		}
	}
	return nil
}

// add adds one part.
func (t *Text) add(raw jsontext.Value) {
	switch raw.Kind() {
	case '"':
		t.Said += unquote(raw)
	case '{':
		var p textPart
		if deep(raw) || Unmarshal(raw, &p) != nil {
			return
		}
		said, thought := "", ""
		for _, x := range []*Text{&p.Text, &p.Content, &p.Value, &p.Refusal} {
			said += x.Said
			thought += x.Thought
		}
		for _, x := range []*Text{&p.Thinking, &p.Reasoning, &p.Summary} {
			thought += x.Said + x.Thought
		}
		if strings.HasPrefix(p.Type, "thinking") || strings.HasPrefix(p.Type, "thought") || strings.HasPrefix(p.Type, "reasoning") {
			said, thought = "", said+thought
		}
		t.Said += said
		t.Thought += thought
	}
}

// deep says whether JSON has more levels than a text of any vendor: each is read
// once for every level above it.
func deep(raw []byte) bool {
	const most = 12
	levels := 0
	for i := 0; i < len(raw) && levels <= most; i++ {
		switch raw[i] {
		case '{', '[':
			levels++
		case '}', ']':
			levels--
		case '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		}
	}
	return levels > most
}

// Arguments are those of a call: JSON, in a string or as it is.
type Arguments string

// UnmarshalJSONFrom never fails but for what is no JSON.
func (a *Arguments) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	*a = ""
	switch raw.Kind() {
	case '"':
		*a = Arguments(unquote(raw))
	case '{', '[':
		*a = Arguments(raw)
	}
	return nil
}

// unquote is a JSON string's text. A surrogate without its other half is written
// as three bytes of the form that UTF-8 would have for it.
func unquote(raw []byte) string {
	in := raw[1 : len(raw)-1]
	i := bytes.IndexByte(in, '\\')
	if i < 0 {
		return string(in)
	}
	out := make([]byte, 0, len(in))
	for ; i >= 0; i = bytes.IndexByte(in, '\\') {
		out = append(out, in[:i]...)
		c := in[i+1]
		in = in[i+2:]
		if c != 'u' {
			if at := strings.IndexByte("bfnrt", c); at >= 0 {
				c = "\b\f\n\r\t"[at]
			}
			out = append(out, c)
			continue
		}
		r := hex(in)
		in = in[4:]
		if !utf16.IsSurrogate(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		if len(in) >= 6 && in[0] == '\\' && in[1] == 'u' {
			if whole := utf16.DecodeRune(r, hex(in[2:])); whole != utf8.RuneError {
				out = utf8.AppendRune(out, whole)
				in = in[6:]
				continue
			}
		}
		out = append(out, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0xbf, 0x80|byte(r)&0xbf)
	}
	return string(append(out, in...))
}

// hex reads four digits, which the JSON reader has seen.
func hex(in []byte) rune {
	n, _ := strconv.ParseUint(string(in[:4]), 16, 16) // never fails
	return rune(n)
}
