// Package title makes titles of conversations: of a question, and of what a model was
// asked for.
package title

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/omnichat/omnichat/hub/plain"
)

// most is what a title has at most, in characters.
const most = 80

// Of is the first words of a question.
func Of(content string) string {
	words := strings.Fields(content)
	title := ""
	for i, w := range words {
		if i == 8 || utf8.RuneCountInString(title)+utf8.RuneCountInString(w) > 60 {
			if title == "" {
				title = string([]rune(w)[:60])
			}
			return title + "…"
		}
		title = strings.TrimSpace(title + " " + w)
	}
	return title
}

// OfPage is what the page calls a session that it makes before the question:
// eight words, cut at 60 of JavaScript's characters.
func OfPage(content string) string {
	words := strings.Fields(content)
	title := utf16.Encode([]rune(strings.Join(words[:min(8, len(words))], " ")))
	return string(utf16.Decode(title[:min(60, len(title))]))
}

var (
	// titleThoughts is thinking that a model wrote into its answer, whole.
	titleThoughts = regexp.MustCompile(`(?is)^\s*<(think|thinking|thought|thoughts|reasoning|seed:think)>.*?</(think|thinking|thought|thoughts|reasoning|seed:think)>`)
	// titleThinks is thinking that did not end.
	titleThinks = regexp.MustCompile(`(?i)^\s*<(think|thinking|thought|thoughts|reasoning|seed:think)>`)
	// titleThought ends thinking whose beginning is not in the answer.
	titleThought = regexp.MustCompile(`(?is)^.*</(think|thinking|thought|thoughts|reasoning|seed:think)>`)
	titleFence   = regexp.MustCompile("(?s)(?:```|~~~)[^\n`~]*\n(.*?)(?:\n\\s*(?:```|~~~)|$)")
	titleTag     = regexp.MustCompile(`(?is)<title>(.*?)</title>`)
	// titleLabel is a word that says "title" in one of some languages, and what
	// ends it.
	titleLabel = regexp.MustCompile(`(?i)^(?:chat |conversation |the )?(?:title|titel|titre|título|titulo|titolo|tytuł|заголовок|название|标题|標題|タイトル|제목|العنوان|başlık|tiêu đề)\s*(?:is)?\s*[:：]\s*`)
)

// titleMarks stand around titles and are no part of them. What stands in a pair
// is taken off in pairs only.
const titleMarks = " \t\r\"'`*_~“”„‟«»‹›‘’‚「」『』《》〈〉"

// From makes a title of what a model wrote, "" if it is none.
func From(text string) string {
	text = plain.Clean(text)
	for titleThoughts.MatchString(text) {
		text = titleThoughts.ReplaceAllString(text, "")
	}
	if titleThinks.MatchString(text) {
		return ""
	}
	text = titleThought.ReplaceAllString(text, "")
	if m := titleFence.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	if m := titleTag.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	text = titleInJSON(strings.TrimSpace(text))
	title := ""
	for line := range strings.Lines(text) {
		if title = bareTitle(line); title != "" {
			break
		}
	}
	if utf8.RuneCountInString(title) > most {
		return strings.TrimSpace(string([]rune(title)[:most-1])) + "…"
	}
	return title
}

// bareTitle takes off a line what is around a title.
func bareTitle(line string) string {
	title := strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, line)), " ")
	for before := ""; before != title; {
		before = title
		title = strings.TrimPrefix(strings.TrimPrefix(title, "- "), "> ")
		title = strings.Trim(strings.TrimLeft(title, "#"), titleMarks) // C# keeps its own
		title = titleLabel.ReplaceAllString(title, "")
		if !strings.HasSuffix(title, "..") {
			title = strings.TrimSuffix(strings.TrimSuffix(title, "."), "。")
		}
	}
	return title
}

// titleInJSON opens a title that is given as JSON: {"title": "…"}, ["…"] or "…".
func titleInJSON(text string) string {
	from := strings.IndexAny(text, "{[")
	if from < 0 || from > 0 && !strings.Contains(text[:from], "\n") && !titleLabel.MatchString(text[:from]) {
		from = 0
	}
	var said any
	if json.NewDecoder(strings.NewReader(text[from:])).Decode(&said) != nil {
		return text
	}
	if list, ok := said.([]any); ok && len(list) > 0 {
		said = list[0]
	}
	if object, ok := said.(map[string]any); ok {
		said = nil
		for key, value := range object {
			if s, ok := value.(string); ok && (len(object) == 1 || titleLabel.MatchString(key+":")) {
				said = s
			}
		}
	}
	if s, ok := said.(string); ok {
		return s
	}
	if from == 0 && strings.HasPrefix(text, "{") {
		return "" // an object that names no title
	}
	return text
}
