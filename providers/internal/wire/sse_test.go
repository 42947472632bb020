package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
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
		"end without empty line": {"data: a\n\ndata: b", []string{"a", "b"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
				reader := NewReader(r, nil)
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
	r := NewReader(io.MultiReader(strings.NewReader("data: "), bytes.NewReader(make([]byte, eventMax+1))), nil)
	if _, err := r.Next(); !errors.Is(err, errTooLong) {
		t.Errorf("Next = %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "Thu, 01 Jan 2026 00:00:30 GMT": 30 * time.Second, "Wed, 31 Dec 2025 00:00:00 GMT": 0,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("retryAfter(%q) = %s, want %s", in, got, want)
		}
	}
}

// FuzzReader holds that any bytes are read to an end, and that how they are cut
// into reads changes nothing.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"data: a\n\n", "data: {\"error\":\"x\"}\r\n\r\n", ": c\n\nevent: error\ndata: 1\n\n", "\ufeffdata:x\r\rplain"} {
		f.Add([]byte(s))
	}
	read := func(r io.Reader) (events []string, failed bool) {
		reader := NewReader(r, nil)
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
