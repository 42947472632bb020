package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/omnichat/omnichat/hub"
)

func TestReaderFollowsTheSpecification(t *testing.T) {
	tests := map[string]struct {
		in   string
		want []string
	}{
		"LF":                     {"data: a\n\ndata: b\n\n", []string{"a", "b"}},
		"CRLF":                   {"data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}},
		"CR":                     {"data: a\r\rdata: b\r\r", []string{"a", "b"}},
		"byte order mark":        {"\ufeffdata: a\n\n", []string{"a"}},
		"no space":               {"data:a\n\n", []string{"a"}},
		"two spaces":             {"data:  a\n\n", []string{" a"}},
		"several lines":          {"data: a\ndata: b\n\n", []string{"a\nb"}},
		"comments and ids":       {": x\nid: 1\nretry: 5\ndata: a\n\n", []string{"a"}},
		"no data is no event":    {"event: x\n\ndata: a\n\n", []string{"a"}},
		"CR and LF in turns":     {"data: a\r\rdata: b\n\ndata: c\r\n\r\n", []string{"a", "b", "c"}},
		"a line over many reads": {"data: " + strings.Repeat("x", 9000) + "\n\n", []string{strings.Repeat("x", 9000)}},
		"end without empty line": {"data: a\n\ndata: b", []string{"a", "b"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
				reader := NewReader(r)
				for _, want := range tt.want {
					e, err := reader.Next()
					if err != nil || string(e.Data) != want {
						t.Fatalf("Next = %q, %v; want %q", e.Data, err, want)
					}
				}
				if _, err := reader.Next(); !errors.Is(err, io.EOF) {
					t.Errorf("at the end: %v", err)
				}
			}
		})
	}
}

func TestReaderRefusesEndlessEvents(t *testing.T) {
	r := NewReader(io.MultiReader(strings.NewReader("data: "), bytes.NewReader(make([]byte, eventMax+1))))
	if _, err := r.Next(); !errors.Is(err, errTooLong) {
		t.Errorf("Next = %v", err)
	}
}

// FuzzReader holds that any bytes are read to an end, and that how they are cut
// into reads changes nothing.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"data: a\n\n", "data: {\"error\":\"x\"}\r\n\r\n", ": c\n\nevent: error\ndata: 1\n\n", "\ufeffdata:x\r\rplain"} {
		f.Add([]byte(s))
	}
	read := func(r io.Reader) (events []string, failed bool) {
		reader := NewReader(r)
		for {
			e, err := reader.Next()
			if err != nil {
				return events, !errors.Is(err, io.EOF)
			}
			events = append(events, e.Name+"\x00"+string(e.Data))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, failed := read(bytes.NewReader(in))
		parts, failedToo := read(iotest.OneByteReader(bytes.NewReader(in)))
		if strings.Join(whole, "\x01") != strings.Join(parts, "\x01") || failed != failedToo {
			t.Errorf("whole: %q %v; in parts: %q %v", whole, failed, parts, failedToo)
		}
	})
}

// What an error event says is what its server said, whatever is around it.
func TestErrorEventsSayWhatTheServerSaid(t *testing.T) {
	for _, in := range []string{
		"error: {\"code\":400,\"message\":\"it exceeds the available context size\",\"type\":\"exceed_context_size_error\"}\n\n",
		"event: error\ndata: {\"error\":{\"message\":\"it exceeds the available context size\"}}\n\n",
		"data: {\"error\":\"it exceeds the available context size\"}\n\n",
		"{\"error\":{\"message\":\"it exceeds the available context size\"}}",
	} {
		var v struct{ Head }
		e, err := NewReader(strings.NewReader(in)).Next()
		if err == nil {
			err = e.Decode(&v, &v.Head)
		}
		var told *hub.Error
		if !errors.As(err, &told) || told.Code != hub.CodeContextLength || told.Said != "it exceeds the available context size" {
			t.Errorf("%q: %#v", in, err)
		}
	}
}
