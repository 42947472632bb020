package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/picture"
	"github.com/omnichat/omnichat/hub/plain"
)

// job is an answer that is to be generated: what was asked, and of whom.
type job struct {
	asked    Asked
	order    Order
	model    string // "provider/model"
	provider Vendor
	title    bool      // the session was opened by this question, and wants a title
	said     []Message // what was said before, if that was read ahead

	admission *admission
}

// prompter makes the prompts of answers from what the store has. It is safe for
// concurrent use.
type prompter struct {
	store      Store
	bg         *background.Group
	imageBytes int64 // of the images of one prompt, the newest
}

const beforeText = "(The beginning of this conversation was left out.)"

const continueText = "Continue exactly where you stopped. Do not repeat anything and do not comment on this request."

const (
	// answerRoom is what is kept free of a model's context for the answer, in
	// tokens, at most a quarter of the context.
	answerRoom = 8192
	// imageTokens is what an image counts for when a conversation is cut.
	imageTokens = 1500
	// promptMin is the text that is read of a conversation, in bytes, if it has
	// as much, however little the model can take; promptMax of one for a model
	// whose context is not known, and promptMost for any.
	promptMin  = 1 << 20
	promptMax  = 4 << 20
	promptMost = 8 << 20
	// bytesPerToken is what a token has at most, as estimate counts them.
	bytesPerToken = 4
)

// Of all prompts of one user, and of all there are: bytes that they hold at a
// time. A prompt is in memory several times over while it is sent.
const (
	promptsEach = 64 << 20
	promptsAll  = 256 << 20
)

// textMax is how much text of a conversation a model is asked with, in bytes.
func textMax(model Model) int64 {
	if model.Context == 0 {
		return promptMax
	}
	return min(max(bytesPerToken*model.Context, promptMin), promptMost)
}

// make returns what a model is asked: the branch that is shown, cut to what the
// model can take, and what the person should know of that.
func (pr *prompter) make(ctx context.Context, who Access, j job, model Model, images picture.Limit) (Prompt, []Notice, error) {
	_, name, _ := strings.Cut(model.ID, "/")
	o := j.order
	p := Prompt{Model: name, Temperature: o.Temperature, TopP: o.TopP, MaxTokens: o.MaxTokens, ReasoningEffort: o.ReasoningEffort}
	if model.thoughtless() {
		p.ReasoningEffort = "" // of a model chosen before
	}
	system := j.asked.Session.SystemPrompt
	if system == "" {
		system = j.asked.Settings.SystemPrompt
	}
	branch, left := j.said, 0
	if branch == nil {
		var err error
		if branch, left, err = pr.branch(ctx, who, j.asked.Answer, textMax(model)); err != nil {
			return p, nil, fmt.Errorf("read the conversation: %w", err)
		}
	}
	branch, notices := cut(branch, left, system, model, p.MaxTokens)
	sees := model.Vision == nil || *model.Vision
	skip, skipped := pr.leaveOut(branch, textMax(model), sees)
	if system != "" {
		p.Turns = append(p.Turns, Turn{Role: RoleOfSystem, Content: system})
	}
	var out leftOut
	for i, m := range branch {
		turn := Turn{Role: m.Role, Content: m.Content}
		if m.Role == RoleOfAssistant && m.Model == model.ID {
			turn.Reasoning, turn.Opaque = m.Reasoning, m.Opaque
		}
		show := sight{limit: images, blind: !sees, refused: i+1 < len(branch) && branch[i+1].refused()}
		if err := pr.addFiles(ctx, who, &turn, m.Files, show, skip, &out); err != nil {
			return p, notices, err
		}
		if turn.Content != "" || len(turn.Images) > 0 {
			p.Turns = append(p.Turns, turn)
		}
	}
	notices = append(append(notices, out.notices()...), skipped...)
	p.Turns = alternate(p.Turns)
	if n := len(p.Turns); n > 0 && p.Turns[n-1].Role == RoleOfAssistant {
		p.Turns = append(p.Turns, Turn{Role: RoleOfUser, Content: continueText})
	}
	return p, notices, nil
}

// alternate gives turns the order that the strictest chat templates want: one of
// the system at most, which comes first, then a person's and a model's in turn.
// Neighbours of one role become one turn, as an answer between them may have
// failed without a word.
func alternate(turns []Turn) []Turn {
	var system, out []Turn
	for _, t := range turns {
		into := &out
		if t.Role == RoleOfSystem {
			into = &system
		}
		last := len(*into) - 1
		switch {
		case into == &out && last < 0 && t.Role == RoleOfAssistant:
			out = append(out, Turn{Role: RoleOfUser, Content: beforeText}, t)
		case last < 0 || (*into)[last].Role != t.Role:
			*into = append(*into, t)
		default:
			(*into)[last].join(t)
		}
	}
	return append(system, out...)
}

