package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/eventlog"
	"github.com/omnichat/omnichat/repo"
)

// clock streams 50 tokens a second for two seconds; each says when it was made.
type clock struct{}

func (clock) Models(context.Context) ([]hub.Model, error) { return nil, nil }

func (clock) Stream(ctx context.Context, _ hub.Prompt) iter.Seq2[hub.Delta, error] {
	return func(yield func(hub.Delta, error) bool) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range 100 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if !yield(hub.Delta{Text: strconv.FormatInt(time.Now().UnixNano(), 10)}, nil) {
				return
			}
		}
		yield(hub.Delta{Finish: hub.ReasonStop}, nil)
	}
}

// stopwatch is a viewer's sink that notes how old each token is.
type stopwatch struct {
	ages []time.Duration
	done chan struct{} // closed at the end
}

func (s *stopwatch) End() { close(s.done) }

func (s *stopwatch) Write(batch []byte) bool {
	now := time.Now().UnixNano()
	for part := range bytes.SplitSeq(batch, []byte(`"text":"`)) {
		if made, err := strconv.ParseInt(string(part[:min(19, len(part))]), 10, 64); err == nil {
			s.ages = append(s.ages, time.Duration(now-made))
		}
	}
	return true
}

// none is a journal that keeps nothing: what group commit is compared with.
type none struct{}

func (none) Append(context.Context, []hub.JournalEntry) error { return nil }

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkGroupCommit is what it costs to show a token only once the journal
// has it: the latency from provider to viewer, and the CPU of 1,000 tokens.
func BenchmarkGroupCommit(b *testing.B) {
	for _, streams := range []int{1, 50, 200} {
		for _, with := range []bool{false, true} {
			b.Run(fmt.Sprintf("streams=%d/journal=%v", streams, with), func(b *testing.B) {
				db, err := repo.Open(b.Context(), repo.Options{DataDir: b.TempDir()})
				if err != nil {
					b.Fatal(err)
				}
				defer db.Close()
				u, err := db.CreateUser(b.Context(), hub.User{ID: hub.UserID(hub.NewID()), Username: "ann"}, "x")
				if err != nil {
					b.Fatal(err)
				}
				var journal hub.Journal = none{}
				if with {
					journal = db
				}
				h := hub.New(db, journal, hub.Fixed{"clock": clock{}}, hub.Options{})
				if err := h.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
				defer h.Close()
				var ages []time.Duration
				began := cpu()
				for b.Loop() {
					ages = append(ages, run50(b, h, u.ID, streams)...)
				}
				used := cpu() - began
				slices.Sort(ages)
				b.ReportMetric(float64(ages[len(ages)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(ages[len(ages)*99/100].Microseconds()), "p99-µs")
				b.ReportMetric(used.Seconds()/float64(len(ages))*1000, "cpu-s/1000tokens")
			})
		}
	}
}

// run50 runs so many answers at once, with a viewer each.
func run50(b *testing.B, h *hub.Hub, user hub.UserID, streams int) []time.Duration {
	var wg sync.WaitGroup
	all := make([]stopwatch, streams)
	for i := range all {
		wg.Go(func() {
			text := "go"
			asked, err := h.Ask(b.Context(), hub.Login(user, "login"), hub.Question{Content: &text, Model: "clock/m"})
			if err != nil {
				b.Error(err)
				return
			}
			v, err := h.Follow(b.Context(), hub.Login(user, "login"), asked, eventlog.SSE)
			if err != nil {
				b.Error(err)
				return
			}
			defer v.Close()
			all[i].done = make(chan struct{})
			v.Start(&all[i])
			<-all[i].done
		})
	}
	wg.Wait()
	var ages []time.Duration
	for _, s := range all {
		ages = append(ages, s.ages...)
	}
	return ages
}
