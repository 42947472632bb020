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