// join adds a turn of the same role. An answer that follows an answer continues it
// exactly where it stopped; what the provider wants replayed is of the first.
func (t *Turn) join(more Turn) {
	between := "\n\n"
	if t.Role == RoleOfAssistant || t.Content == "" || more.Content == "" {
		between = ""
	}
	t.Content += between + more.Content
	t.Images = append(slices.Clip(t.Images), more.Images...)
}

// aheadMax is the text of a conversation that is read ahead, in bytes. It is held
// for as long as the answer runs.
const aheadMax = 64 << 10

// ahead reads a conversation that is short before its answer begins, so that this
// needs no database from then on. It returns nil of one that is long, or cannot
// be read now: that is read when the prompt is made.
func (pr *prompter) ahead(ctx context.Context, who Access, answer Message) []Message {
	if answer.ParentID == nil {
		return nil
	}
	said, left, err := pr.store.Branch(ctx, who, *answer.ParentID, aheadMax)
	size := 0
	for _, m := range said {
		size += len(m.Content) + len(m.Reasoning)
	}
	if err != nil || left > 0 || size > aheadMax {
		return nil
	}
	return said
}

// branch reads the newest of what was said before an answer, however long the
// database is away, and says how many older messages are left out.
func (pr *prompter) branch(ctx context.Context, who Access, answer Message, most int64) (newest []Message, left int, err error) {
	if answer.ParentID == nil {
		return nil, 0, nil
	}
	err = pr.patiently(ctx, func(ctx context.Context) (err error) {
		newest, left, err = pr.store.Branch(ctx, who, *answer.ParentID, most)
		return err
	})
	return newest, left, err
}

// leaveOut says which files a prompt has no room for, the newest first: images
// that are more than one prompt may have, and text beyond so many bytes.
func (pr *prompter) leaveOut(branch []Message, text int64, sees bool) (skip map[*File]bool, notices []Notice) {
	skip = map[*File]bool{}
	images, noImage, noText := pr.imageBytes, false, false
	for _, m := range slices.Backward(branch) {
		for i := range m.Files {
			f, fits, left := &m.Files[i], &text, &noText
			if f.IsImage() {
				fits, left = &images, &noImage
			}
			*left = *left || f.Size > *fits // then all that is older is left out, too
			if skip[f] = *left; !*left {
				*fits -= f.Size
			}
		}
	}
	if noImage && sees {
		notices = append(notices, Notice{Code: NoticeImagesLeft, Detail: "The images of this conversation are over " + plain.Size(pr.imageBytes) + " together: of the older ones, the model was told the names only."})
	}
	if noText {
		notices = append(notices, Notice{Code: NoticeContextCut, Detail: "The attached files are longer than this model can read: of the older ones, it was told the names only."})
	}
	return skip, notices
}

// sight is what a model sees of the images of one message.
type sight struct {
	limit   picture.Limit
	blind   bool // it sees none
	refused bool // the provider refused them before
}

// leftOut is which images a model is told the names of only, and why.
type leftOut struct {
	blind, refused []string
	broken         []string // with their reasons
}

func (l leftOut) notices() []Notice {
	var out []Notice
	add := func(names []string, why string) {
		if len(names) > 0 {
			out = append(out, Notice{Code: NoticeImagesLeft, Detail: why})
		}
	}
	add(l.blind, "This model cannot see images: it was told their names only.")
	add(l.refused, "Left out, as the provider refused the question that had them: "+strings.Join(l.refused, ", ")+".")
	add(l.broken, "Left out, as the provider would refuse them: "+strings.Join(l.broken, ", ")+".")
	return out
}

// refused says whether an answer failed as the provider refused what it was
// sent: it would do so again.
func (m Message) refused() bool {
	return m.Role == RoleOfAssistant && m.Status == StatusError && m.Error != nil && m.Error.Code == CodeProviderInvalid
}

