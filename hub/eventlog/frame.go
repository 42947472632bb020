package eventlog

import "strconv"

// Framing is how events are laid out for a transport. The JSON in it is the
// same for all.
type Framing int

// The framings.
const (
	Lines Framing = iota // one JSON object a line, for WebSocket messages
	SSE                  // "id: <seq>", "data: <JSON>" and an empty line
)

// frameMax is how much larger than its event a frame is, in bytes.
const frameMax = len("id: 9223372036854775807\ndata: \n\n")

// AppendFrame adds one event to dst. An event without a seq (below 0) has no id.
func AppendFrame(dst []byte, f Framing, seq int64, event []byte) []byte {
	if f == Lines {
		return append(append(dst, event...), '\n')
	}
	if seq >= 0 {
		dst = append(dst, "id: "...)
		dst = strconv.AppendInt(dst, seq, 10)
		dst = append(dst, '\n')
	}
	dst = append(dst, "data: "...)
	dst = append(dst, event...)
	return append(dst, "\n\n"...)
}

// appendDelta adds a delta's JSON to dst. A from below 0 stands for seq-1, a
// single event's, and is left out. It allocates only to grow dst.
func appendDelta(dst []byte, id string, from, seq int64, reasoning bool, text []byte) []byte {
	dst = append(dst, `{"type":"delta","message_id":"`...)
	dst = append(dst, id...)
	dst = append(dst, '"')
	if from >= 0 {
		dst = append(dst, `,"from":`...)
		dst = strconv.AppendInt(dst, from, 10)
	}
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendInt(dst, seq, 10)
	if reasoning {
		dst = append(dst, `,"reasoning":`...)
	} else {
		dst = append(dst, `,"text":`...)
	}
	dst = append(dst, '"')
	dst = AppendEscaped(dst, text)
	return append(dst, `"}`...)
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
