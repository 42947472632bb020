package hub

import (
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// windowMax bounds the encoded events kept for one framing, in bytes. Who
	// is further behind gets merged deltas made from the text. While nobody is
	// behind, it is windowMin.
	windowMax = 256 << 10
	windowMin = 16 << 10
	// batchMax bounds one write, in bytes; a single event may be larger. It is
	// the read limit that many WebSocket clients start with, less a margin.
	batchMax = 31 << 10
	// mergeMax bounds the text of one merged delta, in bytes.
	mergeMax = 256 << 10
)

// Positions that are no seq.
const (
	// FromStart is before the start event.
	FromStart int64 = -1
	// NoPosition asks for a snapshot.
	NoPosition int64 = -2
)

// log is a stream's events in order. It is append-only: a slice handed out is
// never written again, but for a piece that is done, so that it may be read after
// the feed's lock is let go.
type log struct {
	id      MessageID
	text    []byte   // of all deltas, text and reasoning as they came
	ends    []uint32 // ends[seq] is where the event's text ends in text, which is AnswerMax at most
	runs    []logRun // where text and reasoning take turns
	start   startFields
	finish  []byte  // its JSON, once the stream has ended
	last    int64   // seq of the newest event
	stored  *stored // set if the events are gone and only the end is known
	windows [2]*window
	scratch []byte

	remote  bool      // the stream's owner is another replica
	epoch   int64     // of a remote stream
	heard   time.Time // when its owner, or another reader of its log, was last heard of
	endedAt time.Time
}

// logRun is a stretch of events of one kind; it ends where the next begins.
type logRun struct {
	first     int64 // seq
	reasoning bool
}

// stored is the text of a stream whose log is gone.
type stored struct{ content, reasoning []byte }

// window is the newest events as the bytes that go over the wire.
type window struct {
	first int64 // seq of the event at offs[0]
	offs  []int // where each event begins in buf
	buf   []byte
	lag   int          // how far before its end somebody was lately, in bytes
	lent  atomic.Int32 // pieces of buf that are being written
}

func newLog(m Message) *log {
	l := &log{id: m.ID, start: startFields{
		Type: "start", MessageID: m.ID, SessionID: m.SessionID, ParentID: m.ParentID, Model: m.Model, Version: m.Added,
	}}
	l.ends = append(l.ends, 0)
	return l
}

// newEndedLog is the log of a stream of which only the stored message is left.
func newEndedLog(m Message) *log {
	l := newLog(m)
	l.replace(m)
	return l
}

// replace forgets the events: what is stored counts, and everyone who is not at
// its end gets a snapshot before the finish.
func (l *log) replace(m Message) {
	l.stored = &stored{content: []byte(m.Content), reasoning: []byte(m.Reasoning)}
	l.text, l.ends, l.runs, l.windows = nil, nil, nil, [2]*window{}
	l.last = m.Seq
	l.finish = finishOf(m)
}

// finishOf is the finish event of a message that has ended.
func finishOf(m Message) []byte {
	var reason Reason
	if m.FinishReason != nil {
		reason = *m.FinishReason
	}
	return encode(finishEvent{
		Type: "finish", MessageID: m.ID, Seq: m.Seq, Reason: reason, Usage: m.Usage, Error: m.Error, Version: m.Version,
		Model: m.Model, ToolCalls: m.ToolCalls, Notices: m.Notices, ThinkingMS: m.ThinkingMS,
	})
}

func (l *log) ended() bool { return l.finish != nil }

// append adds one delta.
func (l *log) append(text string, reasoning bool) {
	l.last++
	if n := len(l.runs); n == 0 || l.runs[n-1].reasoning != reasoning {
		l.runs = append(l.runs, logRun{first: l.last, reasoning: reasoning})
	}
	from := len(l.text)
	l.text = append(double(l.text, len(text)), text...)
	l.ends = append(double(l.ends, 1), uint32(len(l.text)))
	if l.windows[Lines] == nil && l.windows[SSE] == nil {
		return
	}
	l.scratch = appendDelta(l.scratch[:0], l.id, -1, l.last, reasoning, l.text[from:])
	l.frame(l.scratch)
}

// double returns s with room for n more. Where there is none it has twice as
// much: to grow by a quarter, as append does, is to allocate a long answer five
// times over.
func double[E any](s []E, n int) []E {
	if cap(s)-len(s) < n {
		s = append(make([]E, 0, max(2*cap(s), len(s)+n)), s...)
	}
	return s
}

