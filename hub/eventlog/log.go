package eventlog

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
)

const (
	// windowMax is how many bytes of encoded events are kept for one framing. Viewers that
	// are further behind are sent merged deltas, which are made from the text. While no
	// viewer is behind, windowMin bytes are kept.
	windowMax = 256 << 10
	windowMin = 16 << 10
	// BatchMax bounds one write, in bytes; a single event may be larger. It is
	// the read limit that many WebSocket clients start with, less a margin.
	BatchMax = 31 << 10
	// MergeMax bounds the text of one merged delta, in bytes.
	MergeMax = 256 << 10
)

// Positions that are no seq.
const (
	// FromStart is before the start event.
	FromStart int64 = -1
	// NoPosition asks for a snapshot.
	NoPosition int64 = -2
)

// Run is a stretch of an answer of one kind.
type Run struct {
	Text      string
	Reasoning bool
}

// Start is the first event of a stream, and the frame of its snapshots.
type Start struct {
	MessageID string
	SessionID string
	ParentID  *string
	Model     string
	Version   int64
}

// startEvent is a Start on the wire.
type startEvent struct {
	Type      string  `json:"type"`
	MessageID string  `json:"message_id"`
	Seq       int64   `json:"seq"`
	SessionID string  `json:"session_id"`
	ParentID  *string `json:"parent_id"`
	Model     string  `json:"model"`
	Version   int64   `json:"version"`
}

