package hub

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
	"github.com/omnichat/omnichat/hub/room"
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
		h.catalogue.vendors = Fixed{"x": provider}
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		list := func(when string, ctx context.Context, failed int) {
			t.Helper()
			if got, err := h.Models(ctx, as("u")); err != nil || len(got.Items) != 1 || got.Items[0].ID != "x/m" || len(got.Failed) != failed {
				t.Errorf("%s: %+v, %v", when, got, err)
			}
		}
		_, _ = h.Models(gone, as("u")) // which nobody reads
		synctest.Wait()
		list("then", t.Context(), 0)
		provider.down = true
		pause(t.Context(), 2*modelsFor)
		list("while the provider is down", t.Context(), 1)
		pause(t.Context(), 2*partFor)
		list("while it stays down", t.Context(), 1)
	})
}

// TestListsAreBounded holds that a server which lists whatever it likes is not
// remembered with all of it.
func TestListsAreBounded(t *testing.T) {
	long := strings.Repeat("x", nameMax+1)
	models := []Model{{ID: long}, {ID: "m", Name: long}}
	for n := range 2 * keptMax {
		models = append(models, Model{ID: strconv.Itoa(n), Name: "n"})
	}
	got := kept(models)
	if len(got) != keptMax || got[0].ID != "m" || got[0].Name != "" || got[1] != (Model{ID: "0", Name: "n"}) {
		t.Errorf("kept %d models, the first %+v", len(got), got[:2])
	}
	if got := kept(nil); got != nil {
		t.Errorf("of none: %v", got)
	}
}

// TestRepeatedAskNeedsNoModel asks again, by the same id, what was asked when
// there was a default model.
func TestRepeatedAskNeedsNoModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		s.bus.send = (*localClient).push
		session, answer := s.askDrip(t)
		at := s.replicas[0].hub
		at.catalogue.vendors = Fixed{"x": &moody{down: true}}
		question, text := MessageID("u0"), "q"
		asked, err := at.Ask(t.Context(), as("u"), Question{SessionID: &session, MessageID: &question, AnswerID: &answer, Content: &text, ParentGiven: true})
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
	st := &stream{limit: 100, held: room.New[UserID](100, 100)}
	if !st.keep(100) || st.keep(1) || st.say(eventlog.Text, "x") {
		t.Error("takes more than an answer may have")
	}
	if !st.pristine() {
		t.Error("nothing was shown")
	}
}

// counted lists its models when it may, and counts how often it was asked.
type counted struct {
	moody
	gate  chan struct{}
	asked atomic.Int32
}

func (c *counted) Models(context.Context) ([]Model, error) {
	c.asked.Add(1)
	<-c.gate
	return []Model{{ID: "m", Context: 4096}}, nil
}

// TestOneListIsOneForAll asks for a provider's models for many users at once, and
// for what one of them can do.
func TestOneListIsOneForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSim(1).replicas[0].hub
		provider := &counted{gate: make(chan struct{})}
		h.catalogue.vendors = Fixed{"x": provider}
		for _, user := range []UserID{"ann", "bob", "cid"} {
			go func() {
				if got, err := h.Models(t.Context(), as(user)); err != nil || len(got.Items) != 1 {
					t.Errorf("%s: %+v, %v", user, got, err)
				}
			}()
			go func() {
				if m := h.catalogue.modelOf(t.Context(), Vendor{Provider: provider}, "x/m"); m.Context != 4096 {
					t.Errorf("%s: %+v", user, m)
				}
			}()
		}
		synctest.Wait()
		close(provider.gate)
		synctest.Wait()
		if n := provider.asked.Load(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

// TestUnansweredListDelaysNoQuestionForLong asks a model whose provider says nothing.
func TestUnansweredListDelaysNoQuestionForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSim(1).replicas[0].hub
		provider := &counted{gate: make(chan struct{})}
		defer close(provider.gate)
		began := time.Now()
		if m := h.catalogue.modelOf(t.Context(), Vendor{Provider: provider}, "x/m"); m.Context != 0 || time.Since(began) > describeFor {
			t.Errorf("%+v after %s", m, time.Since(began))
		}
	})
}
