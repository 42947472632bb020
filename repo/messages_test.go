package repo_test

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
)

func TestAnswerComesBackWithAllThatItEndedWith(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx, at := t.Context(), time.Now().UTC().Truncate(time.Microsecond)
		end := func(change func(e *hub.AnswerEnd)) (hub.Message, hub.AnswerEnd) {
			t.Helper()
			a := s.ask(s.question("x"))
			e := hub.AnswerEnd{Session: a.Session.ID, ID: a.Answer.ID, Epoch: 1, Seq: 9, Said: hub.Said{Content: "text", Reasoning: "thought"}, Reason: hub.ReasonStop, At: at, User: s.alice}
			change(&e)
			v, err := s.r.EndAnswer(ctx, e)
			s.ok(err)
			branch, _, err := s.r.Branch(ctx, as(s.alice), a.Answer.ID, 1<<20)
			s.ok(err)
			m, err := s.r.Message(ctx, as(s.alice), a.Answer.ID)
			s.ok(err)
			if !reflect.DeepEqual(m, branch[1]) || m.Version != v {
				t.Errorf("alone it is %+v, in its branch %+v", m, branch[1])
			}
			changes := s.changes(a.Session.ID, 0)
			shown := m
			shown.Opaque = nil
			if !reflect.DeepEqual(changes.Items[1], shown) {
				t.Errorf("shown it is %+v, want %+v", changes.Items[1], shown)
			}
			return m, e
		}
		got, e := end(func(e *hub.AnswerEnd) {
			e.Usage = &hub.Usage{InputTokens: 1, OutputTokens: 2, CachedTokens: 3, ReasoningTokens: 4, Estimated: true, Cost: money(1<<53 + 1)}
			e.Reason = hub.ReasonError
			e.Error = &hub.Failure{Code: hub.CodeProviderRateLimit, Detail: "slow down", RetryAfter: 17}
			e.Model = "other/vendor/m"
			e.Parts = []hub.Part{
				{Type: hub.KindReasoning, Text: "tho", MS: 1000}, {Type: hub.KindText, Text: "te"},
				{Type: hub.KindCall, Call: &hub.Call{
					ID: "c1", Tool: "find", Arguments: `{"q":"it's \u0000 <b> 日本 \\u0000 ?"}`, Status: hub.CallDone, StartedAt: at, EndedAt: &at,
					Result: &hub.CallResult{Text: "\x00 '?0'", Bytes: 6, Files: []hub.File{}},
				}},
				{Type: hub.KindReasoning, Text: "ught", MS: 234}, {Type: hub.KindText, Text: "xt"},
				{Type: hub.KindCall, Call: &hub.Call{ID: "c2", Status: hub.CallFailed, Error: &hub.Failure{Code: hub.CodeNoSuchTool}, StartedAt: at}},
			}
			e.Notices = []hub.Notice{{Code: hub.NoticeFallback, Detail: "'?0' \x00"}}
			e.ThinkingMS = 1234
			e.Opaque = []json.RawMessage{[]byte(`{"signature":"a\u0000b","n":12345678901234567890}`), []byte(`"x"`)}
		})
		if got.Provider != "other" || got.Model != e.Model || !reflect.DeepEqual(got.Usage, e.Usage) || !reflect.DeepEqual(got.Error, e.Error) ||
			!reflect.DeepEqual(got.ToolCalls, e.ToolCalls()) || !reflect.DeepEqual(got.Parts, e.Parts) || !reflect.DeepEqual(got.Notices, e.Notices) || got.ThinkingMS != 1234 ||
			!reflect.DeepEqual(got.Opaque, e.Opaque) || !got.FinishedAt.Equal(at) || got.Status != hub.StatusError || *got.FinishReason != hub.ReasonError ||
			got.Content != "text" || got.Reasoning != "thought" || got.Seq != 9 {
			t.Errorf("it came back as %+v", got)
		}
		got, _ = end(func(e *hub.AnswerEnd) {})
		if got.Provider != "fake" || got.Model != "fake/m" || got.Usage != nil || got.Error != nil || got.ToolCalls != nil || got.Notices != nil || got.ThinkingMS != 0 || got.Opaque != nil ||
			!reflect.DeepEqual(got.Parts, []hub.Part{{Type: hub.KindReasoning, Text: "thought"}, {Type: hub.KindText, Text: "text"}}) {
			t.Errorf("a plain one came back as %+v", got)
		}
		got, _ = end(func(e *hub.AnswerEnd) {
			e.Usage = &hub.Usage{}
			e.Opaque = []json.RawMessage{[]byte(`{"cut`), []byte(`1`)}
		})
		if got.Usage == nil || *got.Usage != (hub.Usage{}) || len(got.Opaque) != 1 {
			t.Errorf("a free one with a broken part came back as %+v", got)
		}
	})
}

