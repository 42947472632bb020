package hub

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestDailyLimitsCountWhatRunsAnywhere has an answer run at one replica that uses
// the limit up: within 5 s no other one answers any more.
func TestDailyLimitsCountWhatRunsAnywhere(t *testing.T) {
	for name, limit := range map[string]func(l *limits){
		"of tokens": func(l *limits) { l.dailyTokens = 20 },
		"of money":  func(l *limits) { l.dailyCost = Dollars(0.00002) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1)
				s.bus.send = (*localClient).push
				s.store.prices = []ModelPrice{{Model: "sim/m", Price: Price{Input: 1, Output: 1}}}
				for _, r := range s.replicas {
					r.hub.catalogue.vendors = Fixed{"sim": Vendor{Provider: drip{}}}
					limit(r.hub.limits)
					if err := r.hub.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				id := s.replicas[0].askAt(t, 0)
				time.Sleep(6 * time.Second) // some 100 words of 4 bytes
				for _, r := range s.replicas {
					if err := r.hub.limits.withinLimit(t.Context(), as("u")); CodeOf(err) != CodeDailyLimit {
						t.Errorf("%s: %v", r.name, err)
					}
					if err := r.hub.limits.withinLimit(t.Context(), as("somebody else")); err != nil {
						t.Errorf("%s: somebody else: %v", r.name, err)
					}
				}
				s.replicas[0].hub.streams.of(id).cancel(errStopped)
				time.Sleep(3 * time.Second)
				if u, err := s.replicas[1].hub.shares().leases.UsedElsewhere(t.Context(), "r1", "u"); err != nil || u != (Used{}) {
					t.Errorf("after its end %+v is under way, %v", u, err)
				}
				for _, r := range s.replicas {
					r.hub.Close()
				}
			})
		})
	}
}

// TestAnAnswerCountsOnce holds that an answer which is in the books does not count as
// under way any more, although its end is still being shown.
func TestAnAnswerCountsOnce(t *testing.T) {
	st := &stream{id: "m", user: "u", input: 10, log: newLog(Message{ID: "m"})}
	li := &limits{dailyTokens: 20, streams: &streams{byID: map[MessageID]*stream{"m": st}}}
	if got := li.underWay()["u"].Tokens; got != 10 {
		t.Errorf("%d tokens are under way, want 10", got)
	}
	st.over.Store(true)
	if got := li.underWay(); len(got) > 0 {
		t.Errorf("%v is under way although it is booked", got)
	}
}
