package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"time"
)

// chatCommand is the sub-command.
func chatCommand(flags *flag.FlagSet) job {
	var c chat
	flags.IntVar(&c.atOnce, "streams", 200, "answers at once")
	flags.Float64Var(&c.rate, "rate", 50, "tokens a second of each")
	flags.IntVar(&c.users, "users", 4, "users who ask")
	flags.Int64Var(&c.tokens, "tokens", 0, "tokens of each answer; as many as -for needs if 0")
	flags.DurationVar(&c.spread, "spread", time.Second, "over which the questions are asked")
	flags.DurationVar(&c.settle, "settle", 3*time.Second, "how long memory may take to settle")
	flags.Int64Var(&c.sample, "sample", 1, "the delay of every so many tokens is noted")
	flags.IntVar(&c.waves, "waves", 2, "how often all ask once more and hang up, for the memory that this leaves")
	flags.DurationVar(&c.idle, "idle", 5*time.Second, "after each of those; a log is kept for a minute, garbage for two at most")
	again := flags.Int("again", 0, "how often each asks once more when its answer has ended")
	length := flags.Duration("for", 5*time.Second, "length of an answer")
	fast := flags.Bool("fast", false, "the provider sends as fast as it is read, instead of -rate; give -tokens")
	top := flags.Bool("ramp", false, "find the most streams whose p99 is under -p99, from -streams on")
	p99 := flags.Float64("p99", 100, "ms, for -ramp")
	dbs := flags.String("db", "sqlite", "sqlite, postgres or both, separated by a comma")
	return func(ctx context.Context, l *lab) ([]*report, error) {
		if *fast {
			c.rate = 0
		}
		if c.tokens == 0 {
			c.tokens = int64(c.rate * length.Seconds())
		}
		if c.atOnce < 1 || c.users < 1 || c.tokens < 1 || c.tokens > tokensMax || c.rate < 0 || *again < 0 {
			return nil, fmt.Errorf("-streams and -users must be above 0, -again not below, -tokens from 1 to %d", tokensMax)
		}
		c.answers = c.atOnce * (1 + *again)
		var targets []string
		for _, db := range split(*dbs) {
			for _, name := range l.names() {
				targets = append(targets, name+"/"+db)
			}
		}
		compare := c.compare
		if *top {
			compare = func(ctx context.Context, l *lab, targets []string) (*report, error) {
				return c.ramp(ctx, l, targets, *p99)
			}
		}
		r, err := compare(ctx, l, targets)
		return []*report{r}, err
	}
}

// compare measures the targets in turn.
func (c chat) compare(ctx context.Context, l *lab, targets []string) (*report, error) {
	r := &report{title: c.String(), columns: chatColumns}
	if c.waves > 0 {
		r.columns = slices.Concat(chatColumns, waveColumns)
	}
	for round := range l.rounds {
		for _, name := range targets {
			l.say("round %d: %s", round+1, name)
			values, bad, err := c.measure(ctx, l, name)
			if err != nil {
				return r, fmt.Errorf("%s: %w", name, errors.Join(err, bad.err()))
			}
			r.add(name, round, values, bad)
		}
	}
	return r, nil
}

// rampSteps bounds the runs of one ramp.
const rampSteps = 12

// ramp finds for each target the most streams whose p99 is under a limit, to a
// twentieth: it doubles until they are too many, and then halves the difference.
func (c chat) ramp(ctx context.Context, l *lab, targets []string, p99 float64) (*report, error) {
	r := &report{
		title:   fmt.Sprintf("the most streams of %g tokens/s with p99 under %g ms, provider and clients on the same machine", c.rate, p99),
		columns: slices.Concat([]column{{key: "streams", head: "streams", ratio: true}}, chatColumns),
	}
	c.waves = 0
	from := c.atOnce
	for round := range l.rounds {
		for _, name := range targets {
			try, enough, tooMany := from, 0, 0
			best := map[string]float64{"streams": 0}
			var bad faults
			for range rampSteps {
				c.answers, c.atOnce = try*(c.answers/c.atOnce), try
				values, f, err := c.measure(ctx, l, name)
				if err != nil {
					return r, fmt.Errorf("%s, %d streams: %w", name, try, errors.Join(err, f.err()))
				}
				bad.add(f)
				l.say("round %d: %s: %d streams have p99 %.1f ms, the provider is %.1f ms late", round+1, name, try, values["p99_ms"], values["provider_late_ms"])
				// A provider that cannot keep its pace asks less of the server than it says.
				if values["p99_ms"] < p99 && values["provider_late_ms"] < p99 {
					enough, best = try, values
					best["streams"] = float64(try)
				} else {
					tooMany = try
				}
				try = (enough + tooMany) / 2
				if tooMany == 0 {
					try = 2 * enough
				}
				if try == enough || tooMany > 0 && tooMany-enough <= tooMany/20 {
					break
				}
			}
			r.add(name, round, best, bad)
		}
	}
	return r, nil
}
