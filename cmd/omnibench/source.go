package main

import (
	"context"
	"net"
	"time"
)

// burst bounds the tokens of one write.
const burst = 256

// nap is how much longer a pacer sleeps than until its next token is due, so
// that it wakes once for all that are due by then. To wake for each costs as much
// as many of them do, on the cores that the server is measured on.
const nap = 500 * time.Microsecond

// A source sends a stream's tokens to the server.
type source struct {
	stream *stream
	conn   net.Conn
	wire   tokenWire
	buf    []byte
	due    time.Time
	end    func() error // after the last token
	done   chan struct{}
	err    error // of the connection; after done
}

// tokenWire is how tokens look to a server that takes them.
type tokenWire interface {
	appendToken(dst []byte, s *stream, number, sent int64) []byte
}

// send sends the next n tokens in one write.
func (s *source) send(n int64) error {
	at, from := sinceStart(), s.stream.sent.Load()
	s.buf = s.buf[:0]
	for i := range n {
		s.buf = s.wire.appendToken(s.buf, s.stream, from+i, at)
	}
	if from == 0 {
		s.stream.firstSent.Store(at)
	}
	s.stream.sent.Store(from + n)
	_, err := s.conn.Write(s.buf)
	return err
}

// finish ends the answer; err is why it ends early.
func (s *source) finish(err error) {
	if err == nil && s.end != nil {
		err = s.end()
	}
	s.err = err
	close(s.done)
}

// pacer sends the tokens of many sources at one rate each. All have the same
// interval, so that those that wait are always in the order of their times.
type pacer struct {
	interval time.Duration
	tokens   int64 // of each answer
	waiting  chan *source
	late     [2]histogram // how much later than due each worker sent
}

func newPacer(rate float64, tokens int64, sources int) *pacer {
	return &pacer{interval: time.Duration(float64(time.Second) / rate), tokens: tokens, waiting: make(chan *source, sources)}
}

// add takes a source whose first token is due at a time, not before those of
// the sources added earlier.
func (p *pacer) add(s *source, due time.Time) {
	s.due = due
	p.waiting <- s
}

// run sends until ctx ends.
func (p *pacer) run(ctx context.Context, worker int) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var s *source
		select {
		case s = <-p.waiting:
		case <-ctx.Done():
			return
		}
		if wait := time.Until(s.due); wait > 0 {
			timer.Reset(wait + nap)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		}
		p.late[worker].add(int64(time.Since(s.due) / time.Microsecond))
		err := s.send(1)
		if err != nil || s.stream.sent.Load() == p.tokens {
			s.finish(err)
			continue
		}
		p.add(s, s.due.Add(p.interval))
	}
}

// flood sends a source's tokens as fast as its viewers take them, with window
// tokens under way, or as fast as the server does if it is 0, until there are
// tokens of them or ctx ends.
func (s *source) flood(ctx context.Context, window, tokens int64) {
	for {
		sent := s.stream.sent.Load()
		room := min(tokens-sent, burst)
		if window > 0 {
			room = min(room, s.stream.acked.Load()+window-sent)
		}
		switch {
		case sent == tokens || ctx.Err() != nil:
			s.finish(nil)
			return
		case room > 0:
			if err := s.send(room); err != nil {
				s.finish(err)
				return
			}
			continue
		}
		select {
		case <-s.stream.bell:
		case <-ctx.Done():
		}
	}
}
