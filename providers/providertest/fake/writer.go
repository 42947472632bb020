package fake

import (
	"bufio"
	"net/http"
	"strings"
	"time"
)

// encoder writes one answer in a vendor's format. Each method returns the
// events of a step, or "".
type encoder interface {
	start() string
	think(token string) string
	thought() string // after the thinking
	text(token string) string
	calls() string
	finish() string // the reason, unless the script leaves it out, and usage
	done() string   // the vendor's last event
}

// Render is the whole answer of a script, as one response.
func Render(d Dialect, sc Script) []byte {
	var b strings.Builder
	e := d.encode(sc, Request{wantsUsage: true})
	b.WriteString(e.start())
	for _, t := range sc.Reasoning {
		b.WriteString(e.think(t))
	}
	b.WriteString(e.thought())
	for _, t := range sc.Tokens {
		b.WriteString(e.text(t))
	}
	b.WriteString(e.calls() + e.finish() + e.done())
	return []byte(b.String())
}

// writer streams one answer.
type writer struct {
	rc  *http.ResponseController
	w   *bufio.Writer
	r   *http.Request
	sc  Script
	enc encoder
}

// raw writes, and flushes unless tokens come as fast as they can.
func (o *writer) raw(s string, flush bool) bool {
	if o.sc.Bytewise {
		for i := range len(s) {
			_, _ = o.w.WriteString(s[i : i+1])
			_ = o.w.Flush()
			_ = o.rc.Flush()
		}
		return o.r.Context().Err() == nil
	}
	_, err := o.w.WriteString(s)
	if err == nil && flush {
		if err = o.w.Flush(); err == nil {
			err = o.rc.Flush()
		}
	}
	return err == nil && o.r.Context().Err() == nil
}

func (o *writer) answer() {
	paced := o.sc.Every > 0 || o.sc.Gate != nil
	if !o.raw(o.sc.Before, true) || !o.raw(o.enc.start(), paced) {
		return
	}
	for _, t := range o.sc.Reasoning {
		if !o.raw(o.enc.think(t), paced) {
			return
		}
	}
	if !o.raw(o.enc.thought(), paced) {
		return
	}
	for i, t := range o.sc.Tokens {
		if o.cut(i) || !o.wait() {
			return
		}
		if !o.raw(o.enc.text(t), paced || i == 0) {
			return
		}
	}
	if o.cut(len(o.sc.Tokens)) {
		return
	}
	tail := o.enc.calls() + o.enc.finish()
	if !o.sc.NoDone {
		tail += o.enc.done()
	}
	if o.sc.NoNewline {
		tail = strings.TrimRight(tail, "\n")
	}
	o.raw(tail, true)
	if o.sc.Torn {
		panic(http.ErrAbortHandler) // net/http cuts the connection
	}
}

// wait paces the tokens.
func (o *writer) wait() bool {
	if o.sc.Gate != nil {
		select {
		case <-o.sc.Gate:
		case <-o.r.Context().Done():
			return false
		}
	}
	if o.sc.Every > 0 {
		t := time.NewTimer(o.sc.Every)
		defer t.Stop()
		select {
		case <-t.C:
		case <-o.r.Context().Done():
			return false
		}
	}
	return true
}

// cut does what the script wants after n tokens, and says whether that was the
// end of the answer.
func (o *writer) cut(n int) bool {
	breaks, stalls := o.sc.BreakAfter > 0 && n == o.sc.BreakAfter, o.sc.StallAfter > 0 && n == o.sc.StallAfter
	atEnd := o.sc.Inject != "" && o.sc.BreakAfter == 0 && o.sc.StallAfter == 0 && n == len(o.sc.Tokens)
	if !breaks && !stalls && !atEnd {
		return false
	}
	o.raw(o.sc.Inject, true)
	switch {
	case stalls, o.sc.Open:
		<-o.r.Context().Done()
	case breaks && o.sc.Inject == "":
		_ = o.w.Flush()
		_ = o.rc.Flush()
		panic(http.ErrAbortHandler) // net/http cuts the connection
	}
	return true
}
