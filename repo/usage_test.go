package repo_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
)

func money(m hub.Money) *hub.Money { return &m }

// ending is an end of an answer that alice pays for.
func (s *suite) ending(a hub.Asked, u hub.Usage, at time.Time) hub.AnswerEnd {
	return hub.AnswerEnd{
		Session: a.Session.ID, ID: a.Answer.ID, Epoch: a.Answer.Epoch, Seq: 9, Reason: hub.ReasonStop, User: s.alice, Usage: &u, At: at,
	}
}

func (s *suite) usage(q hub.UsageQuery) []hub.UsageSum {
	s.t.Helper()
	sums, err := s.r.Usage(s.t.Context(), q)
	s.ok(err)
	return sums
}

func TestAnswersAreBookedOnce(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx, at := t.Context(), time.Now().UTC().Truncate(time.Microsecond)
		used := func(wantTokens int64, wantCost hub.Money) {
			t.Helper()
			tokens, cost, err := s.r.UsedSince(ctx, as(s.alice), at)
			s.ok(err)
			if tokens != wantTokens || cost != wantCost {
				t.Errorf("used %d tokens for %d, want %d for %d", tokens, cost, wantTokens, wantCost)
			}
		}
		used(0, 0)
		a := s.ask(s.question("x"))
		end := s.ending(a, hub.Usage{InputTokens: 10, OutputTokens: 5, Cost: money(7)}, at)
		fenced := end
		fenced.Epoch = 7
		_, err := s.r.EndAnswer(ctx, fenced)
		if !errors.Is(err, hub.ErrFenced) {
			t.Errorf("another epoch's end: %v", err)
		}
		used(0, 0)
		_, err = s.r.EndAnswer(ctx, end)
		s.ok(err)
		if _, err = s.r.EndAnswer(ctx, end); !errors.Is(err, hub.ErrFenced) {
			t.Errorf("the end once more: %v", err)
		}
		used(15, 7)
		for range 2 {
			s.ok(s.r.RecordUsage(ctx, hub.Spending{
				ID: "0198c0de-0000-7000-8000-000000000001", User: s.alice, Session: a.Session.ID, Model: "fake/small",
				Usage: hub.Usage{InputTokens: 1, OutputTokens: 1}, At: at,
			}))
		}
		used(17, 7)
		s.end(s.ask(s.question("nobody's to pay")), "x")
		used(17, 7)
		if tokens, _, err := s.r.UsedSince(ctx, as(s.alice), at.Add(time.Microsecond)); tokens != 0 || err != nil {
			t.Errorf("used later: %d, %v", tokens, err)
		}
		if tokens, _, err := s.r.UsedSince(ctx, as(s.bob), at); tokens != 0 || err != nil {
			t.Errorf("bob used %d, %v", tokens, err)
		}

		// A deleted answer's id may be used again, and costs again.
		_, err = s.r.DeleteSession(ctx, as(s.alice), a.Session.ID)
		s.ok(err)
		used(17, 7)
		again := s.question("y")
		again.AnswerID = a.Answer.ID
		_, err = s.r.EndAnswer(ctx, s.ending(s.ask(again), *end.Usage, at))
		s.ok(err)
		used(32, 14)
	})
}

