package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// connecting bounds the connections that are being made at a time.
const connecting = 32

// crowd is all viewers of a run.
type crowd struct {
	viewers []viewer
	readers []*reader
	sample  int64 // the delay of every so many tokens is noted

	measuring atomic.Bool // whether it is
	dismissed atomic.Bool
	broken    atomic.Pointer[error]
	wg        sync.WaitGroup

	joined, refused            atomic.Int64
	ended, gone                atomic.Int64
	delivered, messages, reads atomic.Int64
}

// dialer opens a viewer's connection and sends what makes it follow its stream.
type dialer func(ctx context.Context, v *viewer) (net.Conn, *http.Request, error)

// newCrowd starts the readers of n viewers. Its dismiss must be called.
func newCrowd(n int, sample int64) (*crowd, error) {
	c := &crowd{viewers: make([]viewer, n), sample: max(1, sample)}
	for i := range c.viewers {
		c.viewers[i].seq, c.viewers[i].fd = -1, -1
	}
	for range min(runtime.NumCPU(), 4, max(1, n)) {
		r, err := newReader(c)
		if err != nil {
			c.dismiss()
			return nil, err
		}
		c.readers = append(c.readers, r)
		c.wg.Go(r.run)
	}
	return c, nil
}

// connect opens all connections and returns when all have joined.
func (c *crowd) connect(ctx context.Context, dial dialer) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := parallel(connecting, len(c.viewers), func(n int) error { return c.open(ctx, n, dial) }); err != nil {
		return err
	}
	err := c.await(ctx, "join", func() bool { return c.refused.Load() > 0 || c.joined.Load() == int64(len(c.viewers)) })
	if n := c.refused.Load(); err == nil && n > 0 {
		err = fmt.Errorf("at least %d of %d viewers were refused; a user has %d WebSockets where OMNICHAT_MAX_SOCKETS is not known", n, len(c.viewers), socketsEach)
	}
	return err
}

// open opens the nth viewer's connection and gives it to a reader.
func (c *crowd) open(ctx context.Context, n int, dial dialer) error {
	v := &c.viewers[n]
	conn, req, err := dial(ctx, v)
	if err != nil {
		return fmt.Errorf("connect viewer %d: %w", n, err)
	}
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, req) //nolint:bodyclose // the body is what follows on the connection
	if err == nil && res.StatusCode != http.StatusOK && res.StatusCode != http.StatusSwitchingProtocols {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 500)) // what came is enough
		err = fmt.Errorf("%s: %s", res.Status, why)
	}
	if err == nil {
		v.fd, err = detach(conn)
	}
	if err != nil {
		conn.Close()
		return fmt.Errorf("connect viewer %d: %w", n, err)
	}
	if len(res.TransferEncoding) > 0 {
		v.body = &chunks{}
	}
	r := c.readers[n%len(c.readers)]
	early, err := in.Peek(in.Buffered())
	if err != nil {
		return err
	}
	// What came with the head is given to the viewer before anyone else reads it.
	first := &reader{crowd: c, epoll: -1}
	if v.atHead {
		v.join(first)
	}
	v.take(first, early)
	c.delivered.Add(first.delivered)
	v.ready.Store(true)
	return r.watch(n, v)
}

// detach takes a connection's socket from the runtime, which would otherwise be
// woken by everything that arrives.
func detach(conn net.Conn) (fd int, err error) {
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Control(func(old uintptr) {
		if fd, err = syscall.Dup(int(old)); err == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err == nil {
		err = failed
	}
	return fd, err
}

// await waits until all viewers are as wanted.
func (c *crowd) await(ctx context.Context, what string, done func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if err := c.broken.Load(); err != nil {
			return *err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("of %d viewers %d joined, %d saw the end, %d are gone: they did not %s in time",
				len(c.viewers), c.joined.Load(), c.ended.Load(), c.gone.Load(), what)
		}
	}
	return nil
}

// dismiss stops the readers. What the viewers saw may be read from then on.
func (c *crowd) dismiss() {
	c.dismissed.Store(true)
	c.wg.Wait()
}

// hangUp closes what is open, after dismiss.
func (c *crowd) hangUp() {
	for i := range c.viewers {
		if fd := c.viewers[i].fd; fd >= 0 {
			_ = syscall.Close(fd) // the server may have been first
			c.viewers[i].fd = -1
		}
	}
}

// delays is when all tokens came that were noted, after dismiss.
func (c *crowd) delays() *histogram {
	all := &histogram{}
	for _, r := range c.readers {
		all.merge(&r.delays)
	}
	return all
}

// parallel runs n jobs, so many at a time, and returns the first error.
func parallel(most, n int, job func(n int) error) error {
	var wg sync.WaitGroup
	var next atomic.Int64
	var failed atomic.Pointer[error]
	for range min(most, n) {
		wg.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := job(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
