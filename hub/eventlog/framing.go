package eventlog

import (
	"encoding/json"
	"strconv"
)

// A Framing makes events into the bytes of one transport. A viewer brings its own
// along, and a log keeps the newest events as bytes for those in use. Each method
// adds one event to dst and allocates only to grow it. Framings are compared: those
// that make the same bytes are equal. All methods may be called concurrently.
type Framing interface {
	Start(dst []byte, of *Start) []byte
	// Step adds a delta, or what several of one kind say together.
	Step(dst []byte, of *Start, s Step) []byte
	// Snapshot replaces all that a client has.
	Snapshot(dst []byte, of *Start, c *Content) []byte
	// Finish adds the end of a stream, which is JSON.
	Finish(dst []byte, of *Start, seq int64, finish []byte) []byte
	// Beside adds JSON that is no event of a stream and has no seq.
	Beside(dst, event []byte) []byte
}

// Start is the first event of a stream, and the frame of its snapshots.
type Start struct {
	MessageID string
	SessionID string
	ParentID  *string
	Model     string
	Version   int64
}

// A Step is a delta in its place, or several of one kind that follow each other.
type Step struct {
	From int64 // the seq before it
	Seq  int64 // of the last delta in it
	Kind Kind
	Call string // as in a Delta
	Text []byte

	// Of Text, Reasoning and Arguments: in which part of the answer it lies, how many
	// bytes the parts before have, and where in this one it ends. The bytes of a call are
	// its arguments'.
	Part   int
	Before int64
	End    int64
}

// The framings of the wire contract. The JSON in them is the same.
var (
	Lines Framing = lines{} // one JSON object a line, for WebSocket messages
	SSE   Framing = sse{}   // "id: <seq>", "data: <JSON>" and an empty line
)

type lines struct{}

func (lines) Start(dst []byte, of *Start) []byte {
	return append(appendStart(dst, of, "start", 0), "}\n"...)
}

func (lines) Step(dst []byte, of *Start, s Step) []byte {
	return append(appendStep(dst, of, &s), '\n')
}

func (lines) Snapshot(dst []byte, of *Start, c *Content) []byte {
	return append(appendSnapshot(dst, of, c), '\n')
}

func (lines) Finish(dst []byte, _ *Start, _ int64, finish []byte) []byte {
	return append(append(dst, finish...), '\n')
}

func (lines) Beside(dst, event []byte) []byte { return append(append(dst, event...), '\n') }

type sse struct{}

func (sse) Start(dst []byte, of *Start) []byte {
	return append(appendStart(appendID(dst, 0), of, "start", 0), "}\n\n"...)
}

func (sse) Step(dst []byte, of *Start, s Step) []byte {
	return append(appendStep(appendID(dst, s.Seq), of, &s), "\n\n"...)
}

func (sse) Snapshot(dst []byte, of *Start, c *Content) []byte {
	return append(appendSnapshot(appendID(dst, c.Seq), of, c), "\n\n"...)
}

func (sse) Finish(dst []byte, _ *Start, seq int64, finish []byte) []byte {
	return append(append(appendID(dst, seq), finish...), "\n\n"...)
}

func (sse) Beside(dst, event []byte) []byte {
	dst = append(dst, "data: "...)
	return append(append(dst, event...), "\n\n"...)
}

// appendID begins an SSE event with its seq.
func appendID(dst []byte, seq int64) []byte {
	dst = append(dst, "id: "...)
	dst = strconv.AppendInt(dst, seq, 10)
	return append(dst, "\ndata: "...)
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

// appendStart adds a start's JSON, or the beginning of a snapshot's, without the
// brace that ends it.
func appendStart(dst []byte, of *Start, kind string, seq int64) []byte {
	b, err := json.Marshal(startEvent{kind, of.MessageID, seq, of.SessionID, of.ParentID, of.Model, of.Version})
	if err != nil { // only strings and numbers: cannot fail
		panic("eventlog: encode a start: " + err.Error())
	}
	return append(dst, b[:len(b)-1]...)
}

// appendStep adds a delta's JSON to dst. The seq before a single event is left out.
func appendStep(dst []byte, of *Start, s *Step) []byte {
	dst = append(dst, `{"type":"delta","message_id":"`...)
	dst = append(dst, of.MessageID...)
	dst = append(dst, '"')
	if s.From != s.Seq-1 {
		dst = append(dst, `,"from":`...)
		dst = strconv.AppendInt(dst, s.From, 10)
	}
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendInt(dst, s.Seq, 10)
	switch s.Kind {
	case Call:
		dst = append(dst, `,"text":"","call":`...)
		return append(append(dst, s.Text...), '}')
	case Notice:
		dst = append(dst, `,"text":"","notice":`...)
		return append(append(dst, s.Text...), '}')
	case Arguments:
		dst = append(dst, `,"text":"","call_id":"`...)
		dst = AppendEscaped(dst, s.Call)
		dst = append(dst, `","arguments":"`...)
	case Reasoning:
		dst = append(dst, `,"reasoning":"`...)
	default:
		dst = append(dst, `,"text":"`...)
	}
	dst = AppendEscaped(dst, s.Text)
	return append(dst, `"}`...)
}

// appendSnapshot adds a snapshot's JSON to dst.
func appendSnapshot(dst []byte, of *Start, c *Content) []byte {
	dst = appendStart(dst, of, "snapshot", c.Seq)
	for _, kind := range []Kind{Text, Reasoning} {
		dst = append(append(append(dst, `,"`...), kind.String()...), `":"`...)
		for _, p := range c.Parts {
			if p.Kind == kind {
				dst = AppendEscaped(dst, p.Text)
			}
		}
		dst = append(dst, '"')
	}
	dst = append(dst, `,"parts":[`...)
	for i, p := range c.Parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.AppendJSON(dst)
	}
	dst = append(dst, ']')
	for i, n := range c.Notices {
		if i == 0 {
			dst = append(dst, `,"notices":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = append(dst, n...)
		if i == len(c.Notices)-1 {
			dst = append(dst, ']')
		}
	}
	return append(dst, '}')
}

// AppendJSON adds the part to dst as it is in snapshots and messages.
func (p *Part) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, p.Kind.String()...)
	if p.Kind == Call {
		dst = append(dst, `","call":`...)
		return append(append(dst, p.Call...), '}')
	}
	dst = append(dst, `","text":"`...)
	dst = append(AppendEscaped(dst, p.Text), '"')
	if p.MS > 0 {
		dst = append(dst, `,"ms":`...)
		dst = strconv.AppendInt(dst, p.MS, 10)
	}
	return append(dst, '}')
}

// AppendEscaped adds valid UTF-8 to a JSON string (RFC 8259, section 7).
func AppendEscaped[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789abcdef"
	done := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, s[done:]...)
}
