package hub

import (
	"context"
	"strings"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/title"
)

// TitleAuto has titles made by the small model of the vendor that is asked, at
// the vendor's own address.
const TitleAuto = "auto"

const (
	titleTimeout = 30 * time.Second
	titleSaid    = 4000 // bytes that a model says before it is not heard any longer
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
	bg        *background.Group
}

var _ observer = (*titler)(nil)

func (*titler) ending(*generation) {}

// ended is observer's.
func (t *titler) ended(g *generation) {
	if why := g.end.Reason; g.job.title && why != ReasonError && why != ReasonInterrupted {
		who, j := Own(g.st.user), g.job
		t.bg.Go(func() { t.bg.Guard("making a title", func() { t.make(who, j) }) })
	}
}

// make gives a new session a better title than its first words, in the
// background, once its first answer has ended: a server at home answers one
// request at a time. It stays as it is if that fails or a person was faster.
func (t *titler) make(who Access, j job) {
	ctx, cancel := context.WithTimeout(t.bg.Context(), titleTimeout)
	defer cancel()
	model := t.choose(ctx, who, j.model)
	if model == "" {
		return
	}
	provider, name, err := t.catalogue.providerOf(ctx, who.User, "title model", model)
	if err != nil {
		t.bg.Logger.Warn("make a title", "err", err)
		return
	}
	question := j.asked.Question.Content
	if r := []rune(question); len(r) > 2000 {
		question = string(r[:2000])
	}
	room := titleTokens
	p := Prompt{Model: name, Turns: []Turn{{Role: RoleOfUser, Content: titleText + question}}, MaxTokens: &room, ReasoningEffort: EffortOff}
	if t.catalogue.modelOf(ctx, provider, model).thoughtless() {
		p.ReasoningEffort = ""
	}
	var text, thoughts string
	var usage *Usage
	whole, size := false, 0
	for d, err := range provider.Stream(ctx, p) {
		if err != nil {
			t.bg.Logger.Warn("make a title", "model", model, "code", CodeOf(err), "err", err)
			break
		}
		switch d.Past {
		case KindReasoning:
			text = ""
		case KindText:
			text, thoughts = thoughts, ""
		}
		text, thoughts = text+d.Text, thoughts+d.Reasoning
		if d.Usage != nil {
			usage = d.Usage
		}
		size += len(d.Text) + len(d.Reasoning)
		if whole = d.Finish != ""; whole || size > titleSaid {
			break
		}
	}
	heading := title.From(text)
	if usage == nil && heading == "" {
		return
	}
	usage = t.catalogue.account(ctx, provider, model, usage, whole, estimatePrompt(p), estimate(text))
	s := Spending{ID: NewID(), User: who.User, Session: j.asked.Session.ID, Model: model, Usage: *usage, Title: true, At: time.Now().UTC()}
	if err := t.store.RecordUsage(ctx, s); err != nil {
		t.bg.Logger.Warn("book a title", "err", err)
	}
	if heading == "" || !whole {
		return
	}
	session, version, err := t.store.RetitleSession(ctx, who, j.asked.Session.ID, j.asked.Session.Title, heading)
	if err != nil {
		if CodeOf(err) != CodeNotFound { // renamed or deleted meanwhile
			t.bg.Logger.Warn("store a title", "err", err)
		}
		return
	}
	t.feeds.publishSession(who.User, session, version, true)
}

// untitled says whether a session begins with this question, and has nothing
// better for a title than its first words.
func untitled(asked Asked) bool {
	q := asked.Question
	if q == nil || q.ParentID != nil {
		return false
	}
	has := asked.Session.Title
	return has == "" || has == title.Of(q.Content) || has == title.OfPage(q.Content)
}

// choose returns the model that makes titles, "" for none.
func (t *titler) choose(ctx context.Context, who Access, asked string) string {
	if t.model != TitleAuto {
		return t.model
	}
	provider, _, _ := strings.Cut(asked, "/")
	v, _, err := t.catalogue.providerOf(ctx, who.User, "model", asked)
	if err != nil {
		return ""
	}
	entry, own := knownAt(asked, v)
	if !own || entry.Small == "" {
		return ""
	}
	return provider + "/" + entry.Small
}
