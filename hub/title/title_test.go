package title

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestTitleIsTheFirstWords(t *testing.T) {
	for in, want := range map[string]string{
		"Hello":                     "Hello",
		"  What is\n the answer?  ": "What is the answer?",
		"a b c d e f g h i j":       "a b c d e f g h…",
		strings.Repeat("x", 100):    strings.Repeat("x", 60) + "…",
	} {
		if got := Of(in); got != want {
			t.Errorf("Of(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTitleFromWhatAModelWrites(t *testing.T) {
	for in, want := range map[string]string{
		"  \"A Trip to Rome.\"\nand more": "A Trip to Rome",
		"Title: **Go generics**":          "Go generics",
		"**Title:** Go generics":          "Go generics",
		"# Title: \"Go generics\"":        "Go generics",
		"标题：“学习中文”":                       "学习中文",
		"Titel: Reise nach Rom":           "Reise nach Rom",
		"「京都の旅」":                          "京都の旅",
		"«Поездка в Рим»":                 "Поездка в Рим",
		"":                                "",
		"***":                             "",
		"\n\n- A list's entry":            "A list's entry",
		"What now?":                       "What now?",
		"To be continued...":              "To be continued...",
		"C# and .NET":                     "C# and .NET",
		"Two\tspaces  here":               "Two spaces here",
		strings.Repeat("a", 200):          strings.Repeat("a", most-1) + "…",

		"<think>\n\n</think>\n\nGreeting chat":             "Greeting chat",
		"<think>hm</think><think>again</think>Greeting":    "Greeting",
		"<THINKING>hm</THINKING> Greeting chat":            "Greeting chat",
		"so the person greets me\n</think>\nGreeting chat": "Greeting chat",
		"<think>so the person greets":                      "",
		"<seed:think>so the person":                        "",

		"```json\n{\"title\": \"Greeting chat\"}\n```":          "Greeting chat",
		"```\nGreeting chat\n```":                               "Greeting chat",
		"```json\n{\"title\": \"Greeting chat\"}":               "Greeting chat",
		"Here it is:\n```json\n{\"title\":\"Hi\"}\n```\nOk?":    "Hi",
		`{"title": "Greeting chat"}`:                            "Greeting chat",
		`{ "Title": "Greeting chat", "emoji": "👋" }`:            "Greeting chat",
		`{"conversation_title":"Greeting chat"}`:                "Greeting chat",
		`["Greeting chat"]`:                                     "Greeting chat",
		`{"title": "**Greeting chat**"} and so on`:              "Greeting chat",
		`<think>{"a":1}</think>{"title":"Title: \"Greeting\""}`: "Greeting",
		`{"tags": ["a"], "n": 1}`:                               "",
		"<title>Greeting chat</title>":                          "Greeting chat",
	} {
		if got := From(in); got != want {
			t.Errorf("From(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzTitle(f *testing.F) {
	f.Add("<think>\n</think>```json\n{\"title\": \"x\"}\n```")
	f.Fuzz(func(t *testing.T, text string) {
		got := From(text)
		if strings.ContainsFunc(got, unicode.IsControl) || utf8.RuneCountInString(got) > most || !utf8.ValidString(got) {
			t.Errorf("From(%q) = %q", text, got)
		}
	})
}
