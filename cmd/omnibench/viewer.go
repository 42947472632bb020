package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
)

// A viewer is one client's connection to one stream. Its socket is read by a
// [reader], and what comes is held against what the provider sent.
type viewer struct {
	stream  *stream
	replica int
	sse     bool
	atHead  bool // it has joined as soon as its request is answered

	fd      int
	ready   atomic.Bool  // all above and chunked and rest are set
	seen    atomic.Int64 // tokens
	rest    []byte       // the beginning of a frame or an event
	body    *chunks      // of a chunked response
	joined  bool
	ended   bool // finish was seen, or the floor's last token
	gone    bool // the connection has ended
	over    chan struct{}
	blocks  int64  // that were passed
	first   int64  // when the first token came
	last    int64  // and the newest
	session string // of the answer, if it was asked for here

	next      int64              // number of the token expected
	seq       int64              // -1 at first
	misplaced int64              // tokens out of order, events whose seq does not follow
	twice     int64              // tokens
	absent    map[int64]struct{} // numbers that were skipped
	fault     error              // what was not understood
}

// event takes one event's JSON.
func (v *viewer) event(r *reader, line []byte) {
	if rest, ok := bytes.CutPrefix(line, deltaHead); ok && len(rest) > idSize {
		if v.delta(r, rest[idSize:]) {
			return
		}
	}
	var e struct {
		Type      string
		SessionID string `json:"session_id"`
		From      *int64
		Seq       int64
		Text      string
		Reason    string
		Code      string
		Detail    string
	}
	if err := json.Unmarshal(line, &e); err != nil {
		v.fail(fmt.Errorf("%w in %q", err, line))
		return
	}
	switch e.Type {
	case "ack":
		v.join(r)
	case "start":
		v.session = e.SessionID
		v.step(e.Seq, e.Seq-1)
	case "snapshot":
		v.seq = e.Seq
		v.next = min(v.next, int64(len(e.Text))/tokenSize) // it replaces what was there
		v.tokens(r, []byte(e.Text[min(len(e.Text), int(v.next)*tokenSize):]))
	case "delta":
		from := e.Seq - 1
		if e.From != nil {
			from = *e.From
		}
		v.step(e.Seq, from)
		v.tokens(r, []byte(e.Text))
	case "finish":
		v.step(e.Seq, e.Seq-1)
		v.ended = true
		r.crowd.ended.Add(1)
		if e.Reason != "stop" {
			v.fail(fmt.Errorf("the answer ended with %s", line))
		}
	case "error":
		v.fail(fmt.Errorf("refused: %s, %s", e.Code, e.Detail))
	}
}

func (v *viewer) join(r *reader) {
	if !v.joined {
		v.joined = true
		r.crowd.joined.Add(1)
	}
}

// step moves from one seq to the next.
func (v *viewer) step(seq, from int64) {
	if from != v.seq {
		v.misplaced++
	}
	v.seq = seq
}

func (v *viewer) fail(err error) {
	if v.fault == nil {
		v.fault = err
	}
}

const idSize = 36

var (
	deltaHead = []byte(`{"type":"delta","message_id":"`)
	fromHead  = []byte(`","from":`)
	seqHead   = []byte(`"seq":`)
	textHead  = []byte(`,"text":"`)
	deltaTail = []byte(`"}`)
)

// delta takes what follows the id in a delta in its usual form, and says
// whether it has that form.
func (v *viewer) delta(r *reader, b []byte) bool {
	from := int64(-1)
	if rest, ok := bytes.CutPrefix(b, fromHead); ok {
		from, b = readNumber(rest)
		b, ok = bytes.CutPrefix(b, []byte(","))
		if !ok {
			return false
		}
	} else if b, ok = bytes.CutPrefix(b, []byte(`",`)); !ok {
		return false
	}
	b, ok := bytes.CutPrefix(b, seqHead)
	if !ok {
		return false
	}
	at, b := readNumber(b)
	b, ok = bytes.CutPrefix(b, textHead)
	if !ok || !bytes.HasSuffix(b, deltaTail) {
		return false
	}
	if from < 0 {
		from = at - 1
	}
	v.step(at, from)
	v.tokens(r, b[:len(b)-len(deltaTail)])
	return true
}

func readNumber(b []byte) (int64, []byte) {
	var n int64
	for i, c := range b {
		if c < '0' || c > '9' {
			return n, b[i:]
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

// tokens takes the text of an event.
func (v *viewer) tokens(r *reader, text []byte) {
	if len(text)%tokenSize != 0 {
		v.fail(fmt.Errorf("text that is no whole tokens: %.100q", text))
		return
	}
	for ; len(text) > 0; text = text[tokenSize:] {
		n := tokenNumber(text)
		if n != v.next {
			v.astray(n)
			continue
		}
		if n == 0 {
			v.first = r.now()
		}
		if v.next++; v.next%r.crowd.sample == 0 && r.crowd.measuring.Load() {
			r.delays.add(r.now() - tokenTime(text))
		}
		r.delivered++
	}
}

// astray takes a token that is not the one expected.
func (v *viewer) astray(n int64) {
	_, skipped := v.absent[n]
	switch {
	case n < 0:
		v.fail(errors.New("text that is not a token"))
	case skipped:
		delete(v.absent, n)
		v.misplaced++
	case n < v.next:
		v.twice++
	default:
		if v.absent == nil {
			v.absent = map[int64]struct{}{}
		}
		for ; v.next < n; v.next++ {
			v.absent[v.next] = struct{}{}
		}
		v.next++
	}
}

// settle adds what the viewer saw amiss, of all tokens that were sent. It is
// called when nobody reads any more.
func (v *viewer) settle(f *faults, finishes bool) {
	f.Missing += max(0, v.stream.sent.Load()-v.next) + int64(len(v.absent))
	f.Duplicated += v.twice
	f.Misplaced += v.misplaced
	if finishes && !v.ended {
		f.Unended++
	}
	f.note(v.fault)
}
