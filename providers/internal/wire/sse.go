package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// eventMax bounds one event, in bytes.
const eventMax = 8 << 20

// errTooLong says that a vendor's event is over the limit.
var errTooLong = errors.New("event is larger than 8 MB")

// Event is one event of a stream. Its data is valid until the next one is read.
type Event struct {
	Name string
	Data []byte
}

// Reader reads Server-Sent Events by the WHATWG specification (section 9.2.6),
// with these differences: the last event counts although no empty line follows
// it; JSON that stands between events, or in their place, is an event for each
// object, however it is spread over lines; a field "error" is an event of that
// name; and text that is no field at all is an error, since some servers write
// plain-text errors into a stream.
type Reader struct {
	r     *bufio.Reader
	data  []byte // of the event that is being read
	name  string // the last event's: most are called like the one before
	long  []byte // a line that came in several reads
	first bool
	skip  bool   // a line ended in CR: a LF that follows belongs to it
	again []byte // a line that is to be read once more, nil for none
	bare  bare

	held *held     // with other answers' events; nil if there is no limit to them
	size int64     // what of it is this reader's
	from time.Time // when that began
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 4<<10), first: true}
}

// Next returns the next event that has data. At the end it returns io.EOF.
func (r *Reader) Next() (Event, error) {
	var e Event
	some := false
	r.release()
	r.data = r.data[:0]
	for {
		if r.bare.open {
			if some, err := r.json(); some || err != nil {
				return Event{Data: r.data}, err
			}
		}
		line, err := r.line()
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			if errors.Is(err, io.EOF) && some {
				return e, nil
			}
			return Event{}, err
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
				r.data = append(r.data, '\n')
			}
			if len(r.data)+len(value) > eventMax {
				return Event{}, errTooLong
			}
			r.data = append(r.data, value...)
			if err := r.hold(); err != nil {
				return Event{}, err
			}
			e.Data, some = r.data, true
		case "event":
			if r.name != string(value) {
				r.name = string(value)
			}
			e.Name = r.name
		case "id", "retry":
		default:
			isError := bytes.EqualFold(field, []byte("error")) && colon
			if !isError && colon && !bytes.ContainsAny(field, " \t{[<\"") {
				continue // a field that nobody knows
			}
			if some { // the event before it has no empty line at its end
				r.again = bytes.Clone(line)
				return e, nil
			}
			start := bytes.TrimLeft(line, " \t")
			switch {
			case isError:
				r.data = append(r.data, value...)
				return Event{Name: "error", Data: r.data}, nil
			case isDone(start):
				r.data = append(r.data, start...)
				return Event{Data: r.data}, nil
			case len(start) > 0 && (start[0] == '{' || start[0] == '['):
				r.bare = bare{open: true, rest: bytes.Clone(start)}
				continue
			}
			return Event{}, text(line)
		}
	}
}

// line returns a line without its end: LF, CR or CRLF. It is valid until the
// next call.
func (r *Reader) line() ([]byte, error) {
	if r.again != nil {
		line := r.again
		r.again = nil
		return line, nil
	}
	r.long = r.long[:0]
	for {
		if _, err := r.r.Peek(1); err != nil {
			return r.long, err
		}
		b, _ := r.r.Peek(r.r.Buffered()) // never fails: it is there
		if r.skip {
			r.skip = false
			if b[0] == '\n' {
				r.drop(1)
				continue
			}
		}
		end := bytes.IndexByte(b, '\n')
		head := b
		if end >= 0 {
			head = b[:end]
		}
		if cr := bytes.IndexByte(head, '\r'); cr >= 0 {
			end, head = cr, b[:cr]
		}
		if end < 0 || len(r.long) > 0 {
			if r.long = append(r.long, head...); len(r.long) > eventMax {
				return nil, errTooLong
			}
			if err := r.hold(); err != nil {
				return nil, err
			}
			head = r.long
		}
		if end < 0 {
			r.drop(len(b))
			continue
		}
		r.skip = b[end] == '\r'
		r.drop(end + 1)
		if r.first {
			r.first = false
			head = bytes.TrimPrefix(head, []byte("\ufeff"))
		}
		return head, nil
	}
}

// drop forgets n bytes that were looked at.
func (r *Reader) drop(n int) { _, _ = r.r.Discard(n) } // never fails: they are there

// text is the error that a line is which no event stream has.
func text(line []byte) error {
	e := apiError{Message: strings.ToValidUTF8(string(line[:min(len(line), 1000)]), "")}
	e.words = strings.ToLower(e.Message)
	if strings.HasPrefix(e.Message, "<") {
		e.Message = "" // a page tells a person nothing
	}
	return e.fail(0, fmt.Errorf("%w: text between events: %.80q", errMalformed, line))
}

// inBand is the error that a vendor sent inside of a stream.
func inBand(e apiError) *hub.Error {
	if e.status == http.StatusBadRequest || e.status == http.StatusUnprocessableEntity {
		return e.fail(0, &StatusError{Status: e.status, Detail: e.Message, Param: e.param})
	}
	return e.fail(0, errors.New(e.Message))
}