func TestBranchIsTheUsersOwn(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("one")
		a := s.ask(q)
		s.end(a, "1")
		b := s.ask(s.follow(q, "two"))
		var texts []string
		branch, _, err := s.r.Branch(t.Context(), as(s.alice), b.Question.ID, 1<<20)
		s.ok(err)
		for _, m := range branch {
			texts = append(texts, m.Content)
		}
		if got := strings.Join(texts, " "); got != "one 1 two" {
			t.Errorf("branch %s", got)
		}
		for most, want := range map[int64]string{9: "one 1 two", 4: "1 two", 3: "two", 0: "two"} {
			texts = nil
			branch, left, err := s.r.Branch(t.Context(), as(s.alice), b.Question.ID, most)
			s.ok(err)
			for _, m := range branch {
				texts = append(texts, m.Content)
			}
			if got := strings.Join(texts, " "); got != want || left != 3-len(branch) {
				t.Errorf("of %d bytes: %q and %d more, want %q", most, got, left, want)
			}
		}
		_, _, err = s.r.Branch(t.Context(), as(s.bob), b.Question.ID, 1)
		s.code(err, hub.CodeNotFound)
		_, _, err = s.r.Branch(t.Context(), as(s.alice), hub.MessageID(hub.NewID()), 1)
		s.code(err, hub.CodeNotFound)
	})
}

func TestSessionParameters(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx := t.Context()
		warm, many := 0.7, 4096
		all := hub.Parameters{Temperature: &warm, MaxTokens: &many, ReasoningEffort: "high"}
		made, _, err := s.r.CreateSession(ctx, as(s.alice), hub.SessionDraft{ID: hub.SessionID(hub.NewID()), Title: "t", Parameters: all})
		s.ok(err)
		plain, _, err := s.r.CreateSession(ctx, as(s.alice), hub.SessionDraft{ID: hub.SessionID(hub.NewID())})
		s.ok(err)
		is := func(id hub.SessionID, want hub.Parameters) {
			t.Helper()
			got, err := s.r.Session(ctx, as(s.alice), id)
			s.ok(err)
			if !reflect.DeepEqual(got.Parameters, want) {
				t.Errorf("parameters %+v, want %+v", got.Parameters, want)
			}
		}
		is(made.ID, all)
		is(plain.ID, hub.Parameters{})
		title, zero, low, none := "u", 0.0, "low", ""
		cold, noTokens := &zero, (*int)(nil)
		noTemperature := (*float64)(nil)
		for _, step := range []struct {
			patch hub.SessionPatch
			want  hub.Parameters
		}{
			{hub.SessionPatch{Title: &title}, all},
			{hub.SessionPatch{Temperature: &cold}, hub.Parameters{Temperature: &zero, MaxTokens: &many, ReasoningEffort: "high"}},
			{hub.SessionPatch{MaxTokens: &noTokens, ReasoningEffort: &low}, hub.Parameters{Temperature: &zero, ReasoningEffort: "low"}},
			{hub.SessionPatch{Temperature: &noTemperature, ReasoningEffort: &none}, hub.Parameters{}},
		} {
			got, _, err := s.r.UpdateSession(ctx, as(s.alice), made.ID, step.patch)
			s.ok(err)
			if !reflect.DeepEqual(got.Parameters, step.want) {
				t.Errorf("changed to %+v, want %+v", got.Parameters, step.want)
			}
			is(made.ID, step.want)
		}
	})
}

func TestRetitleOnlyFromTheTitleItHad(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx := t.Context()
		made, v, err := s.r.CreateSession(ctx, as(s.alice), hub.SessionDraft{ID: hub.SessionID(hub.NewID()), Title: "first words"})
		s.ok(err)
		for name, tt := range map[string]struct {
			user hub.UserID
			id   hub.SessionID
			from string
		}{
			"another title": {s.alice, made.ID, "a person's"}, "somebody else's": {s.bob, made.ID, "first words"}, "missing": {s.alice, hub.SessionID(hub.NewID()), "first words"},
		} {
			if _, _, err := s.r.RetitleSession(ctx, as(tt.user), tt.id, tt.from, "x"); hub.CodeOf(err) != hub.CodeNotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
		got, v2, err := s.r.RetitleSession(ctx, as(s.alice), made.ID, "first words", "A model's title")
		s.ok(err)
		if got.Title != "A model's title" || got.Version != made.Version+1 || v2 != v+1 || !got.UpdatedAt.Equal(made.UpdatedAt) {
			t.Errorf("retitled %+v, user version %d after %d", got, v2, v)
		}
		changes, err := s.r.SessionChanges(ctx, as(s.alice), v)
		s.ok(err)
		if len(changes.Items) != 1 || !reflect.DeepEqual(changes.Items[0], got) {
			t.Errorf("changes of the list %+v", changes)
		}
	})
}

