package eventlog

import (
	"slices"
	"sort"
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

// A Log is a stream's events in order. It is not safe for concurrent use. It is
// append-only: what it has handed out is never written again, but for a [Piece]
// that is done, so that it may be read while the log goes on.
type Log struct {
	text    []byte   // of all deltas, as they came
	ends    []uint32 // ends[seq] is where the event's text ends in text, which is 4 GiB at most
	runs    []run
	parts   []span
	bytes   int64 // of all parts, without the newest run
	start   Start
	finish  []byte   // its JSON, once the stream has ended
	last    int64    // seq of the newest event
	moved   int64    // seq of the newest event that changed what came before; 0 if there is none
	stored  *Content // set if the events are gone and only the end is known
	windows []*window
	scratch []byte
}

// run is a stretch of events of one kind, and of one call; it ends where the next
// begins. A state of a call, a notice, and what moves parts is a run of its own.
type run struct {
	first int64 // seq
	kind  Kind
	came  Kind // before something moved it
	call  string
	part  int   // the index of its part; -1 if it is in none
	begin int64 // how many bytes the part has before it
}

// span is a part, as the runs make it.
type span struct {
	kind   Kind
	call   string
	before int64 // the bytes of the parts before it, when it was opened
	bytes  int64 // without the newest run
}

// window is the newest events as the bytes that go over the wire.
type window struct {
	framing Framing
	first   int64 // seq of the event at offs[0]
	offs    []int // where each event begins in buf
	buf     []byte
	lag     int          // how far before its end somebody was lately, in bytes
	lent    atomic.Int32 // pieces of buf that are being written
}

// New returns the log of a stream that has begun, with its start event alone.
func New(start Start) *Log { return &Log{start: start, ends: []uint32{0}} }

// Start returns what the stream began with.
func (l *Log) Start() Start { return l.start }

// Last returns the seq of the newest event.
func (l *Log) Last() int64 { return l.last }

// Replace forgets the events in favour of an end that is stored elsewhere. From here on every
// viewer that is not at the seq of its finish is sent a snapshot before that.
func (l *Log) Replace(c Content, seq int64, finish []byte) {
	c.Seq = max(0, seq-1)
	l.stored = &c
	l.text, l.ends, l.runs, l.parts, l.windows = nil, nil, nil, nil, nil
	l.last, l.finish = seq, finish
}

// Ended says that the stream has its finish event.
func (l *Log) Ended() bool { return l.finish != nil }

// Append adds one delta.
func (l *Log) Append(d Delta) {
	n := len(l.runs)
	l.last++
	if n == 0 || !l.runs[n-1].goesOn(d) {
		l.begin(d)
	}
	from := len(l.text)
	l.text = append(double(l.text, len(d.Text)), d.Text...)
	l.ends = append(double(l.ends, 1), uint32(len(l.text)))
	if d.Kind.Moves() {
		l.move(d.Kind)
		return
	}
	if len(l.windows) == 0 {
		return
	}
	s := l.step(&l.runs[len(l.runs)-1], l.last-1, l.last)
	s.Text = l.text[from:]
	for _, w := range l.windows {
		l.scratch = w.framing.Step(l.scratch[:0], &l.start, s)
		w.add(l.scratch)
	}
}

// goesOn says whether a delta belongs to the run.
func (r *run) goesOn(d Delta) bool {
	return r.kind == d.Kind && (d.Kind <= Reasoning || d.Kind == Arguments && r.call == d.Call)
}

// begin begins a run with the newest event.
func (l *Log) begin(d Delta) {
	l.settle()
	r := run{first: l.last, kind: d.Kind, came: d.Kind, call: d.Call, part: -1}
	switch {
	case d.Kind == Call || d.Kind == Arguments:
		r.part = slices.IndexFunc(l.parts, func(p span) bool { return p.kind == Call && p.call == d.Call })
		if r.part < 0 && d.Kind == Call {
			r.part = l.open(span{kind: Call, call: d.Call})
		}
	case d.Kind > Reasoning:
	case len(l.parts) > 0 && l.parts[len(l.parts)-1].kind == d.Kind:
		r.part = len(l.parts) - 1
	default:
		r.part = l.open(span{kind: d.Kind})
	}
	if r.part >= 0 {
		r.begin = l.parts[r.part].bytes
	}
	l.runs = append(l.runs, r)
}

func (l *Log) open(p span) int {
	p.before = l.bytes
	l.parts = append(l.parts, p)
	return len(l.parts) - 1
}

// settle counts the bytes of the newest run, which is over.
func (l *Log) settle() {
	if len(l.runs) == 0 {
		return
	}
	r := l.runs[len(l.runs)-1]
	if r.part < 0 || r.kind == Call {
		return
	}
	n := int64(len(l.text)) - int64(l.ends[r.first-1])
	l.parts[r.part].bytes += n
	l.bytes += n
}

// move makes thoughts of the text so far, or text of the thoughts. Viewers that
// have seen less than all of this are sent a snapshot.
func (l *Log) move(how Kind) {
	was, is := Text, Reasoning
	if how == AsText {
		was, is = is, was
	}
	runs, last := l.runs, l.last
	l.runs, l.parts, l.bytes = make([]run, 0, len(runs)), nil, 0
	text := l.text
	for i, r := range runs { // the parts are counted anew
		if r.kind == was {
			r.kind = is
		}
		end := last
		if i+1 < len(runs) {
			end = runs[i+1].first - 1
		}
		l.last, l.text = r.first, text[:l.ends[r.first-1]]
		l.begin(Delta{Kind: r.kind, Call: r.call})
		l.runs[i].came = r.came
		l.text = text[:l.ends[end]]
	}
	l.last, l.text, l.moved, l.windows = last, text, last, nil
}

// step is where the events of a run lie that are behind one and up to another.
func (l *Log) step(r *run, from, to int64) Step {
	s := Step{From: from, Seq: to, Kind: r.kind, Call: r.call, Part: r.part}
	if r.part >= 0 && r.kind != Call {
		s.Before = l.parts[r.part].before
		s.End = r.begin + int64(l.ends[to]) - int64(l.ends[r.first-1])
	}
	return s
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
	for _, w := range l.windows {
		l.scratch = w.framing.Finish(l.scratch[:0], &l.start, l.last, finish)
		w.add(l.scratch)
	}
}

// add adds the bytes of the newest event.
func (w *window) add(event []byte) {
	if len(w.offs) > 1 && len(w.buf)+len(event) > min(windowMax, max(windowMin, 2*w.lag)) {
		w.trim()
	}
	w.offs = append(w.offs, len(w.buf))
	w.buf = append(double(w.buf, len(event)), event...)
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

// window returns that of a framing. A framing that was not in use has an empty one.
func (l *Log) window(f Framing) *window {
	for _, w := range l.windows {
		if w.framing == f {
			return w
		}
	}
	w := &window{framing: f, first: l.last + 1, buf: make([]byte, 0, windowMin/16)}
	l.windows = append(l.windows, w)
	return w
}

// A Piece is a part of a log that was cut while the log stood still and is made
// into bytes while it goes on.
type Piece struct {
	wire    []byte  // ready bytes, good until Done; else the rest says what to encode
	lent    *window // wire is its
	start   *Start  // which never changes
	begin   bool    // with the start event
	content *Content
	steps   []Step
	finish  []byte
	seq     int64 // of the finish
}

// Take cuts what follows pos, up to and including limit, for a framing, and returns the new
// position. With merge set, these are merged deltas, although the events themselves are at
// hand: one for each stretch of a part, and each state of a call and notice by itself. The
// piece is empty if there is nothing.
func (l *Log) Take(f Framing, pos, limit int64, merge bool) (Piece, int64) {
	limit = min(limit, l.last)
	if l.Ended() && pos > l.last { // what it was shown beyond the end is lost
		pos = NoPosition
	}
	if pos >= limit && pos >= FromStart {
		return Piece{}, pos
	}
	if l.stored != nil {
		return Piece{start: &l.start, content: l.stored, finish: l.finish, seq: l.last}, l.last
	}
	w := l.window(f)
	if pos == NoPosition || l.moved > max(pos, 0) {
		c := l.Content() // the finish, if there is one, is taken next as an event of its own
		return Piece{start: &l.start, content: &c}, c.Seq
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
	p := Piece{start: &l.start, begin: pos < 0}
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
	p.steps = l.cut(max(pos, 0), to)
	if l.Ended() && limit == l.last && to == l.last-1 {
		p.finish, p.seq = l.finish, l.last
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

// cut returns the events after from, up to and with to, those of a run as one.
func (l *Log) cut(from, to int64) []Step {
	i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].first > from+1 }) - 1
	var out []Step
	for i = max(i, 0); i < len(l.runs) && l.runs[i].first <= to; i++ {
		lo, hi := max(from, l.runs[i].first-1), to
		if i+1 < len(l.runs) {
			hi = min(hi, l.runs[i+1].first-1)
		}
		if lo < hi {
			s := l.step(&l.runs[i], lo, hi)
			s.Text = slices.Clip(l.text[l.ends[lo]:l.ends[hi]])
			out = append(out, s)
		}
	}
	return out
}

// Empty says that there was nothing to take.
func (p *Piece) Empty() bool { return p.wire == nil && p.start == nil }

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
	if p.wire != nil {
		return append(dst, p.wire...)
	}
	if p.content != nil {
		dst = f.Snapshot(dst, p.start, p.content)
	}
	if p.begin {
		dst = f.Start(dst, p.start)
	}
	for _, s := range p.steps {
		dst = f.Step(dst, p.start, s)
	}
	if p.finish != nil {
		dst = f.Finish(dst, p.start, p.seq, p.finish)
	}
	return dst
}

// Extend adds those of a batch's events that the log does not have. It returns
// false at a hole.
func (l *Log) Extend(b Batch) bool {
	if b.From > l.last {
		return false
	}
	for _, d := range b.Deltas[min(int64(len(b.Deltas)), l.last-b.From):] {
		l.Append(d)
	}
	return true
}

// After returns the events after a seq, those of a run as one.
func (l *Log) After(seq int64) (deltas []Delta) {
	for _, s := range l.cut(seq, l.last) {
		deltas = append(deltas, Delta{Text: string(s.Text), Call: s.Call, Kind: s.Kind})
	}
	return deltas
}

// Deltas returns the events between start and finish one by one, as they came.
func (l *Log) Deltas() []Delta {
	if l.stored != nil {
		return nil
	}
	to := l.last
	if l.Ended() {
		to--
	}
	out := make([]Delta, 0, to)
	at := -1
	for seq := int64(1); seq <= to; seq++ {
		for at+1 < len(l.runs) && l.runs[at+1].first <= seq {
			at++
		}
		r := &l.runs[at]
		out = append(out, Delta{Text: string(l.text[l.ends[seq-1]:l.ends[seq]]), Call: r.call, Kind: r.came})
	}
	return out
}

// Content returns what the answer says up to the newest delta.
func (l *Log) Content() Content {
	if l.stored != nil {
		return *l.stored
	}
	c := Content{Seq: l.last}
	if l.Ended() {
		c.Seq--
	}
	c.Parts = make([]Part, len(l.parts))
	for i, p := range l.parts {
		c.Parts[i].Kind = p.kind
	}
	arguments := map[int][]byte{}
	for i, r := range l.runs {
		end := c.Seq
		if i+1 < len(l.runs) {
			end = l.runs[i+1].first - 1
		}
		text := slices.Clip(l.text[l.ends[r.first-1]:l.ends[end]])
		switch {
		case r.kind == Notice:
			c.Notices = append(c.Notices, text)
		case r.part < 0:
		case r.kind == Arguments:
			arguments[r.part] = append(arguments[r.part], text...)
		case r.kind == Call:
			c.Parts[r.part].Call = text
			delete(arguments, r.part)
		case c.Parts[r.part].Text == nil:
			c.Parts[r.part].Text = text
		default:
			c.Parts[r.part].Text = append(c.Parts[r.part].Text, text...)
		}
	}
	for i, more := range arguments {
		c.Parts[i].Call = withArguments(c.Parts[i].Call, more)
	}
	return c
}

// Agrees returns the seq up to which the log has what a batch has, and nothing beyond
// the batch. What comes before the batch counts as agreed.
func (l *Log) Agrees(b Batch) int64 {
	have := l.Deltas()
	for i, d := range b.Deltas {
		seq := b.From + int64(i) // the one before d
		if seq >= int64(len(have)) || have[seq] != d {
			return min(seq, l.last)
		}
	}
	return min(b.From+int64(len(b.Deltas)), l.last)
}

// Forget takes back the events after a seq, which another owner of the stream has
// never written. Viewers that have seen some of them are to be sent a snapshot.
func (l *Log) Forget(after int64) {
	deltas := l.Deltas()
	if after >= int64(len(deltas)) {
		return
	}
	*l = Log{start: l.start, ends: []uint32{0}}
	for _, d := range deltas[:after] {
		l.Append(d)
	}
}
