package hub

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/omnichat/omnichat/hub/title"
)

// asker is the way from a question to its stream. It is safe for concurrent use.
type asker struct {
	replica        string
	filesPerPrompt int
	store          Store
	streams        *streams
	catalogue      *catalogue
	limits         *limits
	prompts        *prompter
	generator      *generator
}

// ask is Ask with the id that a session gets if one is opened. opened is called
// when an answer begins, before its events are in its feed and under the feed's
// lock.
func (a *asker) ask(ctx context.Context, who Access, q Question, fresh SessionID, opened func(*feed, Asked)) (Asked, error) {
	if err := who.May(ScopeChat); err != nil {
		return Asked{}, err
	}
	sq, err := a.stored(ctx, who, q, fresh)
	if err != nil {
		return Asked{}, err
	}
	provider, refused := a.choose(ctx, who, &sq)
	if refused == nil {
		refused = a.limits.withinLimit(ctx, who)
	}
	if refused == nil {
		refused = a.limits.withinQuota(ctx, who, sq.size())
	}
	var admitted *admission
	if refused == nil {
		admitted, refused = a.streams.admit(who.User)
	}
	if refused != nil {
		// What was asked before is found all the same.
		sq.FindOnly = true
		if asked, err := a.store.Ask(ctx, sq); err != nil || asked.Found {
			return asked, err
		}
		return Asked{}, refused
	}
	begun := false
	defer func() { // a panic must not count for ever
		if !begun {
			admitted.Release()
		}
	}()
	mine := a.streams.reserve(sq.AnswerID)
	// Once begun, storing does not end with the request.
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), askLimit)
	defer cancel()
	asked, err := a.store.Ask(write, sq)
	if err != nil || asked.Found {
		if err != nil && doubtfulError(err) {
			a.streams.doubt(sq.AnswerID)
		}
		a.streams.unreserve(mine)
		return asked, err
	}
	j := job{
		asked: asked, order: sq.Order, model: sq.Model, provider: provider, title: untitled(asked),
		said: a.prompts.ahead(write, who, asked.Answer), admission: admitted,
	}
	if err := a.streams.open(mine, who.User, asked, opened); err != nil {
		a.streams.doubt(sq.AnswerID)
		a.streams.unreserve(mine)
		return asked, err
	}
	begun = true
	go a.generator.generate(mine, j) // Close waits for it: it is counted since admit
	asked.stream = mine
	return asked, nil
}

// askLimit is how long it may take to store a question.
const askLimit = 8 * time.Second

// doubtfulError says whether a transaction that failed so may have been
// committed all the same.
func doubtfulError(err error) bool {
	code := CodeOf(err)
	return code == CodeInternal || code == CodeUnavailable
}

// stored checks a question and completes it with what the client left
// to the server.
func (a *asker) stored(ctx context.Context, who Access, q Question, fresh SessionID) (StoredQuestion, error) {
	sq := StoredQuestion{
		Who: who, Owner: a.replica, Session: fresh, NewSession: true,
		MessageID: MessageID(NewID()), AnswerID: MessageID(NewID()),
		Content: q.Content, Parent: q.ParentID, ParentGiven: q.ParentGiven, Files: q.Files,
	}
	switch {
	case q.Content == nil && q.ParentID == nil:
		return sq, Invalid("content", "is required, unless parent_id names what to answer again or to continue")
	case q.Content == nil && q.MessageID != nil:
		return sq, Invalid("message_id", "goes with content: without content no user message is made")
	case q.Content != nil && strings.TrimSpace(*q.Content) == "" && len(q.Files) == 0:
		return sq, Invalid("content", "must not be empty")
	case q.Content == nil && len(q.Files) > 0:
		return sq, Invalid("attachments", "go with content")
	case len(q.Files) > a.filesPerPrompt:
		return sq, Invalid("attachments", "are more than "+itoa(int64(a.filesPerPrompt)))
	case q.MessageID != nil && q.AnswerID != nil && *q.MessageID == *q.AnswerID:
		return sq, Invalid("answer_id", "must differ from message_id")
	}
	if q.MessageID != nil {
		sq.MessageID, sq.OwnMessage = *q.MessageID, true
	}
	if q.AnswerID != nil {
		sq.AnswerID, sq.OwnAnswer = *q.AnswerID, true
	}
	if q.Content != nil {
		sq.Title = title.Of(*q.Content)
	}
	model, parameters := q.Model, Parameters{}
	if q.SessionID == nil && q.ParentID != nil { // the parent says which
		parent, err := a.store.Message(ctx, who, *q.ParentID)
		if CodeOf(err) == CodeNotFound {
			return sq, &Error{Code: CodeNotFound, Field: "parent_id", Msg: "no such parent message"}
		}
		if err != nil {
			return sq, err
		}
		q.SessionID = &parent.SessionID
	}
	if q.SessionID != nil {
		s, err := a.store.Session(ctx, who, *q.SessionID)
		if err != nil {
			return sq, err
		}
		sq.Session, sq.NewSession = s.ID, false
		if parameters = s.Parameters; model == "" {
			model = s.Model
		}
	}
	if sq.NewSession {
		if err := who.MayAll(ScopeChat); err != nil {
			return sq, err
		}
	}
	sq.Model, sq.Order = model, orderOf(q, parameters)
	return sq, nil
}

// choose settles which model is asked, and checks that it can answer.
func (a *asker) choose(ctx context.Context, who Access, sq *StoredQuestion) (v Vendor, err error) {
	if sq.Model, err = a.catalogue.resolveModel(ctx, who.User, sq.Model); err != nil {
		return v, err
	}
	if v, _, err = a.catalogue.providerOf(ctx, who.User, "model", sq.Model); err != nil {
		return v, err
	}
	return v, a.canSee(ctx, who, v, *sq)
}

// canSee refuses images for a model that is known not to see them.
func (a *asker) canSee(ctx context.Context, who Access, v Vendor, sq StoredQuestion) error {
	if len(sq.Files) == 0 {
		return nil
	}
	files, err := a.store.Files(ctx, who, sq.Files)
	if err != nil || !slices.ContainsFunc(files, File.IsImage) {
		return err
	}
	if m := a.catalogue.modelOf(ctx, v, sq.Model); m.Vision != nil && !*m.Vision {
		err = &Error{Code: CodeNoVision, Field: "attachments", Msg: "the model " + sq.Model + " cannot see images: choose another one, or remove the image"}
	}
	return err
}
