package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/omnichat/omnichat/hub"
)

// told is what a teller makes of texts.
func told(texts ...string) (text, reasoning string) {
	t := Teller{yield: func(d hub.Delta, _ error) bool {
		switch d.Past {
		case hub.KindReasoning:
			text, reasoning = "", reasoning+text
		case hub.KindText:
			text, reasoning = reasoning+text, ""
		}
		text += d.Text
		reasoning += d.Reasoning
		return true
	}}
	for _, s := range texts {
		t.Text(s)
	}
	t.Done()
	_ = t.end(echo{}, nil) // which ends every answer well
	return text, reasoning
}

// FuzzTeller holds that how a text is cut changes nothing, that nothing of it is
// lost where there is no thinking, and that all that is told is UTF-8.
func FuzzTeller(f *testing.F) {
	for _, s := range []string{"<think>a b</think>\n\nHello", " <thinking>\xed\xa0\xbd", "\xed\xa0\xbd\xed\xb9\x82", "a\xff\xf0\x9f", "[THINK]x[/think]◁think▷y◁/think▷z", "<think", "a\n</think>\n\nb\n</think>\n", "```\n</think>\n```\n </THINK> \nb", "~~~~ x\n~~~\n</think>\n~~~~\n\t[/THINK]", "\xed\xa0\xbdx\xed\xb9\x82"} {
		f.Add(s, 1, 2)
	}
	f.Fuzz(func(t *testing.T, s string, i, k int) {
		i = min(max(i, 0), len(s))
		k = min(max(k, i), len(s))
		text, reasoning := told(s)
		if a, b := told(s[:i], s[i:k], s[k:]); a != text || b != reasoning {
			t.Errorf("whole %q, %q; cut at %d and %d: %q, %q", text, reasoning, i, k, a, b)
		}
		if !utf8.ValidString(text) || !utf8.ValidString(reasoning) {
			t.Errorf("%q, %q", text, reasoning)
		}
		if start := strings.TrimSpace(s); !strings.HasPrefix(start, "<") && !strings.HasPrefix(start, "[") && !strings.HasPrefix(start, "◁") && !hasClosing(s) && text != Whole(s) {
			t.Errorf("%q became %q", s, text)
		}
	})
}

// hasClosing says whether a closing tag is anywhere in a text.
func hasClosing(s string) bool {
	for _, tag := range openings {
		if indexFold(s, tag[1]) >= 0 {
			return true
		}
	}
	return false
}

// TestThoughtsMayEndThatNothingHasOpened has closing tags stand in many places, and be cut
// anywhere.
func TestThoughtsMayEndThatNothingHasOpened(t *testing.T) {
	for said, want := range map[string][2]string{ // the text and the thoughts
		"Okay, so.\n</think>\n\nHello":                   {"Hello", "Okay, so.\n"},
		"Okay.\n  </THINK>  \nHello":                     {"Hello", "Okay.\n"},
		"Hm.\n[/THINK]\nHello":                           {"Hello", "Hm.\n"},
		"Hm.\n◁/think▷\r\nHello":                         {"Hello", "Hm.\n"},
		"</think>\n\nHello":                              {"Hello", ""},
		"Hm.\n</think>":                                  {"", "Hm.\n"},
		"One.\n</think>\nTwo.\n</think>\nThree.":         {"Two.\n</think>\nThree.", "One.\n"},
		"It is </think> here.":                           {"It is </think> here.", ""},
		"a\n</think> b":                                  {"a\n</think> b", ""},
		"a\n`</think>`\nb":                               {"a\n`</think>`\nb", ""},
		"```html\n</think>\n```\nb":                      {"```html\n</think>\n```\nb", ""},
		"- x\n  ~~~\n  </think>\n  ~~~\n  y":             {"- x\n  ~~~\n  </think>\n  ~~~\n  y", ""},
		"````\n```\n</think>\n````\nHm.\n</think>\nb":    {"b", "````\n```\n</think>\n````\nHm.\n"},
		"<think>a</think>b\n</think>\nc":                 {"b\n</think>\nc", "a"},
		"a\n</thinking>\n\n\n  b":                        {"b", "a\n"},
		"x < y\n<\n</\n</thin\nk>":                       {"x < y\n<\n</\n</thin\nk>", ""},
		"two words\n\n\n    code\n<html>\n</html>\n</a>": {"two words\n\n\n    code\n<html>\n</html>\n</a>", ""},
	} {
		for i := range len(said) + 1 {
			for k := i; k <= len(said); k += 3 {
				if text, thoughts := told(said[:i], said[i:k], said[k:]); text != want[0] || thoughts != want[1] {
					t.Fatalf("%q cut at %d and %d: %q and %q, want %q", said, i, k, text, thoughts, want)
				}
			}
		}
	}
}

// FuzzUnquote holds that a JSON string is read as others read it, once its halves
// are whole.
func FuzzUnquote(f *testing.F) {
	for _, s := range []string{`"a"`, `"\u00fc\n\ud83d\ude42\/\""`, `"\ud83d"`, `"\ude42\ud83d\ud83d\ude42"`, "\"\xff\xfe\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want string
		if len(raw) < 2 || raw[0] != '"' || json.Unmarshal(raw, &want) != nil || !utf8.Valid(raw) {
			return
		}
		raw = []byte(strings.TrimSpace(string(raw)))
		if got := Whole(unquote(raw)); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	})
}

// FuzzText holds that any JSON is a text, or none.
func FuzzText(f *testing.F) {
	for _, s := range []string{`"a"`, `[{"type":"text","text":"a"},"b"]`, `{"thinking":[{"text":"a"}]}`, `{"text":{"text":{"text":{"text":[]}}}}`, `1.5`, `null`, `[[[[`} {
		f.Add([]byte(`{"text":` + s + `,"n":1}`))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v struct {
			Text Text      `json:"text"`
			Args Arguments `json:"args"`
			N    Count     `json:"n"`
		}
		if err := Unmarshal(raw, &v); (err == nil) != json.Valid(raw) {
			t.Errorf("%s: %v", raw, err)
		}
	})
}

func TestTextsThatLieDeepAreLeftOut(t *testing.T) {
	deep := strings.Repeat(`{"text":`, 1000) + `"x"` + strings.Repeat("}", 1000)
	var v struct {
		Text Text `json:"text"`
		Near Text `json:"near"`
	}
	if err := Unmarshal([]byte(`{"text":`+deep+`,"near":[{"text":{"value":"y"}}]}`), &v); err != nil || v.Text.Said != "" || v.Near.Said != "y" {
		t.Errorf("%+v, %v", v, err)
	}
}
