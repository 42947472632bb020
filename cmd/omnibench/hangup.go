package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// waveColumns are those of clients that hang up.
var waveColumns = []column{
	{key: "mb_wave_first", head: "MB 1st hang-up", digit: 1},
	{key: "mb_wave_last", head: "MB last", digit: 1},
	{key: "goroutines_before", head: "goroutines before"},
	{key: "goroutines_after", head: "after"},
}

// hangUps has all users ask once more and leave after the first token, several
// times, and notes what memory that leaves.
func (d *desk) hangUps(ctx context.Context, values map[string]float64) error {
	for wave := range d.waves {
		if wave == 0 {
			n, err := d.gauge(ctx, "go_goroutines")
			if err != nil {
				return err
			}
			values["goroutines_before"] = n
		}
		if err := d.hangUp(ctx); err != nil {
			return fmt.Errorf("hang-up %d: %w", wave+1, err)
		}
		if err := sleep(ctx, d.idle); err != nil {
			return err
		}
		kb, err := d.replicas.settled(ctx, d.settle)
		if err != nil {
			return err
		}
		if wave == 0 {
			values["mb_wave_first"] = kb / 1024
		}
		values["mb_wave_last"] = kb / 1024
	}
	n, err := d.gauge(ctx, "go_goroutines")
	values["goroutines_after"] = n
	return err
}

// hangUp is one of them. It returns when all answers have ended.
func (d *desk) hangUp(ctx context.Context) error {
	c, err := d.crowd(d.atOnce)
	if err != nil {
		return err
	}
	defer c.hangUp()
	defer c.dismiss()
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(d.tokens)*d.pace.interval)
	defer cancel()
	for w := range d.pace.late {
		c.wg.Go(func() { d.pace.run(ctx, w) })
	}
	err = c.connect(ctx, d.ask)
	if err == nil {
		err = c.await(ctx, "see a token", func() bool { return c.delivered.Load() >= int64(d.atOnce) })
	}
	if err != nil {
		return err
	}
	for i := range c.viewers {
		// Only the reader closes its sockets: their numbers are used again.
		_ = syscall.Shutdown(c.viewers[i].fd, syscall.SHUT_RDWR) // the answer may have ended
	}
	err = c.await(ctx, "leave", func() bool { return c.gone.Load() == int64(d.atOnce) })
	for err == nil {
		var running float64
		if running, err = d.gauge(ctx, "omnichat_answers_running"); running == 0 {
			break
		}
		err = errors.Join(err, sleep(ctx, 100*time.Millisecond))
	}
	cancel()
	return err
}

// gauge reads one of the server's own figures, of all replicas.
func (d *desk) gauge(ctx context.Context, name string) (sum float64, err error) {
	for _, p := range d.replicas {
		var text page
		if err := (&account{}).call(ctx, http.MethodGet, p.base+"/metrics", nil, &text); err != nil {
			return 0, err
		}
		_, rest, ok := strings.Cut(string(text), "\n"+name+" ")
		number, _, _ := strings.Cut(rest, "\n")
		v, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil {
			return 0, fmt.Errorf("/metrics has no %s", name)
		}
		sum += v
	}
	return sum, nil
}
