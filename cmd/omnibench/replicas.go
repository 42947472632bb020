package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"time"
)

// What replicas are compared with.
const (
	alone     = "one"       // one process on PostgreSQL
	withRedis = "one-redis" // one on Redis, too
	elsewhere = "others"    // several, viewers on others than the owner
)

// redisColumns are per token that a provider sent.
var redisColumns = []column{
	{key: "redis_commands_per_token", head: "Redis cmd/token", digit: 3},
	{key: "redis_bytes_per_token", head: "bytes/token"},
	{key: "redis_cpu_us_per_token", head: "Redis CPU-µs/token", digit: 2},
}

// replicasCommand is the sub-command.
func replicasCommand(flags *flag.FlagSet) job {
	var f fanOut
	flags.IntVar(&f.streams, "streams", 100, "streams, whose owners are all replicas in turn")
	flags.IntVar(&f.viewers, "viewers", 3, "viewers of each stream")
	flags.BoolVar(&f.ws, "ws", false, "viewers over WebSocket; the default, with -sse every other one")
	flags.BoolVar(&f.sse, "sse", false, "viewers over SSE")
	flags.Float64Var(&f.rate, "rate", 50, "tokens a second of each stream")
	flags.DurationVar(&f.length, "for", 5*time.Second, "how long is measured")
	flags.DurationVar(&f.warm, "warm", time.Second, "how long tokens flow before that")
	flags.DurationVar(&f.settle, "settle", time.Second, "how long memory may take to settle")
	flags.Int64Var(&f.sample, "sample", 4, "the delay of every so many tokens is noted")
	n := flags.Int("replicas", 3, "processes")
	targets := flags.String("targets", alone+","+withRedis+","+elsewhere, "what is compared, the first being the measure")
	return func(ctx context.Context, l *lab) ([]*report, error) {
		f.ws = f.ws || !f.sse
		if f.streams < 1 || f.viewers < 1 || f.rate <= 0 || *n < 2 {
			return nil, errors.New("-streams, -viewers and -rate must be above 0, -replicas above 1")
		}
		r := &report{title: fmt.Sprintf("%s; %d replicas", f, *n), columns: slices.Concat(fanOutColumns, redisColumns)}
		for round := range l.rounds {
			for _, kind := range split(*targets) {
				for _, name := range l.names() {
					row := kind
					if name == older {
						row += " " + older
					}
					l.say("round %d: %s", round+1, row)
					values, bad, err := f.shared(ctx, l, name, kind, *n)
					if err != nil {
						return []*report{r}, fmt.Errorf("%s: %w", row, errors.Join(err, bad.err()))
					}
					r.add(row, round, values, bad)
				}
			}
		}
		return []*report{r}, nil
	}
}

// shared measures an OmniChat whose processes share PostgreSQL and Redis.
func (f fanOut) shared(ctx context.Context, l *lab, name, kind string, replicas int) (map[string]float64, faults, error) {
	b, err := l.build(ctx, name+"/postgres")
	if err != nil {
		return nil, faults{}, err
	}
	b.users = usersFor(f.streams, f.viewers)
	switch kind {
	case alone:
	case withRedis, elsewhere:
		redis, err := startRedis(ctx)
		if err != nil {
			return nil, faults{}, err
		}
		defer redis.stop()
		b.redis = redis
		if kind == elsewhere {
			b.replicas, f.away = replicas, replicas-1
		}
	default:
		return nil, faults{}, fmt.Errorf("unknown target %q: it is one of %s, %s, %s", kind, alone, withRedis, elsewhere)
	}
	o, err := startOmniChat(ctx, b, nil)
	if err != nil {
		return nil, faults{}, err
	}
	return f.measure(ctx, o)
}
