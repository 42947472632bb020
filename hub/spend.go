package hub

import (
	"context"
	"time"
)

// account completes what an answer used: what the provider did not report is
// estimated, and all of it priced. An answer that failed before it began costs
// nothing.
func (h *Hub) account(ctx context.Context, v Vendor, model string, u *Usage, whole bool, input, output int64) *Usage {
	switch {
	case u == nil:
		u = &Usage{InputTokens: input, OutputTokens: output, Estimated: true}
	case !whole: // what came last was of a moment before the end
		u.OutputTokens, u.Estimated = max(u.OutputTokens, output), true
	}
	u.complete(input, output)
	u.bound()
	p := priceOf(h.customPrices(ctx), v, model)
	if p == nil {
		p = h.toldPrice(v, model)
	}
	if p != nil {
		cost := p.Cost(*u)
		u.Cost = &cost
	}
	return u
}

// complete estimates what is reported as nothing, as some servers do for every
// answer: no question is without a token, and no text.
func (u *Usage) complete(input, output int64) {
	if u.InputTokens <= 0 && input > 0 {
		u.InputTokens, u.Estimated = input, true
	}
	if u.OutputTokens <= 0 && output > 0 {
		u.OutputTokens, u.Estimated = output, true
	}
}

// tokensMax is more than any answer uses.
const tokensMax = 100_000_000

// bound mends counts that cannot be: what an endpoint reports may not spoil the
// books, nor lower what is used of a limit.
func (u *Usage) bound() {
	for _, n := range []*int64{&u.InputTokens, &u.OutputTokens, &u.CachedTokens, &u.ReasoningTokens} {
		*n = min(max(*n, 0), tokensMax)
	}
}

// withinLimit refuses when the user has used up what is allowed for today.
func (h *Hub) withinLimit(ctx context.Context, user UserID) error {
	if h.opt.DailyTokens == 0 && h.opt.DailyCost == 0 {
		return nil
	}
	now := time.Now()
	tokens, cost, err := h.store.UsedSince(ctx, user, today(now))
	if err != nil {
		return err
	}
	tokens += h.underWay(user)
	var what string
	switch {
	case h.opt.DailyTokens > 0 && tokens >= h.opt.DailyTokens:
		what = "tokens"
	case h.opt.DailyCost > 0 && cost >= h.opt.DailyCost:
		what = "money"
	default:
		return nil
	}
	return &Error{
		Code: CodeDailyLimit, Msg: "your " + what + " for today are used up; they are renewed at midnight, UTC",
		RetryAfter: today(now).Add(24 * time.Hour).Sub(now),
	}
}

// underWay is about how many tokens the user's answers have used that run here.
func (h *Hub) underWay(user UserID) (tokens int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, st := range h.streams {
		if st.log != nil && st.user == user && st.endedAt.IsZero() {
			st.mu.Lock()
			tokens += st.input + int64(st.size/4)
			st.mu.Unlock()
		}
	}
	return tokens
}
