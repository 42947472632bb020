package hub

import (
	"encoding/json"
	"math"
	"testing"
)

// TestNoUsageSpoilsTheBooks is endpoints that report what cannot be.
func TestNoUsageSpoilsTheBooks(t *testing.T) {
	price := Price{Input: 1e6, CachedInput: 1e6, Output: 1e6}
	for _, n := range []int64{math.MinInt64, -1, 0, 1, tokensMax, math.MaxInt64} {
		u := Usage{InputTokens: n, OutputTokens: n, CachedTokens: n, ReasoningTokens: n}
		u.bound()
		cost := price.Cost(u)
		for name, got := range map[string]int64{"input": u.InputTokens, "output": u.OutputTokens, "cached": u.CachedTokens, "reasoning": u.ReasoningTokens, "cost": int64(cost)} {
			if got < 0 || got > moneyMax || n <= 0 && got != 0 {
				t.Errorf("%s of %d is %d", name, n, got)
			}
		}
	}
	for _, m := range []Money{math.MinInt64, -1, 0, math.MaxInt64, Dollars(math.Inf(1)), Dollars(-1e300)} {
		if b, err := json.Marshal(m); err != nil || !json.Valid(b) {
			t.Errorf("%d in JSON: %s, %v", int64(m), b, err)
		}
	}
}

func TestUsageOfNothingIsEstimated(t *testing.T) {
	for name, tt := range map[string]struct{ told, want Usage }{
		"both zero":     {Usage{}, Usage{InputTokens: 9, OutputTokens: 4, Estimated: true}},
		"no input":      {Usage{OutputTokens: 5}, Usage{InputTokens: 9, OutputTokens: 5, Estimated: true}},
		"no output":     {Usage{InputTokens: 7, CachedTokens: 3}, Usage{InputTokens: 7, OutputTokens: 4, CachedTokens: 3, Estimated: true}},
		"below nothing": {Usage{InputTokens: -1, OutputTokens: -1}, Usage{InputTokens: 9, OutputTokens: 4, Estimated: true}},
		"as it is":      {Usage{InputTokens: 7, OutputTokens: 5}, Usage{InputTokens: 7, OutputTokens: 5}},
	} {
		if tt.told.complete(9, 4); tt.told != tt.want {
			t.Errorf("%s: %+v, want %+v", name, tt.told, tt.want)
		}
	}
	u := Usage{InputTokens: 7}
	if u.complete(9, 0); u.Estimated {
		t.Error("an answer without text was estimated")
	}
}