// end adds the finish event, which must carry the seq last+1.
func (l *log) end(finish []byte) {
	l.last++
	l.ends = append(l.ends, uint32(len(l.text)))
	l.finish = finish
	l.frame(finish)
}

// frame adds the newest event to the windows there are.
func (l *log) frame(event []byte) {
	for f, w := range l.windows {
		if w != nil {
			w.add(Framing(f), l.last, event)
		}
	}
}

func (w *window) add(f Framing, seq int64, event []byte) {
	size := len(event) + frameMax
	if len(w.offs) > 1 && len(w.buf)+size > min(windowMax, max(windowMin, 2*w.lag)) {
		w.trim()
	}
	w.offs = append(w.offs, len(w.buf))
	w.buf = appendFrame(double(w.buf, size), f, seq, event)
}

// trim forgets the older half.
func (w *window) trim() {
	half := len(w.offs) / 2
	cut := w.offs[half]
	if w.lent.Load() == 0 {
		w.buf = append(w.buf[:0], w.buf[cut:]...)
	} else {
		w.buf = append(make([]byte, 0, cap(w.buf)), w.buf[cut:]...)
	}
	w.offs = append(w.offs[:0], w.offs[half:]...)
	for i := range w.offs {
		w.offs[i] -= cut
	}
	w.first += int64(half)
	w.lag /= 2
}

// piece is a part of a log that was cut under the lock and is made into bytes
// after it.
type piece struct {
	wire []byte  // ready bytes, good until done; else the rest says what to encode
	lent *window // wire is its
	log  *log    // its id and start never change
	kind int
	from int64
	seq  int64
	runs []textRun
	fin  []byte
}

const (
	pieceMerged = iota + 1
	pieceSnapshot
)

// textRun is a stretch of text of one kind that ends with event seq.
type textRun struct {
	text      []byte
	seq       int64
	reasoning bool
}

// take cuts what follows pos, up to and with limit, for a framing, and returns
// the new position. With merge it is one merged delta although the events are
// at hand. The piece is empty if there is nothing.
func (l *log) take(f Framing, pos, limit int64, merge bool) (piece, int64) {
	limit = min(limit, l.last)
	if l.ended() && pos > l.last { // what it was shown beyond the end is lost
		pos = NoPosition
	}
	if pos >= limit && pos >= FromStart {
		return piece{}, pos
	}
	if l.stored != nil {
		runs := []textRun{{text: l.stored.reasoning, reasoning: true}, {text: l.stored.content}}
		return piece{log: l, kind: pieceSnapshot, seq: max(0, l.last-1), runs: runs, fin: l.finish, from: l.last}, l.last
	}
	w := l.windows[f]
	if w == nil {
		w = &window{first: l.last + 1, buf: make([]byte, 0, windowMin/16)}
		l.windows[f] = w
	}
	if pos == NoPosition {
		// The finish, if there is one, is taken next as an event of its own.
		to := l.last
		if l.ended() {
			to--
		}
		return piece{log: l, kind: pieceSnapshot, seq: to, runs: l.cut(0, to)}, to
	}
	if next := pos + 1; next >= w.first && !merge {
		i := int(next - w.first)
		to := int(limit - w.first)
		end := w.end(to)
		if end-w.offs[i] > batchMax {
			// The last event that still fits; at least one.
			fit := sort.Search(to-i, func(k int) bool { return w.end(i+1+k)-w.offs[i] > batchMax })
			to = i + fit
			end = w.end(to)
		}
		w.lag = max(w.lag, len(w.buf)-w.offs[i])
		w.lent.Add(1)
		return piece{wire: slices.Clip(w.buf[w.offs[i]:end]), lent: w}, w.first + int64(to)
	} else if !merge && next+int64(len(w.offs)) > w.first { // it was in it a moment ago
		w.lag = windowMax
	}
	p := piece{log: l, kind: pieceMerged, from: pos}
	to := limit
	if l.ended() && to == l.last {
		to--
	}
	base := uint32(0)
	if pos >= 0 {
		base = l.ends[pos]
	}
	if l.ends[to]-base > mergeMax {
		i, _ := slices.BinarySearch(l.ends[:to+1], base+mergeMax)
		to = max(pos+1, int64(i)-1)
	}
	p.seq = to
	p.runs = l.cut(max(pos, 0), to)
	if l.ended() && limit == l.last && to == l.last-1 {
		p.fin, p.seq = l.finish, l.last
		to = l.last
	}
	return p, to
}

