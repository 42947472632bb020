package main

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"time"
)

// smokeCommand is the sub-command that only checks exactness.
func smokeCommand(*flag.FlagSet) job {
	small := fanOut{streams: 4, viewers: 4, ws: true, sse: true, rate: 100, length: time.Second / 2, window: 64, sample: 1}
	closed, plain := small, small
	closed.closed = true
	plain.sse = false
	talk := chat{answers: 24, atOnce: 8, rate: 200, tokens: 100, users: 2, sample: 1, waves: 1}
	return func(ctx context.Context, l *lab) (reports []*report, err error) {
		l.rounds = 1
		var start sync.WaitGroup                    // PostgreSQL takes seconds: it is started meanwhile
		start.Go(func() { _, _ = l.database(ctx) }) // tried again where it is needed
		defer start.Wait()
		for _, part := range []func() (*report, error){
			func() (*report, error) { return small.compare(ctx, l, append([]string{floorRaw}, l.names()...)) },
			func() (*report, error) { return closed.compare(ctx, l, append([]string{floorRaw}, l.names()...)) },
			func() (*report, error) { return plain.compare(ctx, l, []string{floorCoderWrite}) },
			func() (*report, error) { return talk.compare(ctx, l, l.names()) },
			func() (*report, error) {
				r := &report{title: fmt.Sprintf("%s; 3 replicas", small), columns: fanOutColumns}
				start.Wait()
				l.say("round 1: %s", elsewhere)
				values, bad, err := small.shared(ctx, l, current, elsewhere, 3)
				r.add(elsewhere, 0, values, bad)
				return r, err
			},
		} {
			r, err := part()
			reports = append(reports, r)
			if err != nil {
				return reports, err
			}
		}
		return reports, nil
	}
}
