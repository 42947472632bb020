package hub

import (
	"slices"
	"strings"
	"testing"
)

// talk is a branch of n messages of so many tokens each, a person first.
func talk(n, tokens int) []Message {
	out := make([]Message, n)
	for i := range out {
		out[i] = Message{Role: RoleOfUser, Content: strings.Repeat("word", tokens)}
		if i%2 == 1 {
			out[i].Role = RoleOfAssistant
		}
	}
	return out
}

func TestCutLeavesOutTheOldest(t *testing.T) {
	limit := 100
	tests := map[string]struct {
		branch    []Message
		system    string
		context   int64
		maxTokens *int
		keep      int
		notice    bool
	}{
		"unknown context":              {branch: talk(9, 1000), keep: 9},
		"fits":                         {branch: talk(3, 100), context: 1000, keep: 3},
		"the oldest go":                {branch: talk(9, 100), context: 1000, keep: 7, notice: true},
		"never begins with an answer":  {branch: talk(10, 100), context: 1000, keep: 6, notice: true},
		"a system prompt takes room":   {branch: talk(9, 100), system: strings.Repeat("word", 300), context: 1000, keep: 3, notice: true},
		"a short answer leaves more":   {branch: talk(9, 100), context: 1000, maxTokens: &limit, keep: 7, notice: true},
		"the last stays, fit or not":   {branch: talk(3, 5000), context: 1000, keep: 1, notice: true},
		"one message that is too long": {branch: talk(1, 5000), context: 1000, keep: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, notices := cut(tt.branch, tt.system, Model{Context: tt.context}, tt.maxTokens)
			if len(got) != tt.keep || (len(notices) == 1) != tt.notice {
				t.Fatalf("%d messages and notices %v, want %d, %v", len(got), notices, tt.keep, tt.notice)
			}
			if tt.notice && (notices[0].Code != NoticeContextCut || got[0].Role != RoleOfUser) {
				t.Errorf("notice %v, begins with %s", notices[0], got[0].Role)
			}
		})
	}
}

func TestEstimateCountsWideScriptsByCharacter(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "word": 1, "five!": 2, "你好": 2, "naïve": 2} {
		if got := estimate(text); got != want {
			t.Errorf("estimate(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestTitleFromWhatAModelWrites(t *testing.T) {
	for in, want := range map[string]string{
		"  \"A Trip to Rome.\"\nand more": "A Trip to Rome",
		"Title: **Go generics**":          "Go generics",
		"":                                "",
		"***":                             "",
		strings.Repeat("a", 200):          strings.Repeat("a", titleMax-1) + "…",
	} {
		if got := titleFrom(in); got != want {
			t.Errorf("titleFrom(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPriceIsTheAdminsBeforeWhatShips(t *testing.T) {
	custom := []ModelPrice{
		{Model: "gpt-4o", Price: Price{Input: 1}}, {Model: "gpt-4o-mini", Price: Price{Input: 2}}, {Model: "mine/gpt-4o-mini", Price: Price{Input: 3}},
	}
	for model, want := range map[string]float64{
		"openai/gpt-4o-2024-11-20": 1, "openai/gpt-4o-mini": 2, "openrouter/openai/gpt-4o-mini": 2, "mine/gpt-4o-mini": 3, "openai/gpt-4.1": 2,
	} {
		if p := priceOf(custom, model); p == nil || p.Input != want {
			t.Errorf("price of %s: %+v, want input %v", model, p, want)
		}
	}
	if p := priceOf(custom, "x/unheard-of"); p != nil {
		t.Errorf("an unknown model costs %+v", p)
	}
}

func TestCostCountsCachedInputOnce(t *testing.T) {
	got := Price{Input: 2, CachedInput: 0.5, Output: 8}.Cost(Usage{InputTokens: 1000, CachedTokens: 400, OutputTokens: 100})
	if want := Dollars(0.0012 + 0.0002 + 0.0008); got != want {
		t.Errorf("cost %d, want %d", got, want)
	}
	if b, err := Money(1_234_500_000).MarshalJSON(); err != nil || string(b) != "1.234500000" {
		t.Errorf("JSON %s, %v", b, err)
	}
}

func TestCatalogIsSortedIntoFamilies(t *testing.T) {
	for _, e := range catalog {
		if e.Name != strings.ToLower(e.Name) || strings.Contains(e.Name, "/") {
			t.Errorf("%q is not a bare small name", e.Name)
		}
		if e.Small != "" {
			if _, ok := known(e.Small); !ok {
				t.Errorf("the small model %q of %q is not in the catalog", e.Small, e.Name)
			}
		}
	}
	if e, _ := known("openai/gpt-4o-mini-2024-07-18"); e.Name != "gpt-4o-mini" {
		t.Errorf("gpt-4o-mini is taken for %q", e.Name)
	}
}

func TestToolCallsGrowByTheirParts(t *testing.T) {
	var calls []ToolCall
	for _, d := range []ToolDelta{{Index: 0, ID: "a", Name: "f", Arguments: `{"x"`}, {Index: 1, ID: "b", Name: "g"}, {Index: 0, Arguments: `:1}`}, {Index: -1}, {Index: 1 << 40}} {
		calls = addToolCall(calls, d)
	}
	if want := []ToolCall{{"a", "f", `{"x":1}`}, {"b", "g", ""}}; !slices.Equal(calls, want) {
		t.Errorf("calls %v, want %v", calls, want)
	}
}

func TestMediaTypeIsThatOfTheContent(t *testing.T) {
	for name, tt := range map[string]struct{ data, want string }{
		"png":    {"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89", "image/png"},
		"gif":    {"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04", "image/gif"},
		"webp":   {"RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00", "image/webp"},
		"text":   {"héllo\n", "text/plain"},
		"html":   {"<script>alert(1)</script>", "text/plain"},
		"nul":    {"a\x00b", ""},
		"binary": {"\xff\xfe\x00\x01", ""},
		"fake":   {"\x89PNG but no more", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mediaTypeOf([]byte(tt.data)); got != tt.want {
				t.Errorf("mediaTypeOf = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOnlyFirstWordsGiveWayToATitle(t *testing.T) {
	parent := MessageID("p")
	long := "please tell me all that you know of the city of Rome"
	cut := "one two three four fivefivefive sixsixsixsixsix seven7777777777777"
	for name, tt := range map[string]struct {
		title string
		asked *Message
		want  bool
	}{
		"all words":           {"tell me more", &Message{Content: "tell  me\nmore"}, true},
		"first words":         {"please tell me all that you know of…", &Message{Content: long}, true},
		"the page's":          {"please tell me all that you know of", &Message{Content: long}, true},
		"the page's, cut":     {cut[:60], &Message{Content: cut}, true},
		"a person's, of it":   {"please", &Message{Content: long}, false},
		"a person's, of more": {"please tell me all that you know of the city", &Message{Content: long}, false},
		"a person's, with …":  {"please…", &Message{Content: long}, false},
		"no title":            {"", &Message{Content: "tell me more"}, true},
		"a person's":          {"Mine", &Message{Content: "tell me more"}, false},
		"not the first":       {"tell me more", &Message{Content: "tell me more", ParentID: &parent}, false},
		"no question":         {"", nil, false},
	} {
		if got := untitled(Asked{Session: Session{Title: tt.title}, Question: tt.asked}); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
