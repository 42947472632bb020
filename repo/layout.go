package repo

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

// answerRow is what an answer has beside its message, if it has anything.
type answerRow struct {
	bun.BaseModel `bun:"table:answers"`

	MessageID  hub.MessageID `bun:",pk"`
	Parameters *string       // a hub.Order, as JSON
	Layout     jsonList[stretch]
}

// A stretch is a part of an answer as it lies in its layout. The texts lie in the message,
// joined, and the arguments of calls with its tool calls, where programs of before look for
// them.
type stretch struct {
	Kind  hub.Kind  `json:"k"`
	Bytes int       `json:"n,omitempty"` // of its text
	MS    int64     `json:"ms,omitempty"`
	Call  *hub.Call `json:"call,omitempty"` // without its arguments
}

// layoutOf is the column that reads a message's layout.
const layoutOf = "(SELECT layout FROM answers WHERE message_id = m.id) AS layout"

// layOut returns the layout of parts; nil if it is what the message tells without one.
func layOut(parts []hub.Part, thinkingMS int64) (out []stretch) {
	plain := true
	for i, p := range parts {
		s := stretch{Kind: p.Type, Bytes: len(p.Text), MS: p.MS}
		switch {
		case p.Call != nil:
			call := *p.Call
			call.Arguments = ""
			s.Call = &call
			plain = false
		case p.Type == hub.KindReasoning:
			plain = plain && i == 0 && p.MS == thinkingMS
		default:
			plain = plain && i == len(parts)-1
		}
		out = append(out, s)
	}
	if plain {
		return nil
	}
	return out
}

// parts puts an answer together from its layout. What a layout cannot be true of is told as
// if there were none.
func (m *messageRow) parts() []hub.Part {
	plain := func() []hub.Part { return hub.PlainParts(m.Content, m.Reasoning, m.ThinkingMS, m.ToolCalls) }
	if len(m.Layout) == 0 {
		return plain()
	}
	content, reasoning, calls := m.Content, m.Reasoning, m.ToolCalls
	parts := make([]hub.Part, 0, len(m.Layout))
	for _, s := range m.Layout {
		p := hub.Part{Type: s.Kind, MS: s.MS, Call: s.Call}
		from := &content
		switch {
		case s.Kind == hub.KindCall && s.Call != nil && len(calls) > 0:
			call := *s.Call
			call.Arguments = calls[0].Arguments
			p.Call, calls = &call, calls[1:]
			parts = append(parts, p)
			continue
		case s.Kind == hub.KindReasoning:
			from = &reasoning
		case s.Kind != hub.KindText:
			return plain()
		}
		if s.Bytes < 0 || s.Bytes > len(*from) {
			return plain()
		}
		p.Text, *from = (*from)[:s.Bytes], (*from)[s.Bytes:]
		parts = append(parts, p)
	}
	if content != "" || reasoning != "" {
		return plain()
	}
	return parts
}

// keepLayout stores the layout of an answer that ends, if it has one.
func (r *Repo) keepLayout(ctx context.Context, tx bun.Tx, e hub.AnswerEnd) error {
	layout := layOut(e.Parts, e.ThinkingMS)
	if layout == nil {
		return nil
	}
	row := answerRow{MessageID: e.ID, Layout: layout}
	_, err := tx.NewInsert().Model(&row).On("CONFLICT (message_id) DO UPDATE").Set("layout = EXCLUDED.layout").Exec(ctx)
	return err
}
