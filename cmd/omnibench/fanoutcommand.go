package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"
)

var fanOutColumns = []column{
	{key: "deliveries_per_s", head: "deliv./s", ratio: true},
	{key: "deliveries_per_cpu_s", head: "per CPU-s"},
	{key: "cpu_us_per_delivery", head: "CPU-µs", digit: 2, ratio: true},
	{key: "p50_ms", head: "p50 ms", digit: 2},
	{key: "p99_ms", head: "p99 ms", digit: 2, ratio: true},
	{key: "max_ms", head: "max ms", digit: 1},
	{key: "kb_per_viewer", head: "KB/viewer", digit: 1, ratio: true},
	{key: "messages_per_read", head: "msg/read", digit: 2},
	{key: "provider_late_ms", head: "late ms", digit: 2},
}

// compare measures the targets in turn, each round with fresh processes.
func (f fanOut) compare(ctx context.Context, l *lab, targets []string) (*report, error) {
	r := &report{title: f.String(), columns: fanOutColumns}
	for round := range l.rounds {
		for _, name := range targets {
			l.say("round %d: %s", round+1, name)
			t, err := l.open(ctx, name, f)
			if err != nil {
				return r, err
			}
			values, bad, err := f.measure(ctx, t)
			if err != nil {
				return r, fmt.Errorf("%s: %w", name, errors.Join(err, bad.err()))
			}
			r.add(name, round, values, bad)
		}
	}
	return r, nil
}

// fanOutCommand is the sub-command.
func fanOutCommand(flags *flag.FlagSet) job {
	var f fanOut
	flags.IntVar(&f.streams, "streams", 200, "streams")
	flags.IntVar(&f.viewers, "viewers", 3, "viewers of each stream")
	flags.BoolVar(&f.ws, "ws", false, "viewers over WebSocket; the default, with -sse every other one")
	flags.BoolVar(&f.sse, "sse", false, "viewers over SSE")
	flags.Float64Var(&f.rate, "rate", 50, "tokens a second of each stream")
	flags.BoolVar(&f.closed, "closed", false, "closed loop: as fast as the viewers read, instead of -rate")
	flags.Int64Var(&f.window, "window", 64, "tokens of a stream under way in a closed loop")
	flags.DurationVar(&f.length, "for", 5*time.Second, "how long is measured")
	flags.DurationVar(&f.warm, "warm", time.Second, "how long tokens flow before that")
	flags.DurationVar(&f.settle, "settle", 3*time.Second, "how long memory may take to settle; it has when it is still for a quarter of that; 60s is enough for idle viewers")
	flags.Int64Var(&f.sample, "sample", 4, "the delay of every so many tokens is noted")
	targets := flags.String("targets", "", "what is compared, the first being the measure: "+floorRaw+", "+floorCoderWrite+", omnichat[/postgres], against[/postgres]")
	return func(ctx context.Context, l *lab) ([]*report, error) {
		f.ws = f.ws || !f.sse
		if f.streams < 1 || f.viewers < 1 || f.rate <= 0 || f.window < blocks {
			return nil, fmt.Errorf("-streams, -viewers and -rate must be above 0, -window at least %d", blocks)
		}
		names := split(*targets)
		if len(names) == 0 {
			names = []string{floorRaw}
			if !f.sse {
				names = append(names, floorCoderWrite)
			}
			names = append(names, l.names()...)
		}
		r, err := f.compare(ctx, l, names)
		return []*report{r}, err
	}
}
