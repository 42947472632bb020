package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/omnichat/omnichat/providers/providertest/fake"
	"github.com/omnichat/omnichat/repo/pgtest"
	"github.com/omnichat/omnichat/repo/redistest"
)

// BenchmarkOtherReplica measures what it adds that a viewer is on another
// replica than the owner of the answer, and what that costs Redis.
func BenchmarkOtherReplica(b *testing.B) {
	counts := []int{1, 100, 300, 1000}
	if v := os.Getenv("OMNICHAT_BENCH_STREAMS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			b.Fatal(err)
		}
		counts = []int{n}
	}
	for _, streams := range counts {
		b.Run(fmt.Sprintf("%d streams", streams), func(b *testing.B) {
			for b.Loop() {
				otherReplica(b, streams)
			}
		})
	}
}

func otherReplica(b *testing.B, streams int) {
	const tokens = 250
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(tokens), Every: 20 * time.Millisecond}})
	defer provider.Close()
	server := redistest.Start(b)
	env := map[string]string{"DATABASE_URL": pgtest.Start(b), "REDIS_URL": server.URL(), "OMNICHAT_MAX_RUNNING": "5000",
		"OMNICHAT_IDLE_TIMEOUT": "60s", "OMNICHAT_FIRST_BYTE_TIMEOUT": "60s"}
	owner, other := startServer(b, provider, env), startServer(b, provider, env)
	defer owner.kill()
	defer other.kill()
	ann := owner.user("ann")
	ctx := soon(b)
	sessions := make([]string, streams)
	for i := range sessions {
		sessions[i] = ann.session()
	}
	// One socket at each replica follows everything, and notes when each token came.
	type came map[string][]time.Time
	follow := func(c *client, ready *sync.WaitGroup) came {
		w, err := c.socket(ctx)
		if err != nil {
			b.Error(err)
			ready.Done()
			return nil
		}
		defer w.conn.CloseNow()
		for _, s := range sessions {
			if err := w.send(ctx, map[string]any{"type": "subscribe", "ref": 1, "session_id": s}); err != nil {
				b.Error(err)
			}
			if _, err := w.until(ctx, "ack"); err != nil {
				b.Error(err)
			}
			pauseFor(ctx, 8*time.Millisecond) // within the limit of commands
		}
		ready.Done()
		at := came{}
		for ended := 0; ended < streams; {
			e, err := w.next(ctx)
			if err != nil {
				b.Errorf("%d of %d ended: %v", ended, streams, err)
				return at
			}
			switch e.Type {
			case "start", "delta":
				now := time.Now()
				for int64(len(at[e.MessageID])) <= e.Seq {
					at[e.MessageID] = append(at[e.MessageID], now)
				}
			case "finish":
				ended++
			}
		}
		return at
	}
	var ready, wg sync.WaitGroup
	ready.Add(2)
	var near, far came
	wg.Go(func() { near = follow(ann, &ready) })
	wg.Go(func() { far = follow(ann.at(other), &ready) })
	ready.Wait()
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer func() { _ = client.Close() }()
	stat := func(section, field string) float64 {
		_, after, _ := strings.Cut(client.Info(ctx, section).Val(), field)
		number := strings.FieldsFunc(after, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		v, err := strconv.ParseFloat(number[0], 64)
		if err != nil {
			b.Error(err)
		}
		return v
	}
	if err := client.ConfigResetStat(ctx).Err(); err != nil {
		b.Error(err)
	}
	spread := time.NewTicker(20 * time.Millisecond / time.Duration(min(streams, 20)))
	defer spread.Stop()
	for _, s := range sessions {
		res, err := ann.sse(ctx, http.MethodPost, "/chat/stream", map[string]any{"session_id": s, "content": "go", "model": "openai/m"})
		if err != nil {
			b.Fatal(err)
		}
		res.Body.Close() // the answer goes on
		<-spread.C
	}
	wg.Wait()
	total := float64(streams * tokens)
	calls := stat("commandstats", "cmdstat_evalsha:calls=")
	bytes := stat("stats", "total_net_input_bytes:") + stat("stats", "total_net_output_bytes:")
	var added []time.Duration
	for id, at := range near {
		for seq := 1; seq < min(len(at), len(far[id])); seq++ {
			added = append(added, far[id][seq].Sub(at[seq]))
		}
	}
	if len(added) == 0 {
		b.Fatal("nothing was measured")
	}
	slices.Sort(added)
	ms := func(p float64) float64 { return float64(added[int(p*float64(len(added)-1))].Microseconds()) / 1000 }
	b.ReportMetric(ms(0.5), "ms-p50")
	b.ReportMetric(ms(0.99), "ms-p99")
	b.ReportMetric(calls/total, "scripts/token")
	b.ReportMetric(bytes/total, "redis-bytes/token")
	b.ReportMetric(0, "ns/op")
}
