package hub

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// TitleAuto has titles made by the small model of the vendor that is asked, at
// the vendor's own address.
const TitleAuto = "auto"

const (
	titleTimeout = 30 * time.Second
	titleMax     = 80 // characters
	titleText    = "Write a title for a conversation that begins with the message below: at most six words, in its language, " +
		"without quotes and without a full stop. Answer with the title alone.\n\n"
)

// titleTokens is room for a title in any language.
const titleTokens = 100

// titler makes the titles of new sessions. It is safe for concurrent use.
type titler struct {
	model     string // "provider/model", [TitleAuto], or "" for none
	store     Store
	catalogue *catalogue
	feeds     *feeds
	bg        *background
}

// make gives a new session a better title than its first words, in the
// background, once its first answer has ended: a server at home answers one
// request at a time. It stays as it is if that fails or a person was faster.
func (t *titler) make(user UserID, o order) {
	ctx, cancel := context.WithTimeout(t.bg.ctx, titleTimeout)
	defer cancel()
	model := t.choose(ctx, user, o.model)
	if model == "" {
		return
	}
	provider, name, err := t.catalogue.providerOf(ctx, user, "title model", model)
	if err != nil {
		t.bg.logger.Warn("make a title", "err", err)
		return
	}
	question := o.asked.Question.Content
	if r := []rune(question); len(r) > 2000 {
		question = string(r[:2000])
	}
	room := titleTokens
	p := Prompt{Model: name, Turns: []Turn{{Role: RoleOfUser, Content: titleText + question}}, MaxTokens: &room, ReasoningEffort: EffortOff}
	if t.catalogue.modelOf(ctx, provider, model).thoughtless() {
		p.ReasoningEffort = ""
	}
	var text strings.Builder
	var usage *Usage
	whole, size := false, 0
	for d, err := range provider.Stream(ctx, p) {
		if err != nil {
			t.bg.logger.Warn("make a title", "model", model, "code", CodeOf(err), "err", err)
			break
		}
		text.WriteString(d.Text)
		if d.Usage != nil {
			usage = d.Usage
		}
		size += len(d.Text) + len(d.Reasoning)
		if whole = d.Finish != ""; whole || size > 50*titleMax {
			break
		}
	}
	title := titleFrom(text.String())
	if usage == nil && title == "" {
		return
	}
	usage = t.catalogue.account(ctx, provider, model, usage, whole, estimatePrompt(p), estimate(text.String()))
	s := Spending{ID: NewID(), User: user, Session: o.asked.Session.ID, Model: model, Usage: *usage, Title: true, At: time.Now().UTC()}
	if err := t.store.RecordUsage(ctx, s); err != nil {
		t.bg.logger.Warn("book a title", "err", err)
	}
	if title == "" || !whole {
		return
	}
	session, version, err := t.store.RetitleSession(ctx, user, o.asked.Session.ID, o.asked.Session.Title, title)
	if err != nil {
		if CodeOf(err) != CodeNotFound { // renamed or deleted meanwhile
			t.bg.logger.Warn("store a title", "err", err)
		}
		return
	}
	t.feeds.publishSession(user, session, version, true)
}

// untitled says whether a session begins with this question, and has nothing
// better for a title than its first words.
func untitled(asked Asked) bool {
	q := asked.Question
	if q == nil || q.ParentID != nil {
		return false
	}
	title := asked.Session.Title
	return title == "" || title == titleOf(q.Content) || title == pageTitle(q.Content)
}

// pageTitle is what the page calls a session that it makes before the question:
// eight words, cut at 60 of JavaScript's characters.
func pageTitle(content string) string {
	words := strings.Fields(content)
	title := utf16.Encode([]rune(strings.Join(words[:min(8, len(words))], " ")))
	return string(utf16.Decode(title[:min(60, len(title))]))
}

// titleModel is the model that makes titles, "" for none.
func (t *titler) choose(ctx context.Context, user UserID, asked string) string {
	if t.model != TitleAuto {
		return t.model
	}
	provider, _, _ := strings.Cut(asked, "/")
	v, _, err := t.catalogue.providerOf(ctx, user, "model", asked)
	if err != nil {
		return ""
	}
	entry, own := knownAt(asked, v)
	if !own || entry.Small == "" {
		return ""
	}
	return provider + "/" + entry.Small
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

// titleFrom makes a title of what a model wrote, "" if it is none.
func titleFrom(text string) string {
	text = clean(text)
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
	if utf8.RuneCountInString(title) > titleMax {
		return strings.TrimSpace(string([]rune(title)[:titleMax-1])) + "…"
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
