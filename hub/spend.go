package hub

import (
	"context"
	"time"
)

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

// limits is what users may use, and have used. It is safe for concurrent use.
type limits struct {
	dailyTokens int64 // of one user, UTC; no limit if 0
	dailyCost   Money
	userBytes   int64 // of one user's files and messages; no limit if 0
	store       Store
	streams     *streams
	peers       peers
}

// withinLimit refuses when the user has used up what is allowed for today.
func (li *limits) withinLimit(ctx context.Context, user UserID) error {
	if li.dailyTokens == 0 && li.dailyCost == 0 {
		return nil
	}
	now := time.Now()
	tokens, cost, err := li.store.UsedSince(ctx, user, today(now))
	if err != nil {
		return err
	}
	// What the others run is as of their last renewal, a second ago or so.
	running := li.underWay()[user]
	elsewhere, err := li.peers.used(ctx, user)
	if err != nil {
		return err
	}
	running.add(elsewhere)
	tokens += running.Tokens
	cost += running.Cost
	var what string
	switch {
	case li.dailyTokens > 0 && tokens >= li.dailyTokens:
		what = "tokens"
	case li.dailyCost > 0 && cost >= li.dailyCost:
		what = "money"
	default:
		return nil
	}
	return &Error{
		Code: CodeDailyLimit, Msg: "your " + what + " for today are used up; they are renewed at midnight, UTC",
		RetryAfter: today(now).Add(24 * time.Hour).Sub(now),
	}
}

// Used is about what answers have used that have not ended.
type Used struct {
	Tokens int64 `json:"tokens"`
	Cost   Money `json:"cost"`
}

func (u *Used) add(o Used) {
	u.Tokens += o.Tokens
	u.Cost += o.Cost
}

// underWay is what each user's answers have used that run here, if there is a
// limit that it counts for.
func (li *limits) underWay() map[UserID]Used {
	if li.dailyTokens == 0 && li.dailyCost == 0 {
		return nil
	}
	used := map[UserID]Used{}
	for _, st := range li.streams.unended() {
		u := used[st.user]
		u.add(st.used())
		used[st.user] = u
	}
	return used
}

// used estimates what the answer has used up to now.
func (st *stream) used() Used {
	st.mu.Lock()
	defer st.mu.Unlock()
	u := Used{Tokens: st.input + int64(st.size/4)}
	if st.price != nil {
		u.Cost = st.price.Cost(Usage{InputTokens: st.input, OutputTokens: int64(st.size / 4)})
	}
	return u
}
