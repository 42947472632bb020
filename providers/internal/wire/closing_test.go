package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
)

func TestATagThatClosesWhatNoneOpened(t *testing.T) {
	for name, tt := range map[string]struct{ said, text, reasoning string }{
		"another tag":         {said: "日本\n◁/think▷\nHello 日本", text: "Hello 日本", reasoning: "日本\n"},
		"capitals and blanks": {said: "hm\n \t</THINK> \t\r\n \n Hello", text: "Hello", reasoning: "hm\n"},
		"opened, no letters":  {said: "◁think▷日本◁/think▷Hello", text: "Hello", reasoning: "日本"},
		"brackets":            {said: "hm\n[/THINK]\nHello", text: "Hello", reasoning: "hm\n"},
		"nothing before it":   {said: " \n</think>\n\nHello", text: "Hello"},
		"nothing after it":    {said: "hm\n</think> \n", reasoning: "hm\n"},
		"at the end":          {said: "hm\n</think>", reasoning: "hm\n"},
		"half of it":          {said: "hm\n</think", text: "hm\n</think"},
		"in a line":           {said: "a </think>\n</think> b\n", text: "a </think>\n</think> b\n"},
		"in quotes":           {said: "hm\n`</think>`\nHello", text: "hm\n`</think>`\nHello"},
		"twice":               {said: "a\n</think>\n</think>\nb", text: "</think>\nb", reasoning: "a\n"},
		"opened":              {said: "<think>a</think>b\n</think>\nc", text: "b\n</think>\nc", reasoning: "a"},
		"opened later":        {said: "b <reasoning>\nc\n</think>\nd", text: "b <reasoning>\nc\n</think>\nd"},
		"opened in a long":    {said: strings.Repeat("x", lineMax-3) + "<think>" + strings.Repeat("x", lineMax) + "\n</think>\nd", text: strings.Repeat("x", lineMax-3) + "<think>" + strings.Repeat("x", lineMax) + "\n</think>\nd"},
		"opened in code":      {said: "```\n<think>\n```\n</think>\nc", text: "c", reasoning: "```\n<think>\n```\n"},

		"in a fence":               {said: "```\n</think>\n```\n", text: "```\n</think>\n```\n"},
		"in a fence with a name":   {said: "   ~~~~ xml `\n~~~\n</think>\n~~~~~ \n</think>\na", text: "a", reasoning: "   ~~~~ xml `\n~~~\n</think>\n~~~~~ \n"},
		"a fence that is none":     {said: "``` a ` b\n</think>\na", text: "a", reasoning: "``` a ` b\n"},
		"a fence too far in":       {said: "    ```\n</think>\na", text: "a", reasoning: "    ```\n"},
		"in a fence in a list":     {said: "10. a\n    ```\n    </think>\n    ```\n</think>\na", text: "a", reasoning: "10. a\n    ```\n    </think>\n    ```\n"},
		"in a fence after a mark":  {said: "- 1) ```\n     </think>\n     ```\n", text: "- 1) ```\n     </think>\n     ```\n"},
		"after a list ends":        {said: "- ```\n  a\n</think>\nb", text: "b", reasoning: "- ```\n  a\n"},
		"in code that is indented": {said: "a\n\n    </think>\nb", text: "a\n\n    </think>\nb"},
		"in a list, far in":        {said: "- a\n\n    </think>\nb", text: "b", reasoning: "- a\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for at := range len(tt.said) + 1 {
				if text, reasoning := told(tt.said[:at], tt.said[at:]); text != tt.text || reasoning != tt.reasoning {
					t.Fatalf("cut at %d: %q, thinking %q; want %q, %q", at, text, reasoning, tt.text, tt.reasoning)
				}
			}
			if text, reasoning := told(strings.Split(tt.said, "")...); text != tt.text || reasoning != tt.reasoning {
				t.Errorf("in characters: %q, thinking %q; want %q, %q", text, reasoning, tt.text, tt.reasoning)
			}
		})
	}
}

