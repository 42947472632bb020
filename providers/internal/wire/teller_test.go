package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/omnichat/omnichat/hub"
)

// told is what a teller makes of texts, after all that it tells of the past.
func told(texts ...string) (text, reasoning string) { return toldOf(new(unopened), texts...) }

// toldOf is told, for a model that is remembered or will be.
func toldOf(u *unopened, texts ...string) (text, reasoning string) {
	t := Teller{unopened: u, yield: func(d hub.Delta, _ error) bool {
		switch d.Past {
		case hub.KindReasoning:
			text, reasoning = "", reasoning+text
		case hub.KindText:
			text, reasoning = reasoning+text, ""
		}
		text += d.Text
		reasoning += d.Reasoning
		if !utf8.ValidString(d.Text + d.Reasoning) {
			text += "half a character"
		}
		return true
	}}
	t.closing.assumed = u.has("")
	for _, s := range texts {
		t.Text(s)
	}
	t.Done()
	_ = t.end(echo{}, nil) // which ends every answer well
	return text, reasoning
}

// FuzzTeller holds that how a text is cut changes nothing, whether its model is
// remembered or not, that nothing of it is lost but one closing tag where there is no
// opening one, and that all that is told is UTF-8.
func FuzzTeller(f *testing.F) {
	for _, s := range []string{
		"<think>a b</think>\n\nHello", " <thinking>\xed\xa0\xbd", "\xed\xa0\xbd\xed\xb9\x82", "a\xff\xf0\x9f", "[THINK]x[/think]◁think▷y◁/think▷z", "<think", "\xed\xa0\xbdx\xed\xb9\x82",
		"◁think▷日本◁/think▷", "hm\n</think>\n\nHello", "\n\n </THINK>\t\r\nHello", "```\n</think>\n```\n</think>\nHello", "- ~~~\n  </think>\n</think>\n", "hm\n◁/think▷ \n[/think]\n", "a <think>\n</think>\nb", "a\n\n    </think>\nb\n\n   </think>",
		strings.Repeat(" ", lineMax) + "\n</think>\n", strings.Repeat("x", lineMax-3) + "<think>x\n</think>\n",
	} {
		f.Add(s, 1, 2)
	}
	f.Fuzz(func(t *testing.T, s string, i, k int) {
		i = min(max(i, 0), len(s))
		k = min(max(k, i), len(s))
		start := strings.TrimSpace(s)
		opened := strings.HasPrefix(start, "<") || strings.HasPrefix(start, "[") || strings.HasPrefix(start, "◁")
		for _, remembered := range []bool{false, true} {
			memory := func() *unopened { return &unopened{models: map[string]bool{"": remembered}} }
			after, cut := memory(), memory()
			text, reasoning := toldOf(after, s)
			if a, b := toldOf(cut, s[:i], s[i:k], s[k:]); a != text || b != reasoning || cut.has("") != after.has("") {
				t.Errorf("remembered %v: whole %q, %q; cut at %d and %d: %q, %q", remembered, text, reasoning, i, k, a, b)
			}
			if !utf8.ValidString(text) || !utf8.ValidString(reasoning) {
				t.Errorf("%q, %q", text, reasoning)
			}
			if reasoning == "" && !opened && !after.has("") && text != Whole(s) {
				t.Errorf("%q became %q", s, text)
			}
			if !opened && !lossless(Whole(s), reasoning+text) {
				t.Errorf("remembered %v: %q became %q, %q", remembered, s, reasoning, text)
			}
		}
	})
}

// lossless says whether what was told is a text but for blanks and one closing tag.
func lossless(s, told string) bool {
	s, told = strings.Join(strings.Fields(s), ""), strings.Join(strings.Fields(told), "")
	if s == told {
		return true
	}
	for _, tag := range openings {
		if n := len(s) - len(told); n == len(tag[1]) {
			for at := range len(told) + 1 {
				if s[:at] == told[:at] && s[at+n:] == told[at:] && strings.EqualFold(s[at:at+n], tag[1]) {
					return true
				}
			}
		}
	}
	return false
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