func TestUsageIsSummedUp(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx := t.Context()
		day := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
		one, two := s.question("first talk"), s.question("second talk")
		a, b := s.ask(one), s.ask(two)
		end := s.ending(a, hub.Usage{InputTokens: 100, OutputTokens: 10, CachedTokens: 40, ReasoningTokens: 5, Cost: money(3)}, day.Add(24*time.Hour-time.Microsecond))
		_, err := s.r.EndAnswer(ctx, end)
		s.ok(err)
		end = s.ending(b, hub.Usage{InputTokens: 1, OutputTokens: 2, Estimated: true, Cost: money(1 << 40)}, day.Add(24*time.Hour))
		end.Model = "other/m"
		_, err = s.r.EndAnswer(ctx, end)
		s.ok(err)
		s.ok(s.r.RecordUsage(ctx, hub.Spending{
			ID: hub.NewID(), User: s.alice, Session: a.Session.ID, Model: "fake/m", Usage: hub.Usage{InputTokens: 8, OutputTokens: 1},
			At: day.Add(25 * time.Hour).In(time.FixedZone("west", -8*3600)),
		}))
		s.ok(s.r.RecordUsage(ctx, hub.Spending{ID: hub.NewID(), User: s.bob, Model: "fake/m", Usage: hub.Usage{InputTokens: 7, Cost: money(2)}, At: day}))
		s.ok(s.r.RecordUsage(ctx, hub.Spending{ID: hub.NewID(), User: s.alice, Model: "fake/m", Usage: hub.Usage{InputTokens: 9}, At: day.Add(-time.Hour)}))

		first := hub.UsageSum{Answers: 1, InputTokens: 100, OutputTokens: 10, CachedTokens: 40, ReasoningTokens: 5, Cost: 3}
		titled := hub.UsageSum{Answers: 2, InputTokens: 108, OutputTokens: 11, CachedTokens: 40, ReasoningTokens: 5, Cost: 3, Unpriced: 1}
		dear := hub.UsageSum{Answers: 1, InputTokens: 1, OutputTokens: 2, Cost: 1 << 40, Estimated: 1}
		bobs := hub.UsageSum{Answers: 1, InputTokens: 7, Cost: 2}
		named := func(u hub.UsageSum, key, label string) hub.UsageSum { u.Key, u.Label = key, label; return u }
		plus := func(u, v hub.UsageSum) hub.UsageSum {
			u.Answers, u.InputTokens, u.OutputTokens, u.CachedTokens = u.Answers+v.Answers, u.InputTokens+v.InputTokens, u.OutputTokens+v.OutputTokens, u.CachedTokens+v.CachedTokens
			u.ReasoningTokens, u.Cost, u.Estimated, u.Unpriced = u.ReasoningTokens+v.ReasoningTokens, u.Cost+v.Cost, u.Estimated+v.Estimated, u.Unpriced+v.Unpriced
			return u
		}
		second := plus(dear, hub.UsageSum{Answers: 1, InputTokens: 8, OutputTokens: 1, Unpriced: 1})
		for name, tt := range map[string]struct {
			user hub.UserID
			by   hub.UsageBy
			want []hub.UsageSum
		}{
			"by day":     {s.alice, hub.UsageByDay, []hub.UsageSum{named(first, "2026-11-20", "2026-11-20"), named(second, "2026-11-21", "2026-11-21")}},
			"by model":   {s.alice, hub.UsageByModel, []hub.UsageSum{named(dear, "other/m", "other/m"), named(titled, "fake/m", "fake/m")}},
			"by session": {s.alice, hub.UsageBySession, []hub.UsageSum{named(dear, string(two.Session), "second talk"), named(titled, string(one.Session), "first talk")}},
			"everyone's by session, without titles": {"", hub.UsageBySession, []hub.UsageSum{
				named(dear, string(two.Session), string(two.Session)), named(titled, string(one.Session), string(one.Session)), named(bobs, "", ""),
			}},
			"everyone's by user":  {"", hub.UsageByUser, []hub.UsageSum{named(plus(dear, titled), string(s.alice), "alice"), named(bobs, string(s.bob), "bob")}},
			"everyone's by model": {"", hub.UsageByModel, []hub.UsageSum{named(dear, "other/m", "other/m"), named(plus(titled, bobs), "fake/m", "fake/m")}},
			"bob's":               {s.bob, hub.UsageByModel, []hub.UsageSum{named(bobs, "fake/m", "fake/m")}},
		} {
			if got := s.usage(hub.UsageQuery{User: tt.user, By: tt.by, Since: day}); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s:\n%+v, want\n%+v", name, got, tt.want)
			}
		}
		_, err = s.r.DeleteSession(ctx, as(s.alice), two.Session)
		s.ok(err)
		if got := s.usage(hub.UsageQuery{User: s.alice, By: hub.UsageBySession, Since: day}); got[0] != named(dear, string(two.Session), string(two.Session)) {
			t.Errorf("a deleted session's sum is %+v", got[0])
		}
		if got := s.usage(hub.UsageQuery{By: hub.UsageByDay, Since: day.Add(72 * time.Hour)}); got == nil || len(got) != 0 {
			t.Errorf("nothing was used: %v", got)
		}
		_, err = s.r.Usage(ctx, hub.UsageQuery{By: "title; --"})
		s.code(err, hub.CodeInvalid)
	})
}

func TestPricesAreKept(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx := t.Context()
		list := func() []hub.ModelPrice {
			got, err := s.r.Prices(ctx)
			s.ok(err)
			return got
		}
		if got := list(); got == nil || len(got) != 0 {
			t.Errorf("there are %v", got)
		}
		small := hub.ModelPrice{Model: "a/small", Custom: true, Price: hub.Price{Input: 0.1, CachedInput: 0.025, Output: 1e-9}}
		big := hub.ModelPrice{Model: "z", Custom: true, Price: hub.Price{Input: 1, Output: 123456.789}}
		s.ok(s.r.PutPrice(ctx, hub.ModelPrice{Model: "z", Price: hub.Price{Input: 9, CachedInput: 9, Output: 9}}))
		s.ok(s.r.PutPrice(ctx, big))
		s.ok(s.r.PutPrice(ctx, small))
		if got := list(); !reflect.DeepEqual(got, []hub.ModelPrice{small, big}) {
			t.Errorf("there are %+v", got)
		}
		s.ok(s.r.DeletePrice(ctx, "z"))
		s.code(s.r.DeletePrice(ctx, "z"), hub.CodeNotFound)
		if got := list(); !reflect.DeepEqual(got, []hub.ModelPrice{small}) {
			t.Errorf("there are %+v", got)
		}
	})
}
