package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestTokenHoldsNumberAndTime(t *testing.T) {
	for _, n := range []int64{0, 1, 255, tokensMax - 1} {
		var b [tokenSize]byte
		putToken(b[:], n, n*1000)
		if got, at := tokenNumber(b[:]), tokenTime(b[:]); got != n || at != n*1000 {
			t.Errorf("token %d came back as %d, sent at %d", n, got, at)
		}
	}
	if n := tokenNumber("00x000"); n != -1 {
		t.Errorf("no number was read as %d", n)
	}
}

func TestHistogramIsExactToAFiftieth(t *testing.T) {
	var a, b histogram
	for v := range int64(100_000) {
		if v%2 == 0 {
			a.add(v)
		} else {
			b.add(v)
		}
	}
	a.merge(&b)
	for q, want := range map[float64]float64{0: 0, 0.5: 50, 0.99: 99, 0.999: 99.9, 1: 99.999} {
		if got := a.quantile(q); math.Abs(got-want) > want/50 {
			t.Errorf("quantile %g is %g ms, want %g", q, got, want)
		}
	}
	var empty histogram
	if got := empty.quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %g", got)
	}
}

func TestReportComparesRoundByRound(t *testing.T) {
	r := &report{title: "x", columns: []column{{key: "cpu", head: "CPU", digit: 1, ratio: true}}}
	for round, v := range []struct{ floor, ours float64 }{{10, 20}, {20, 30}, {100, 120}} {
		r.add("floor", round, map[string]float64{"cpu": v.floor}, faults{})
		r.add("ours", round, map[string]float64{"cpu": v.ours}, faults{})
	}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"20.0", "30.0", "1.50 (1.20–2.00)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if !r.exact() || strings.Contains(out.String(), "NOT EXACT") {
		t.Error("what was exact is said not to be")
	}
	r.add("ours", 3, map[string]float64{"cpu": 1}, faults{Missing: 2})
	out.Reset()
	if err := r.print(&out); err != nil || r.exact() || !strings.Contains(out.String(), "NOT EXACT: 2 tokens missing") {
		t.Errorf("two tokens are missing, but it says, %v,\n%s", err, out.String())
	}
	b, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(b), `"exact":false`) {
		t.Errorf("JSON: %s, %v", b, err)
	}
}
