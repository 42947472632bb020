package hub

import (
	"context"
	"strings"
	"time"
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

// makeTitle gives a new session a better title than its first words, in the
// background. It stays as it is if that fails or a person was faster.
func (h *Hub) makeTitle(user UserID, o order) {
	ctx, cancel := context.WithTimeout(h.base, titleTimeout)
	defer cancel()
	model := h.titleModel(ctx, user, o.model)
	if model == "" {
		return
	}
	provider, name, err := h.providerOf(ctx, user, "title model", model)
	if err != nil {
		h.log.Warn("make a title", "err", err)
		return
	}
	question := o.asked.Question.Content
	if r := []rune(question); len(r) > 2000 {
		question = string(r[:2000])
	}
	p := Prompt{Model: name, Turns: []Turn{{Role: RoleOfUser, Content: titleText + question}}}
	var text strings.Builder
	var usage *Usage
	whole := false
	for d, err := range provider.Stream(ctx, p) {
		if err != nil {
			h.log.Warn("make a title", "model", model, "code", CodeOf(err), "err", err)
			break
		}
		text.WriteString(d.Text)
		if d.Usage != nil {
			usage = d.Usage
		}
		if whole = d.Finish != ""; whole || text.Len() > 10*titleMax {
			break
		}
	}
	title := titleFrom(text.String())
	if usage == nil && title == "" {
		return
	}
	usage = h.account(ctx, model, usage, whole, estimatePrompt(p), estimate(text.String()))
	s := Spending{ID: NewID(), User: user, Session: o.asked.Session.ID, Model: model, Usage: *usage, At: time.Now().UTC()}
	if err := h.store.RecordUsage(ctx, s); err != nil {
		h.log.Warn("book a title", "err", err)
	}
	if title == "" || !whole {
		return
	}
	session, version, err := h.store.RetitleSession(ctx, user, o.asked.Session.ID, o.asked.Session.Title, title)
	if err != nil {
		if CodeOf(err) != CodeNotFound { // renamed or deleted meanwhile
			h.log.Warn("store a title", "err", err)
		}
		return
	}
	h.publishSession(user, session, version, true)
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
func (h *Hub) titleModel(ctx context.Context, user UserID, asked string) string {
	if h.opt.TitleModel != TitleAuto {
		return h.opt.TitleModel
	}
	provider, _, _ := strings.Cut(asked, "/")
	entry, ok := known(asked)
	if !ok || entry.Small == "" {
		return ""
	}
	infos, err := h.Endpoints(ctx, user)
	if err != nil {
		return ""
	}
	own := false
	for _, e := range infos { // the user's own come last, and count
		if e.Name == provider {
			own = e.BaseURL == ""
		}
	}
	if !own {
		return ""
	}
	return provider + "/" + entry.Small
}

// titleFrom makes a title of what a model wrote, "" if it is none.
func titleFrom(text string) string {
	title, _, _ := strings.Cut(strings.TrimSpace(clean(text)), "\n")
	title = strings.TrimPrefix(title, "Title:")
	title = strings.Trim(title, " \t\"'`*#_“”„«»")
	title = strings.TrimSuffix(title, ".")
	if utf8.RuneCountInString(title) > titleMax {
		return string([]rune(title)[:titleMax-1]) + "…"
	}
	return title
}
