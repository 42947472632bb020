package wire

import (
	"bytes"
	"unicode/utf8"
)

// Same knows events again that differ from an earlier one in one string alone,
// as nearly all events of an answer do. Such an event says what the earlier one
// said, with that string: it needs no decoding, which costs ten times as much.
type Same struct {
	name         string
	before       []byte // the string, with its quote
	after        []byte
	missed       int
	learned, off bool
}

// missesMax is how many events in a row may be unlike the one before, until a
// stream is taken for one whose events all differ.
const missesMax = 8

// Learn takes an event as the pattern, of which value was decoded, the value of
// the member key. If it is not plain where in the event that is, there is none.
func (s *Same) Learn(e Event, key, value string) {
	if s.missed++; s.off || s.missed > missesMax {
		s.off, s.learned = true, false
		return
	}
	member := `"` + key + `":"` + value + `"`
	i := bytes.Index(e.Data, []byte(member))
	if s.learned = i >= 0 && literal([]byte(value)) && bytes.Count(e.Data, []byte(member)) == 1; !s.learned {
		return
	}
	s.name = e.Name
	s.before = append(s.before[:0], e.Data[:i+len(member)-len(value)-1]...)
	s.after = append(s.after[:0], e.Data[i+len(member)-1:]...)
}

// Match returns the string that the event has in place of the one learned.
func (s *Same) Match(e Event) (string, bool) {
	if !s.learned || e.Name != s.name || len(e.Data) < len(s.before)+len(s.after) ||
		!bytes.HasPrefix(e.Data, s.before) || !bytes.HasSuffix(e.Data, s.after) {
		return "", false
	}
	value := e.Data[len(s.before) : len(e.Data)-len(s.after)]
	if !literal(value) {
		return "", false
	}
	s.missed = 0
	return string(value), true
}

// literal says that text stands in JSON as it is.
func literal(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return utf8.Valid(text)
}
