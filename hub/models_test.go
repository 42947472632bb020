package hub

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
)

// moody lists its models unless it is down.
type moody struct{ down bool }

func (m *moody) Models(ctx context.Context) ([]Model, error) {
	if m.down {
		return nil, errors.New("down")
	}
	return []Model{{ID: "m"}}, ctx.Err()
}

func (m *moody) Stream(context.Context, Prompt) iter.Seq2[Delta, error] {
	return func(func(Delta, error) bool) {}
}

// TestModelsAreListedWhateverFails has a client that hangs up and a provider that
// goes away: neither takes models from a list that others read.
func TestModelsAreListedWhateverFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSim(1).replicas[0].hub
		provider := &moody{}
		h.vendors = Fixed{"x": provider}
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		list := func(when string, ctx context.Context, failed int) {
			t.Helper()
			if got, err := h.Models(ctx, "u"); err != nil || len(got.Items) != 1 || got.Items[0].ID != "x/m" || len(got.Failed) != failed {
				t.Errorf("%s: %+v, %v", when, got, err)
			}
		}
		list("for a client that hung up", gone, 0)
		list("then", t.Context(), 0)
		provider.down = true
		pause(t.Context(), 2*modelsFor)
		list("while the provider is down", t.Context(), 1)
		pause(t.Context(), 2*partFor)
		list("while it stays down", t.Context(), 1)
	})
}

// TestRepeatedAskNeedsNoModel asks again, by the same id, what was asked when
// there was a default model.
func TestRepeatedAskNeedsNoModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		s.bus.send = (*localClient).push
		session, answer := s.askDrip(t)
		at := s.replicas[0].hub
		at.vendors = Fixed{"x": &moody{down: true}}
		question, text := MessageID("u0"), "q"
		asked, err := at.Ask(t.Context(), "u", Question{SessionID: &session, MessageID: &question, AnswerID: &answer, Content: &text, ParentGiven: true})
		if err != nil || !asked.Found {
			t.Errorf("asked again: %+v, %v", asked, err)
		}
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}

// TestWhatIsBesideTheTextIsBounded holds tool calls to the limit of the text.
func TestWhatIsBesideTheTextIsBounded(t *testing.T) {
	st := &stream{limit: 100, held: newRoom(100, 100)}
	if d := (Delta{Tool: &ToolDelta{ID: "12", Name: "345", Arguments: "6789"}, Opaque: []byte("0")}); d.beside() != 10 {
		t.Errorf("counts %d bytes", d.beside())
	}
	if !st.keep(100) || st.keep(1) || st.push("x", false) {
		t.Error("takes more than an answer may have")
	}
	if !st.pristine() {
		t.Error("nothing was shown")
	}
}