// addFiles adds a message's files to its turn, but for the names of those to
// skip. An image that the model cannot be sent is named, and told to left.
func (pr *prompter) addFiles(ctx context.Context, who Access, turn *Turn, files []File, show sight, skip map[*File]bool, left *leftOut) error {
	for i, f := range files {
		if f.IsImage() && (show.blind || show.refused || skip[&files[i]]) {
			turn.Content += fmt.Sprintf("\n\n[image: %s]", f.Name)
			switch {
			case show.blind:
				left.blind = append(left.blind, f.Name)
			case show.refused:
				left.refused = append(left.refused, f.Name)
			}
			continue
		}
		if skip[&files[i]] {
			turn.Content += fmt.Sprintf("\n\n[file: %s]", f.Name)
			continue
		}
		data, err := pr.fileData(ctx, who, f.ID)
		if err != nil {
			return fmt.Errorf("read attachment %s: %w", f.ID, err)
		}
		if f.IsImage() {
			var img Image
			img.MediaType, img.Data, err = show.limit.Fit(f.MediaType, data)
			if err != nil {
				turn.Content += fmt.Sprintf("\n\n[image: %s]", f.Name)
				left.broken = append(left.broken, fmt.Sprintf("%s (%v)", f.Name, err))
				continue
			}
			turn.Images = append(turn.Images, img)
			continue
		}
		fence := "```"
		for strings.Contains(string(data), fence) {
			fence += "`"
		}
		turn.Content += fmt.Sprintf("\n\nAttached file %s:\n%s\n%s\n%s", f.Name, fence, data, fence)
	}
	return nil
}

// fileData reads a file's bytes, however long the database is away.
func (pr *prompter) fileData(ctx context.Context, who Access, id FileID) (data []byte, err error) {
	err = pr.patiently(ctx, func(ctx context.Context) (err error) {
		_, data, err = pr.store.File(ctx, who, id)
		return err
	})
	return data, err
}

// patiently repeats a read for as long as the database is away.
func (pr *prompter) patiently(ctx context.Context, read func(ctx context.Context) error) (err error) {
	pr.bg.Retry(ctx, 100*time.Millisecond, 2*time.Second, func() bool {
		limit, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		err = read(limit)
		return CodeOf(err) != CodeUnavailable
	})
	return err
}

// cut leaves out the oldest messages of a branch, of which left are left out
// already, until the rest fits into the model's context. The last one stays.
func cut(branch []Message, left int, system string, model Model, maxTokens *int) ([]Message, []Notice) {
	from := fitting(branch, system, model, maxTokens)
	if from == 0 && left > 0 {
		from = fromPerson(branch, 0)
	}
	if from+left == 0 {
		return branch, nil
	}
	noun := "messages do"
	if from+left == 1 {
		noun = "message does"
	}
	return branch[from:], []Notice{{Code: NoticeContextCut, Detail: fmt.Sprintf("The conversation is longer than this model can read: its oldest %d %s not count for this answer.", from+left, noun)}}
}

// fitting is where what fits into the model's context begins.
func fitting(branch []Message, system string, model Model, maxTokens *int) int {
	if model.Context == 0 {
		return 0
	}
	room := min(answerRoom, model.Context/4)
	if maxTokens != nil {
		room = min(int64(*maxTokens), model.Context/2)
	}
	budget := model.Context - room - estimate(system)
	from := len(branch)
	for from > 0 {
		if budget -= estimateMessage(branch[from-1]); budget < 0 && from < len(branch) {
			break
		}
		from--
	}
	if from == 0 {
		return 0
	}
	return fromPerson(branch, from)
}

// fromPerson is the first message of a person from there on, or the last one:
// models want a person to begin.
func fromPerson(branch []Message, from int) int {
	for from < len(branch)-1 && branch[from].Role != RoleOfUser {
		from++
	}
	return from
}

func estimateMessage(m Message) int64 {
	n := estimate(m.Content) + 4
	for _, f := range m.Files {
		if f.IsImage() {
			n += imageTokens
		} else {
			n += f.Size/3 + 10
		}
	}
	return n
}

// estimate is about how many tokens a text has, rather too many than too few:
// vendors count differently, and tell only afterwards.
func estimate(text string) int64 {
	wide := utf8.RuneCountInString(text)
	ascii := 0
	for i := range len(text) {
		if text[i] < utf8.RuneSelf {
			ascii++
		}
	}
	return int64((ascii+3)/4 + wide - ascii)
}

// estimatePrompt is estimate for all of a prompt.
func estimatePrompt(p Prompt) int64 {
	var n int64
	for _, t := range p.Turns {
		n += estimate(t.Content) + 4 + int64(len(t.Images))*imageTokens
		for _, c := range t.Calls {
			n += estimate(c.Tool) + estimate(c.Arguments) + estimate(c.read())
		}
	}
	return n
}

// size is the bytes that a prompt holds.
func (p Prompt) size() int64 {
	n := 0
	for _, t := range p.Turns {
		n += len(t.Content) + len(t.Reasoning)
		for _, c := range t.Calls {
			n += len(c.Arguments) + len(c.read())
		}
		for _, o := range t.Opaque {
			n += len(o)
		}
		for _, img := range t.Images {
			n += len(img.Data)
		}
	}
	return int64(n)
}
