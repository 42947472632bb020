package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/omnichat/omnichat/hub"
)

// eventMax bounds one event, in bytes.
const eventMax = 8 << 20

// errTooLong says that a vendor's event is over the limit.
var errTooLong = errors.New("event is larger than 8 MB")

// Event is one event of a stream.
type Event struct {
	Name string
	Data []byte
}

// Reader reads Server-Sent Events by the WHATWG specification (section 9.2.6),
// with two differences: the last event counts although no empty line follows
// it, and text that is no field at all is an error, since some servers write
// plain-text errors into a stream.
type Reader struct {
	r     *bufio.Reader
	alive func() // called for every line, comments too
	first bool
	skip  bool // a line ended in CR: a LF that follows belongs to it
}

// NewReader reads from r; alive, if not nil, is called for every line.
func NewReader(r io.Reader, alive func()) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 16<<10), alive: alive, first: true}
}

// Next returns the next event that has data. At the end it returns io.EOF.
func (r *Reader) Next() (Event, error) {
	var e Event
	some := false
	for {
		line, err := r.line()
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			if errors.Is(err, io.EOF) && some {
				return e, nil
			}
			return Event{}, err
		}
		if r.alive != nil {
			r.alive()
		}
		if len(line) == 0 {
			if some {
				return e, nil
			}
			e = Event{}
			continue
		}
		field, value, colon := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "":
		case "data":
			if some {
				e.Data = append(e.Data, '\n')
			}
			e.Data = append(e.Data, value...)
			some = true
			if len(e.Data) > eventMax {
				return Event{}, errTooLong
			}
		case "event":
			e.Name = string(value)
		case "id", "retry":
		default:
			if parsed, ok := parseError(line); ok {
				return Event{}, inBand(parsed)
			}
			if !colon || bytes.ContainsAny(field, " {<") {
				return Event{}, Fail(hub.CodeProviderError, fmt.Errorf("text between events: %.80q", line))
			}
		}
	}
}

// line returns a line without its end: LF, CR or CRLF.
func (r *Reader) line() ([]byte, error) {
	var line []byte
	for {
		b, err := r.r.ReadByte()
		if err != nil {
			return line, err
		}
		if r.skip {
			r.skip = false
			if b == '\n' {
				continue
			}
		}
		if b == '\n' || b == '\r' {
			r.skip = b == '\r'
			if r.first {
				r.first = false
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			return line, nil
		}
		if line = append(line, b); len(line) > eventMax {
			return nil, errTooLong
		}
	}
}

// inBand is the error that a vendor sent inside of a stream.
func inBand(e apiError) *hub.Error {
	return Fail(classify(0, e), errors.New(e.Message))
}

// EventError returns the error that an event is, or nil.
func EventError(e Event) error {
	if parsed, ok := parseError(e.Data); ok {
		return inBand(parsed)
	}
	if e.Name == "error" {
		return Fail(hub.CodeProviderError, errors.New("an error event without an error object"))
	}
	return nil
}
