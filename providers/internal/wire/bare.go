package wire

import (
	"errors"
	"io"

	"github.com/omnichat/omnichat/hub"
)

// bare is where a reader is in JSON that comes without the fields of an event: one
// object, several, or a list of them, each of which is an event.
type bare struct {
	open   bool   // more of the line, or of a list, is to be read
	list   bool   // inside of a list
	rest   []byte // of the line that is being read
	depth  int    // of brackets in the object that is being read; 0 between two
	text   bool   // inside of a string
	escape bool   // after a backslash in it
}

// json reads the next object into the reader's data, and says whether there was
// one more.
func (r *Reader) json() (some bool, err error) {
	b := &r.bare
	for {
		some, err := r.object()
		if some || err != nil {
			return some, err
		}
		if b.depth == 0 && !b.list {
			b.open = false
			return false, nil
		}
		line, err := r.line()
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			b.rest = append(append(b.rest[:0], '\n'), line...)
		case errors.Is(err, io.EOF) && b.depth > 0:
			return false, Fail(hub.CodeProviderTruncated, errors.New("JSON that breaks off"))
		default:
			return false, err
		}
	}
}

// object reads on in the rest of a line, and says whether an object is whole.
func (r *Reader) object() (whole bool, err error) {
	b := &r.bare
	for i, c := range b.rest {
		switch {
		case b.depth == 0 && c != '{':
			switch c {
			case ' ', '\t', '\r', '\n', ',':
			case '[':
				b.list = true
			case ']':
				b.list = false
			default:
				return false, text(b.rest[i:])
			}
			continue
		case b.text:
			switch {
			case b.escape:
				b.escape = false
			case c == '\\':
				b.escape = true
			case c == '"':
				b.text = false
			}
		case c == '"':
			b.text = true
		case c == '{', c == '[':
			b.depth++
		case c == '}', c == ']':
			b.depth--
		}
		if r.data = append(r.data, c); len(r.data) > eventMax {
			return false, errTooLong
		}
		if b.depth == 0 {
			b.rest = b.rest[i+1:]
			return true, nil
		}
	}
	b.rest = nil
	return false, r.hold()
}