// TestMessageThatCannotBeReachedIsNotMissing has the session locked by who does
// not let go, so that the database says nothing.
func TestMessageThatCannotBeReachedIsNotMissing(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("x")
		s.end(s.ask(q), "1")
		tx, err := s.raw().BeginTx(t.Context(), nil)
		s.ok(err)
		_, err = tx.ExecContext(t.Context(), "UPDATE sessions SET version = version")
		s.ok(err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = s.r.DeleteMessage(ctx, as(s.alice), q.Session, q.MessageID)
		s.code(err, hub.CodeUnavailable)
		s.ok(tx.Rollback())
		_, err = s.r.DeleteMessage(t.Context(), as(s.bob), q.Session, q.MessageID)
		s.code(err, hub.CodeNotFound)
		_, err = s.r.DeleteMessage(t.Context(), as(s.alice), q.Session, q.MessageID)
		s.ok(err)
	})
}

// TestMessagesAreReadInPages holds that no page has much more than it may, and that
// what happens between two of them makes no message come twice or not at all.
func TestMessagesAreReadInPages(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx := t.Context()
		q := s.question(strings.Repeat("q", 100_000))
		asked := []hub.Asked{s.ask(q)}
		root := func(text string) hub.Asked {
			next := s.follow(q, text)
			next.ParentGiven = true
			return s.ask(next)
		}
		for range 9 {
			asked = append(asked, root(strings.Repeat("q", 100_000)))
		}
		for _, a := range asked[:5] {
			s.end(a, strings.Repeat("a", 100_000))
		}
		all := s.changes(q.Session, 0)
		if len(all.Items) != 20 || len(all.Pages) < 6 {
			t.Fatalf("%d messages in %d pages", len(all.Items), len(all.Pages))
		}
		read := func(after int64, between func()) []hub.MessageID {
			t.Helper()
			c, err := s.r.MessageChanges(ctx, as(s.alice), q.Session, after)
			s.ok(err)
			var ids []hub.MessageID
			for i, p := range c.Pages {
				if i == 1 {
					between()
				}
				items, err := s.r.MessagePage(ctx, as(s.alice), q.Session, p)
				s.ok(err)
				size := 0
				for _, m := range items {
					ids, size = append(ids, m.ID), size+len(m.Content)
				}
				if size > 300_000 {
					t.Errorf("a page of %d bytes", size)
				}
			}
			return ids
		}
		var want []hub.MessageID
		for _, m := range all.Items {
			want = append(want, m.ID)
		}
		got := read(0, func() {
			s.end(asked[5], "changed behind the place")
			s.end(asked[9], "changed before it")
			root("added")
		})
		if !slices.Equal(got, want) {
			t.Errorf("the whole tree is %v, want %v", got, want)
		}
		changed := s.changes(q.Session, all.Version)
		if len(changed.Items) != 4 || changed.Items[0].ID != asked[5].Answer.ID || changed.Items[1].ID != asked[9].Answer.ID {
			t.Errorf("afterwards, %d messages have changed", len(changed.Items))
		}
		// All but the first question has changed since version 2.
		got = read(2, func() {
			_, err := s.r.DeleteMessage(ctx, as(s.alice), q.Session, asked[9].Answer.ID)
			s.ok(err)
		})
		if len(got) != 20 || got[0] != asked[0].Answer.ID || slices.Contains(got, asked[9].Answer.ID) {
			t.Errorf("after a version, with one deleted meanwhile, they are %v", got)
		}
		_, err := s.r.DeleteSession(ctx, as(s.alice), q.Session)
		s.ok(err)
		_, err = s.r.MessagePage(ctx, as(s.alice), q.Session, all.Pages[0])
		s.code(err, hub.CodeNotFound)
	})
}

func TestManySmallMessagesAreSeveralPages(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("x")
		s.end(s.ask(q), "y")
		for range 100 {
			s.end(s.ask(s.follow(q, "x")), "y")
		}
		c := s.changes(q.Session, 0)
		if len(c.Items) != 202 || len(c.Pages) != 2 || c.Pages[0].Last >= c.Pages[1].First {
			t.Errorf("%d messages in the pages %+v", len(c.Items), c.Pages)
		}
		if c := s.changes(q.Session, c.Version); len(c.Pages) != 0 {
			t.Errorf("of no change, there are pages %+v", c.Pages)
		}
	})
}
