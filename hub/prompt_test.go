package hub

import (
	"encoding/json"
	"reflect"
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
		left      int // older ones that were not read
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
		"not all was read":             {branch: talk(9, 100), left: 1000, keep: 9, notice: true},
		"nor from a person on":         {branch: talk(9, 100)[1:], left: 1001, context: 4000, keep: 7, notice: true},
		"one message that is too long": {branch: talk(1, 5000), context: 1000, keep: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, notices := cut(tt.branch, tt.left, tt.system, Model{Context: tt.context}, tt.maxTokens)
			if len(got) != tt.keep || (len(notices) == 1) != tt.notice {
				t.Fatalf("%d messages and notices %v, want %d, %v", len(got), notices, tt.keep, tt.notice)
			}
			if tt.notice && (notices[0].Code != NoticeContextCut || got[0].Role != RoleOfUser) {
				t.Errorf("notice %v, begins with %s", notices[0], got[0].Role)
			}
		})
	}
}

func TestTurnsAlternate(t *testing.T) {
	u, a, s := RoleOfUser, RoleOfAssistant, RoleOfSystem
	turn := func(role MessageRole, content string) Turn { return Turn{Role: role, Content: content} }
	for name, tt := range map[string]struct{ in, want []Turn }{
		"in order":                   {[]Turn{turn(s, "s"), turn(u, "1"), turn(a, "2"), turn(u, "3")}, []Turn{turn(s, "s"), turn(u, "1"), turn(a, "2"), turn(u, "3")}},
		"an answer failed":           {[]Turn{turn(u, "1"), turn(u, "2"), turn(u, "3")}, []Turn{turn(u, "1\n\n2\n\n3")}},
		"an answer was continued":    {[]Turn{turn(u, "1"), turn(a, "one "), turn(a, "two"), turn(u, "3")}, []Turn{turn(u, "1"), turn(a, "one two"), turn(u, "3")}},
		"two of the system":          {[]Turn{turn(s, "a"), turn(s, "b"), turn(u, "1")}, []Turn{turn(s, "a\n\nb"), turn(u, "1")}},
		"the system in between":      {[]Turn{turn(u, "1"), turn(s, "b"), turn(u, "2")}, []Turn{turn(s, "b"), turn(u, "1\n\n2")}},
		"an answer at the beginning": {[]Turn{turn(s, "s"), turn(a, "1"), turn(u, "2")}, []Turn{turn(s, "s"), turn(u, beforeText), turn(a, "1"), turn(u, "2")}},
		"images and what was left":   {[]Turn{{Role: u, Images: []Image{{MediaType: "a"}}}, {Role: u, Content: "x", Images: []Image{{MediaType: "b"}}}}, []Turn{{Role: u, Content: "x", Images: []Image{{MediaType: "a"}, {MediaType: "b"}}}}},
		"what is replayed, the first": {
			[]Turn{turn(u, "1"), {Role: a, Content: "2", Reasoning: "r", Opaque: []json.RawMessage{{'1'}}}, {Role: a, Content: "3", Reasoning: "q", Opaque: []json.RawMessage{{'2'}}}},
			[]Turn{turn(u, "1"), {Role: a, Content: "23", Reasoning: "r", Opaque: []json.RawMessage{{'1'}}}},
		},
	} {
		if got := alternate(tt.in); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestEstimateCountsWideScriptsByCharacter(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "word": 1, "five!": 2, "你好": 2, "naïve": 2} {
		if got := estimate(text); got != want {
			t.Errorf("estimate(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestPriceIsTheAdminsBeforeWhatShips(t *testing.T) {
	custom := []ModelPrice{
		{Model: "gpt-4o", Price: Price{Input: 1}}, {Model: "gpt-4o-mini", Price: Price{Input: 2}}, {Model: "mine/gpt-4o-mini", Price: Price{Input: 3}},
	}
	openAI, router := Vendor{Address: "https://api.openai.com/v1"}, Vendor{Address: "https://openrouter.example/v1"}
	users, usersOwn := Vendor{Owner: "u", Address: "https://a.example/v1"}, Vendor{Owner: "u", Address: "https://eu.api.openai.com/v1"}
	for name, tt := range map[string]struct {
		at    Vendor
		model string
		want  float64 // 0 for none
	}{
		"the admin's, by its beginning":     {openAI, "openai/gpt-4o-2024-11-20", 1},
		"by the longer one":                 {openAI, "openai/gpt-4o-mini", 2},
		"elsewhere":                         {router, "openrouter/openai/gpt-4o-mini", 2},
		"by the full name":                  {router, "mine/gpt-4o-mini", 3},
		"what ships":                        {openAI, "openai/gpt-4.1", 2},
		"what ships, in a region":           {Vendor{Address: "https://eu.api.openai.com/v1"}, "x/gpt-4.1", 2},
		"no vendor's address":               {router, "openrouter/openai/gpt-4.1", 0},
		"a name like the vendor's address":  {Vendor{Address: "https://api.openai.com.example.org"}, "openai/gpt-4.1", 0},
		"a name like a vendor's":            {Vendor{Address: "http://127.0.0.1:11434"}, "ollama/mistral-small:24b", 0},
		"another vendor's address":          {openAI, "openai/mistral-small", 0},
		"a user's, called like the admin's": {users, "mine/gpt-4o-mini", 0},
		"a user's, at the vendor's":         {usersOwn, "mine/gpt-4o-mini", 2},
		"a user's, what ships":              {usersOwn, "openai/gpt-4.1", 2},
		"unheard of":                        {openAI, "x/unheard-of", 0},
	} {
		got := 0.0
		if p := priceOf(custom, tt.at, tt.model); p != nil {
			got = p.Input
		}
		if got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestModelsThatArePathsAreCalledByTheirFile(t *testing.T) {
	for id, want := range map[string]string{
		"/models/think.gguf": "think.gguf", `C:\\models\\a b.gguf`: "a b.gguf", "models/sub/x.gguf": "x.gguf", "./x": "x", "/data/llama/": "llama",
		"meta-llama/Llama-3": "meta-llama/Llama-3", "qwen3:4b": "qwen3:4b", "file:///m/x.bin": "x.bin", "/": "/", "~/x/y": "y",
	} {
		if got := finished(Model{ID: id, Name: id}, "p", Vendor{}, nil); got.Name != want || got.ID != "p/"+id {
			t.Errorf("%s is called %q", got.ID, got.Name)
		}
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

func TestOldFilesAreLeftOut(t *testing.T) {
	image := func(id FileID, size int64) File { return File{ID: id, MediaType: "image/png", Size: size} }
	text := func(id FileID, size int64) File { return File{ID: id, MediaType: "text/plain", Size: size} }
	branch := []Message{
		{Files: []File{image("old", 1), text("note", 1)}},
		{Files: []File{image("a", 40), image("b", 40)}},
		{Files: []File{image("c", 30), text("long", 99)}},
	}
	p := &prompter{imageBytes: 100}
	skip, notices := p.leaveOut(branch, 100, true)
	var left []FileID
	for f, skipped := range skip {
		if skipped {
			left = append(left, f.ID)
		}
	}
	slices.Sort(left)
	if !slices.Equal(left, []FileID{"b", "old"}) || len(notices) != 1 || notices[0].Code != NoticeImagesLeft {
		t.Errorf("left out %v, notices %v", left, notices)
	}
	if _, notices = p.leaveOut(branch, 99, true); len(notices) != 2 || notices[1].Code != NoticeContextCut {
		t.Errorf("of too much text, notices %v", notices)
	}
	p.imageBytes = 200
	if _, notices = p.leaveOut(branch, 200, true); notices != nil {
		t.Errorf("of what fits, notices %v", notices)
	}
}
