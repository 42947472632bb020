package hub

import (
	"context"
	"time"
)

// biller adds up what the rounds of an answer have used. It is an [observer], safe for
// concurrent use.
type biller struct{ catalogue *catalogue }

var _ observer = biller{}

// ending is observer's. What a provider does not report is estimated. A round that failed
// and of which nothing is reported is free.
func (b biller) ending(g *generation) {
	end := &g.end
	g.endRound(end.Said, end.Reason.Status() == StatusComplete)
	ctx, cancel := context.WithTimeout(g.bg.Context(), 2*time.Second)
	defer cancel()
	for i, r := range g.rounds {
		failed := end.Reason == ReasonError && len(end.Parts) == 0 || i < len(g.rounds)-1 && !r.whole
		if none := r.usage == nil || *r.usage == (Usage{}); none && (failed || r.input == 0) {
			continue
		}
		u := b.catalogue.account(ctx, r.vendor, r.model, r.usage, r.whole, r.input, r.output)
		if end.Usage == nil {
			end.Usage = u
		} else {
			end.Usage.add(*u)
		}
	}
}

func (biller) ended(*generation) {}
