package transport

import (
	"encoding/json"
	"errors"
	"math"
	"mime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/eventlog"
)

func TestResumeFrom(t *testing.T) {
	tests := map[string]struct {
		header, query string
		want          int64
		code          hub.Code
	}{
		"fresh client":        {want: eventlog.NoPosition},
		"SSE reconnect":       {header: "41", want: 41},
		"header beats query":  {header: "41", query: "7", want: 41},
		"query":               {query: "7", want: 7},
		"start":               {query: "0", want: 0},
		"below 0":             {query: "-1", code: hub.CodeInvalid},
		"larger than any seq": {header: "99999999999999999999", code: hub.CodeInvalid},
		"no number":           {header: "x", code: hub.CodeInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := resumeFrom(tt.header, tt.query)
			if got != tt.want || hub.CodeOf(err) != tt.code {
				t.Errorf("resumeFrom = %d, %v; want %d, code %q", got, err, tt.want, tt.code)
			}
		})
	}
}

func TestAccepts(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": false, "br": true, "gzip, br": true, "BR;q=1": true, "br;q=0": false, "gzip;q=0, br;q=0": false, "br;q=0.001": true,
		"br ; q=0.0": false, "*": true, "*;q=0": false, "*, br;q=0": false, "*;q=0, br": true, "brotli": false, "identity": false, "br;q=x": false,
	} {
		if got := accepts(header, "br"); got != want {
			t.Errorf("accepts(%q, br) = %v", header, got)
		}
	}
}

func FuzzResumeFrom(f *testing.F) {
	f.Add("41", "")
	f.Add("", "-9223372036854775808")
	f.Fuzz(func(t *testing.T, header, query string) {
		n, err := resumeFrom(header, query)
		if err == nil && (n < 0 && n != eventlog.NoPosition || n == math.MaxInt64) {
			t.Errorf("resumeFrom(%q, %q) = %d", header, query, n)
		}
	})
}

func TestProblemOfACommandNamesItsField(t *testing.T) {
	for in, want := range map[string]string{
		`{"type":"send","content":5}`:                     "content",
		`{"type":"send","content":"x","attachments":[5]}`: "attachments",
		`{"type":"send","attachments":{"a":[]}}`:          "attachments",
		`{"type":"send","max_tokens":"many"}`:             "max_tokens",
		`{"type":"subscribe","positions":{"a":"b"}}`:      "positions",
		`{"type":"stop","attachments":[]}`:                "attachments",
		`{"type":7}`:                                      "type",
	} {
		_, err := parseCommand([]byte(in))
		var e *hub.Error
		if !errors.As(err, &e) || e.Code != hub.CodeInvalid || e.Field != want || strings.Contains(e.Msg, "Body") {
			t.Errorf("%s: %v, want the field %s", in, err, want)
		}
	}
}

// TestMadeUpNamesAreCut keeps an answer small, however long the name that it
// refuses.
func TestMadeUpNamesAreCut(t *testing.T) {
	_, err := parseCommand([]byte(`{"type":"ping","` + strings.Repeat("é", 1<<19) + `":1}`))
	var e *hub.Error
	if !errors.As(err, &e) || !strings.HasPrefix(e.Field, "éé") || !utf8.ValidString(e.Field) || len(e.Error()) > 1000 {
		t.Errorf("%T of %d bytes", err, len(err.Error()))
	}
}

func TestDisposition(t *testing.T) {
	for _, name := range []string{"cat.png", "a b+c.txt", `"; filename=x`, "Übung 日本.txt", "50%'*(1).txt", "a\r\nb", "", "\u202egnp.exe"} {
		h := disposition(name)
		for _, c := range h {
			if c < ' ' || c > '~' {
				t.Errorf("%q: a header %q", name, h)
			}
		}
		kind, params, err := mime.ParseMediaType(h)
		if err != nil || kind != "inline" || params["filename"] != name || len(params) > 1 {
			t.Errorf("%q became %s: %s, %v, %v", name, h, kind, params, err)
		}
	}
}

// FuzzParseCommand holds that whatever a client sends is a command of a known
// type or an error that a client may see.
func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{
		`{"type":"auth","token":"x"}`, `{"type":"subscribe","ref":1,"session_id":"x","positions":{"a":1}}`,
		`{"type":"send","ref":3,"content":"hi","parent_id":null}`, `{"type":"ping"}`, `[`, `{"type":"\u0000"}`, "{\"type\":\"ping\"}\v",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		cmd, err := parseCommand(in)
		if err != nil {
			if hub.CodeOf(err) != hub.CodeInvalid {
				t.Errorf("parseCommand: %v", err)
			}
			return
		}
		if fields[cmd.Type] == nil {
			t.Errorf("type %q", cmd.Type)
		}
		if _, err := cmd.question(); err != nil && hub.CodeOf(err) != hub.CodeInvalid {
			t.Errorf("question: %v", err)
		}
	})
}

// FuzzDecode holds that what is accepted is valid JSON without U+0000.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"content":"x"}`, `{"content":"\u0000"}`, `{"a":{"b":[1,"c"]}}`, `{"content":"x"}{}`, "\xff", `{"content":"a","content":"b"}`, "{}\v"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var b askBody
		if err := decode(in, &b); err != nil {
			if hub.CodeOf(err) != hub.CodeInvalid {
				t.Errorf("decode: %v", err)
			}
			return
		}
		if !json.Valid(in) || b.Content != nil && strings.ContainsRune(*b.Content, 0) {
			t.Errorf("%q was accepted", in)
		}
	})
}