// What is told of each piece at once, and what of it waits.
func TestATextWaitsOnlyForATag(t *testing.T) {
	var got []string
	tell := Teller{yield: func(d hub.Delta, _ error) bool {
		got = append(got, d.Text+d.Reasoning+string(d.Past))
		return true
	}}
	for _, tt := range []struct{ piece, told string }{
		{"I wonder", "I wonder"}, {" <", " <"}, {"/think>\n", "/think>\n"}, {" ", ""}, {"so", " so"}, {"\n\n", "\n\n"}, {"</", ""}, {"b>", "</b>"},
		{"\n```\n", "\n```\n"}, {"  ", "  "}, {"</", "</"}, {"think>\n", "think>\n"}, {"```\nx\n </thin", "```\nx\n"}, {"k>", ""}, {"\n", "reasoning"}, {"\n ", ""}, {"Yes.", "Yes."}, {"\n", "\n"}, {"</think>", "</think>"},
	} {
		got = nil
		tell.Text(tt.piece)
		if told := strings.Join(got, ""); told != tt.told {
			t.Errorf("%q tells %q, want %q", tt.piece, told, tt.told)
		}
	}
}

// The vendor's own field, or a call, may come when some of the text is told or waits.
func TestThinkingOfItsOwnEndsTheSearch(t *testing.T) {
	for name, tt := range map[string]struct {
		remembered, after bool
		do                func(t *Teller)
		want              string
	}{
		"before":           {true, false, func(t *Teller) { t.Think("own"); t.Text("a\n</think>\nb") }, "r:own t:a\n</think>\nb"},
		"later":            {true, false, func(t *Teller) { t.Text("a\n</th"); t.Think("own"); t.Text("ink>\nb") }, "r:a\n r:</th text r:own t:ink>\nb"},
		"later, not known": {false, false, func(t *Teller) { t.Text("a\n</th"); t.Think("own"); t.Text("ink>\nb") }, "t:a\n t:</th r:own t:ink>\nb"},
		"empty":            {false, true, func(t *Teller) { t.Think(""); t.Text("a\n</think>\nb") }, "t:a\n reasoning t:b"},
		"a call after it":  {false, true, func(t *Teller) { t.Text("a\n</think>"); t.Call(hub.ToolDelta{Name: "f"}) }, "t:a\n reasoning call"},
		"a call before it": {false, false, func(t *Teller) { t.Text("a\n</th"); t.Call(hub.ToolDelta{Name: "f"}) }, "t:a\n t:</th call"},
		"calls alone":      {true, true, func(t *Teller) { t.Call(hub.ToolDelta{Name: "f"}) }, "call"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			u := &unopened{models: map[string]bool{"m": tt.remembered}}
			tell := Teller{model: "m", unopened: u, closing: closing{assumed: tt.remembered}, yield: func(d hub.Delta, _ error) bool {
				switch {
				case d.Text != "":
					got = append(got, "t:"+d.Text)
				case d.Reasoning != "":
					got = append(got, "r:"+d.Reasoning)
				case d.Past != "":
					got = append(got, string(d.Past))
				case d.Tool != nil:
					got = append(got, "call")
				}
				return true
			}}
			tt.do(&tell)
			tell.Done()
			if err := tell.end(echo{}, nil); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(got, " "); got != tt.want || u.has("m") != tt.after {
				t.Errorf("tells %q, remembered %v; want %q, %v", got, u.has("m"), tt.want, tt.after)
			}
		})
	}
}

func TestTheModelsRememberedAreBounded(t *testing.T) {
	var u unopened
	for i := range 3*refusingMax + 7 {
		u.remember(fmt.Sprint(i))
		if len(u.models) > refusingMax {
			t.Fatalf("%d models", len(u.models))
		}
	}
	last := fmt.Sprint(3*refusingMax + 6)
	if u.forget("another"); !u.has(last) {
		t.Error("the last one is not remembered")
	}
	if u.forget(last); u.has(last) {
		t.Error("it is not forgotten")
	}
}
