package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// growth is what the sub-command of that name is told.
type growth struct {
	load    fanOut
	offered float64 // deliveries a second, whatever grows
	most    int     // points beyond it are left out
	total   int     // messages of all users
	asks    int     // of each kind, for history
	db      string
}

// dimensions are what can grow.
var dimensions = []struct {
	name    string
	measure func(growth, context.Context, *lab) (*report, error)
}{
	{"viewers", growth.viewers},
	{"streams", growth.streams},
	{"length", growth.length},
	{"history", growth.history},
	{"replicas", growth.replicas},
}

// growthCommand is the sub-command.
func growthCommand(flags *flag.FlagSet) job {
	g := growth{load: fanOut{sample: 1, warm: time.Second}}
	what := flags.String("what", "viewers,streams,length,history,replicas", "what grows")
	flags.BoolVar(&g.load.ws, "ws", false, "viewers over WebSocket; the default, with -sse every other one")
	flags.BoolVar(&g.load.sse, "sse", false, "viewers over SSE")
	flags.DurationVar(&g.load.length, "for", 4*time.Second, "how long each point is measured")
	flags.DurationVar(&g.load.settle, "settle", 2*time.Second, "how long memory may take to settle")
	flags.Float64Var(&g.offered, "offered", 10_000, "deliveries a second, the same at all points as far as that goes")
	flags.IntVar(&g.most, "most", 100_000, "leave points beyond it out")
	flags.IntVar(&g.total, "messages", 1_000_000, "messages of all users, for history")
	flags.IntVar(&g.asks, "asks", 30, "requests of each kind, for history")
	flags.StringVar(&g.db, "db", "sqlite", "sqlite or postgres, for all but replicas")
	return func(ctx context.Context, l *lab) (reports []*report, err error) {
		g.load.ws = g.load.ws || !g.load.sse
		for _, name := range split(*what) {
			known := false
			for _, d := range dimensions {
				if d.name != name {
					continue
				}
				known = true
				r, err := d.measure(g, ctx, l)
				reports = append(reports, r)
				if err != nil {
					return reports, fmt.Errorf("growth of %s: %w", name, err)
				}
			}
			if !known {
				return reports, fmt.Errorf("unknown dimension %q", name)
			}
		}
		return reports, nil
	}
}

// rate is what each of n streams or viewers gets of the offered load.
func (g growth) rate(n int) float64 { return min(max(g.offered/float64(n), 1), 2000) }

// points measures each point, with fresh processes, as often as there are rounds.
func (g growth) points(l *lab, r *report, points []int, measure func(n int) (map[string]float64, faults, error)) (*report, error) {
	for round := range l.rounds {
		for _, n := range points {
			if n > g.most {
				continue
			}
			l.say("round %d: %s: %d", round+1, r.title, n)
			values, bad, err := measure(n)
			if err != nil {
				return r, fmt.Errorf("%d: %w", n, errors.Join(err, bad.err()))
			}
			r.add(fmt.Sprint(n), round, values, bad)
		}
	}
	return r, nil
}

func (g growth) fanOut(ctx context.Context, l *lab, f fanOut) (map[string]float64, faults, error) {
	t, err := l.open(ctx, current+"/"+g.db, f)
	if err != nil {
		return nil, faults{}, err
	}
	return f.measure(ctx, t)
}

func (g growth) viewers(ctx context.Context, l *lab) (*report, error) {
	r := &report{title: "viewers of one stream", columns: fanOutColumns}
	return g.points(l, r, []int{1, 10, 100, 1000, 5000}, func(n int) (map[string]float64, faults, error) {
		f := g.load
		f.streams, f.viewers, f.rate = 1, n, g.rate(n)
		return g.fanOut(ctx, l, f)
	})
}

func (g growth) streams(ctx context.Context, l *lab) (*report, error) {
	r := &report{title: "streams with one viewer each", columns: fanOutColumns}
	return g.points(l, r, []int{1, 10, 100, 1000}, func(n int) (map[string]float64, faults, error) {
		f := g.load
		f.streams, f.viewers, f.rate = n, 1, g.rate(n)
		return g.fanOut(ctx, l, f)
	})
}

func (g growth) replicas(ctx context.Context, l *lab) (*report, error) {
	r := &report{title: "replicas, 100 streams with two viewers each on others than the owner", columns: slices.Concat(fanOutColumns, redisColumns)}
	return g.points(l, r, []int{1, 2, 3}, func(n int) (map[string]float64, faults, error) {
		f := g.load
		f.streams, f.viewers, f.rate = 100, 2, g.rate(200)
		kind := elsewhere
		if n == 1 {
			kind = withRedis
		}
		return f.shared(ctx, l, current, kind, n)
	})
}

// lengthTokens is how many tokens each point of length has at least, in answers
// of which four are under way.
const lengthTokens = 100_000

func (g growth) length(ctx context.Context, l *lab) (*report, error) {
	r := &report{title: "tokens of an answer, four answers at once", columns: slices.Concat(chatColumns, []column{
		{key: "join_ms", head: "late join ms", digit: 2}, {key: "join_bytes", head: "its bytes"},
	})}
	return g.points(l, r, []int{100, 1000, 10_000, 50_000}, func(n int) (map[string]float64, faults, error) {
		c := chat{answers: max(4, lengthTokens/n), atOnce: 4, rate: min(g.offered/4, 2500), tokens: int64(n), users: 1, sample: 1, settle: g.load.settle}
		c.after = joinLate
		return c.measure(ctx, l, current+"/"+g.db)
	})
}

// joinLate reads a whole answer that has ended, as one who joins late does.
func joinLate(ctx context.Context, d *desk, s *stream, values map[string]float64) error {
	began := time.Now()
	req, err := s.account.request(ctx, http.MethodGet, d.at(s.index).base+"/chat/stream/"+s.id, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	values["join_ms"], values["join_bytes"] = float64(time.Since(began).Microseconds())/1000, float64(n)
	return err
}