// end returns where event first+i ends in buf.
func (w *window) end(i int) int {
	if i+1 < len(w.offs) {
		return w.offs[i+1]
	}
	return len(w.buf)
}

// cut returns the text of the events after from, up to and with to.
func (l *log) cut(from, to int64) []textRun {
	i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].first > from+1 }) - 1
	var out []textRun
	for i = max(i, 0); i < len(l.runs) && l.runs[i].first <= to; i++ {
		lo, hi := max(from, l.runs[i].first-1), to
		if i+1 < len(l.runs) {
			hi = min(hi, l.runs[i+1].first-1)
		}
		if lo < hi {
			out = append(out, textRun{text: slices.Clip(l.text[l.ends[lo]:l.ends[hi]]), seq: hi, reasoning: l.runs[i].reasoning})
		}
	}
	return out
}

// done says that the piece has been written.
func (p *piece) done() {
	if p.lent != nil {
		p.lent.lent.Add(-1)
	}
}

// append adds the piece's bytes to dst.
func (p *piece) append(dst []byte, f Framing) []byte {
	switch p.kind {
	case pieceSnapshot:
		event := p.log.snapshot(p.seq, p.runs)
		dst = appendFrame(dst, f, p.seq, event)
		if p.fin != nil {
			dst = appendFrame(dst, f, p.from, p.fin)
		}
	case pieceMerged:
		from := p.from
		if from < 0 {
			dst = appendFrame(dst, f, 0, encode(p.log.start))
			from = 0
		}
		for _, r := range p.runs {
			single := from
			if r.seq == from+1 {
				single = -1
			}
			dst = appendFrame(dst, f, r.seq, appendDelta(nil, p.log.id, single, r.seq, r.reasoning, r.text))
			from = r.seq
		}
		if p.fin != nil {
			dst = appendFrame(dst, f, p.seq, p.fin)
		}
	default:
		dst = append(dst, p.wire...)
	}
	return dst
}

// snapshot encodes all that the log's reader has at seq.
func (l *log) snapshot(seq int64, runs []textRun) []byte {
	s := l.start
	s.Type, s.Seq = "snapshot", seq
	dst := encode(s)
	dst = dst[:len(dst)-1]
	for _, kind := range []bool{false, true} {
		if kind {
			dst = append(dst, `,"reasoning":"`...)
		} else {
			dst = append(dst, `,"text":"`...)
		}
		for _, r := range runs {
			if r.reasoning == kind {
				dst = AppendEscaped(dst, r.text)
			}
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// extend adds those of a batch's events that the log does not have. It returns
// false at a hole.
func (l *log) extend(b batch) bool {
	if b.from > l.last {
		return false
	}
	for _, d := range b.deltas[min(int64(len(b.deltas)), l.last-b.from):] {
		l.append(d.Text, d.Reasoning)
	}
	return true
}

// deltas returns the events between start and finish one by one.
func (l *log) deltas() []Run {
	if l.stored != nil {
		return nil
	}
	to := l.last
	if l.ended() {
		to--
	}
	out := make([]Run, 0, to)
	run := -1
	for seq := int64(1); seq <= to; seq++ {
		for run+1 < len(l.runs) && l.runs[run+1].first <= seq {
			run++
		}
		out = append(out, Run{Text: string(l.text[l.ends[seq-1]:l.ends[seq]]), Reasoning: l.runs[run].reasoning})
	}
	return out
}

// contents returns the text and reasoning up to the newest delta, and its seq.
func (l *log) contents() (content, reasoning string, seq int64) {
	if l.stored != nil {
		return string(l.stored.content), string(l.stored.reasoning), max(0, l.last-1)
	}
	to := l.last
	if l.ended() {
		to--
	}
	var c, r []textRun
	for _, run := range l.cut(0, to) {
		if run.reasoning {
			r = append(r, run)
		} else {
			c = append(c, run)
		}
	}
	return join(c), join(r), to
}

func join(runs []textRun) string {
	size := 0
	for _, r := range runs {
		size += len(r.text)
	}
	var b strings.Builder
	b.Grow(size)
	for _, r := range runs {
		b.Write(r.text)
	}
	return b.String()
}