// A Log is a stream's events in order. It is not safe for concurrent use. It is
// append-only: what it has handed out is never written again, but for a [Piece]
// that is done, so that it may be read while the log goes on.
type Log struct {
	text    []byte   // of all deltas, text and reasoning as they came
	ends    []uint32 // ends[seq] is where the event's text ends in text, which is 4 GiB at most
	runs    []logRun // where text and reasoning take turns
	start   Start
	finish  []byte  // its JSON, once the stream has ended
	last    int64   // seq of the newest event
	stored  *stored // set if the events are gone and only the end is known
	windows [2]*window
	scratch []byte
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

// New returns the log of a stream that has begun, with its start event alone.
func New(start Start) *Log { return &Log{start: start, ends: []uint32{0}} }

// Start returns what the stream began with.
func (l *Log) Start() Start { return l.start }

// Last returns the seq of the newest event.
func (l *Log) Last() int64 { return l.last }

// Replace forgets the events in favour of an end that is stored elsewhere. From here on every
// viewer that is not at its seq is sent a snapshot before the finish.
func (l *Log) Replace(content, reasoning string, seq int64, finish []byte) {
	l.stored = &stored{content: []byte(content), reasoning: []byte(reasoning)}
	l.text, l.ends, l.runs, l.windows = nil, nil, nil, [2]*window{}
	l.last, l.finish = seq, finish
}

// Ended says that the stream has its finish event.
func (l *Log) Ended() bool { return l.finish != nil }

// Append adds one delta.
func (l *Log) Append(text string, reasoning bool) {
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
	l.scratch = appendDelta(l.scratch[:0], l.start.MessageID, -1, l.last, reasoning, l.text[from:])
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

// End adds the finish event, whose JSON must carry the seq after the last.
func (l *Log) End(finish []byte) {
	l.last++
	l.ends = append(l.ends, uint32(len(l.text)))
	l.finish = finish
	l.frame(finish)
}

// frame adds the newest event to the windows there are.
func (l *Log) frame(event []byte) {
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
	w.buf = AppendFrame(double(w.buf, size), f, seq, event)
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

// A Piece is a part of a log that was cut while the log stood still and is made
// into bytes while it goes on.
type Piece struct {
	wire []byte  // ready bytes, good until Done; else the rest says what to encode
	lent *window // wire is its
	log  *Log    // its start never changes
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

// Take cuts what follows pos, up to and including limit, for a framing, and returns the new
// position. With merge set, these are merged deltas, one for each change between text and
// reasoning, although the events themselves are at hand. The piece is empty if there is
// nothing.
func (l *Log) Take(f Framing, pos, limit int64, merge bool) (Piece, int64) {
	limit = min(limit, l.last)
	if l.Ended() && pos > l.last { // what it was shown beyond the end is lost
		pos = NoPosition
	}
	if pos >= limit && pos >= FromStart {
		return Piece{}, pos
	}
	if l.stored != nil {
		runs := []textRun{{text: l.stored.reasoning, reasoning: true}, {text: l.stored.content}}
		return Piece{log: l, kind: pieceSnapshot, seq: max(0, l.last-1), runs: runs, fin: l.finish, from: l.last}, l.last
	}
	w := l.windows[f]
	if w == nil {
		w = &window{first: l.last + 1, buf: make([]byte, 0, windowMin/16)}
		l.windows[f] = w
	}
	if pos == NoPosition {
		// The finish, if there is one, is taken next as an event of its own.
		to := l.last
		if l.Ended() {
			to--
		}
		return Piece{log: l, kind: pieceSnapshot, seq: to, runs: l.cut(0, to)}, to
	}
	if next := pos + 1; next >= w.first && !merge {
		i := int(next - w.first)
		to := int(limit - w.first)
		end := w.end(to)
		if end-w.offs[i] > BatchMax {
			// The last event that still fits; at least one.
			fit := sort.Search(to-i, func(k int) bool { return w.end(i+1+k)-w.offs[i] > BatchMax })
			to = i + fit
			end = w.end(to)
		}
		w.lag = max(w.lag, len(w.buf)-w.offs[i])
		w.lent.Add(1)
		return Piece{wire: slices.Clip(w.buf[w.offs[i]:end]), lent: w}, w.first + int64(to)
	} else if !merge && next+int64(len(w.offs)) > w.first { // it was in it a moment ago
		w.lag = windowMax
	}
	p := Piece{log: l, kind: pieceMerged, from: pos}
	to := limit
	if l.Ended() && to == l.last {
		to--
	}
	base := uint32(0)
	if pos >= 0 {
		base = l.ends[pos]
	}
	if l.ends[to]-base > MergeMax {
		i, _ := slices.BinarySearch(l.ends[:to+1], base+MergeMax)
		to = max(pos+1, int64(i)-1)
	}
	p.seq = to
	p.runs = l.cut(max(pos, 0), to)
	if l.Ended() && limit == l.last && to == l.last-1 {
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
func (l *Log) cut(from, to int64) []textRun {
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

// Empty says that there was nothing to take.
func (p *Piece) Empty() bool { return p.wire == nil && p.log == nil }

// Ready returns the piece's bytes if the log has them as they go over the wire:
// they are good until Done. Else it returns nil, and Append makes them.
func (p *Piece) Ready() []byte { return p.wire }

// Done says that the piece has been written.
func (p *Piece) Done() {
	if p.lent != nil {
		p.lent.lent.Add(-1)
	}
}

// Append adds the piece's bytes to dst.
func (p *Piece) Append(dst []byte, f Framing) []byte {
	switch p.kind {
	case pieceSnapshot:
		event := p.log.snapshot(p.seq, p.runs)
		dst = AppendFrame(dst, f, p.seq, event)
		if p.fin != nil {
			dst = AppendFrame(dst, f, p.from, p.fin)
		}
	case pieceMerged:
		from := p.from
		if from < 0 {
			dst = AppendFrame(dst, f, 0, p.log.begin("start", 0))
			from = 0
		}
		for _, r := range p.runs {
			single := from
			if r.seq == from+1 {
				single = -1
			}
			dst = AppendFrame(dst, f, r.seq, appendDelta(nil, p.log.start.MessageID, single, r.seq, r.reasoning, r.text))
			from = r.seq
		}
		if p.fin != nil {
			dst = AppendFrame(dst, f, p.seq, p.fin)
		}
	default:
		dst = append(dst, p.wire...)
	}
	return dst
}

// begin encodes a start, or a snapshot that has no text yet.
func (l *Log) begin(kind string, seq int64) []byte {
	s := l.start
	b, err := json.Marshal(startEvent{kind, s.MessageID, seq, s.SessionID, s.ParentID, s.Model, s.Version})
	if err != nil { // only strings and numbers: cannot fail
		panic("eventlog: encode a start: " + err.Error())
	}
	return b
}

// snapshot encodes all that the log's reader has at seq.
func (l *Log) snapshot(seq int64, runs []textRun) []byte {
	dst := l.begin("snapshot", seq)
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

// Extend adds those of a batch's events that the log does not have. It returns
// false at a hole.
func (l *Log) Extend(b Batch) bool {
	if b.From > l.last {
		return false
	}
	for _, d := range b.Deltas[min(int64(len(b.Deltas)), l.last-b.From):] {
		l.Append(d.Text, d.Reasoning)
	}
	return true
}

// Runs returns the text of the events after a seq.
func (l *Log) Runs(after int64) (out []Run) {
	for _, r := range l.cut(after, l.last) {
		out = append(out, Run{Text: string(r.text), Reasoning: r.reasoning})
	}
	return out
}

// Deltas returns the events between start and finish one by one.
func (l *Log) Deltas() []Run {
	if l.stored != nil {
		return nil
	}
	to := l.last
	if l.Ended() {
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

// Contents returns the text and reasoning up to the newest delta, and its seq.
func (l *Log) Contents() (content, reasoning string, seq int64) {
	if l.stored != nil {
		return string(l.stored.content), string(l.stored.reasoning), max(0, l.last-1)
	}
	to := l.last
	if l.Ended() {
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
