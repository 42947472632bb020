package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	fast "github.com/go-json-experiment/json" // encoding/json/v2 of Go 1.27: half the CPU of encoding/json
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

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
// with two differences: the last event counts although no empty line follows
// it, and text that is no field at all is an error, since some servers write
// plain-text errors into a stream.
type Reader struct {
	r     *bufio.Reader
	data  []byte // of the event that is being read
	name  string // the last event's: most are called like the one before
	long  []byte // a line that came in several reads
	first bool
	skip  bool // a line ended in CR: a LF that follows belongs to it
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 4<<10), first: true}
}

// Next returns the next event that has data. At the end it returns io.EOF.
func (r *Reader) Next() (Event, error) {
	var e Event
	some := false
	r.data = r.data[:0]
	for {
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
			e.Data, some = r.data, true
		case "event":
			if r.name != string(value) {
				r.name = string(value)
			}
			e.Name = r.name
		case "id", "retry":
		default:
			if !colon || bytes.ContainsAny(field, " \t{[<\"") {
				return Event{}, r.text(line)
			}
		}
	}
}

// line returns a line without its end: LF, CR or CRLF. It is valid until the
// next call.
func (r *Reader) line() ([]byte, error) {
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

// text is the error that a line is which no event stream has. A JSON object may
// go on over many lines.
func (r *Reader) text(line []byte) error {
	start := bytes.TrimLeft(line, " \t")
	if len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		var whole json.RawMessage
		rest := io.MultiReader(bytes.NewReader(bytes.Clone(line)), bytes.NewReader([]byte("\n")), io.LimitReader(r.r, bodyMax))
		if json.NewDecoder(rest).Decode(&whole) == nil {
			if e, ok := parseError(whole); ok {
				return inBand(e)
			}
		}
	}
	return Fail(hub.CodeProviderError, fmt.Errorf("text between events: %.80q", line))
}

// inBand is the error that a vendor sent inside of a stream.
func inBand(e apiError) *hub.Error {
	if e.status == http.StatusBadRequest || e.status == http.StatusUnprocessableEntity {
		return e.fail(0, &StatusError{Status: e.status, Detail: e.Message, Param: e.param})
	}
	return e.fail(0, errors.New(e.Message))
}

// lenient takes what encoding/json takes of strange servers.
var lenient = fast.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsonv1.UnmarshalArrayFromAnyLength(true))

// Decode reads the event into v, whose member "error" is failed. It returns the
// error that the event is instead, if it is one.
func (e Event) Decode(v any, failed *json.RawMessage) error {
	err := fast.Unmarshal(e.Data, v, lenient)
	if err == nil && e.Name != "error" && (len(*failed) == 0 || string(*failed) == "null") {
		return nil
	}
	if parsed, ok := parseError(e.Data); ok {
		return inBand(parsed)
	}
	if e.Name == "error" {
		return Fail(hub.CodeProviderError, fmt.Errorf("an error event without an error object: %.200q", e.Data))
	}
	if err == nil { // an error member that says nothing, like ""
		return nil
	}
	return Fail(hub.CodeProviderError, fmt.Errorf("malformed chunk: %w", err))
}
