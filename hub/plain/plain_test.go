package plain

import (
	"testing"
	"unicode/utf8"
)

func TestTextsAreReadInWhatTheyWereWrittenIn(t *testing.T) {
	const want = "Größe;Preis\r\nXL;5 €\r\n"
	utf16LE, utf16BE := "", ""
	for _, r := range want {
		utf16LE += string([]byte{byte(r), byte(r >> 8)})
		utf16BE += string([]byte{byte(r >> 8), byte(r)})
	}
	for name, tt := range map[string]struct {
		data, want string
		refused    bool
	}{
		"UTF-8":                         {data: want, want: want},
		"UTF-8 with a mark":             {data: "\xef\xbb\xbf" + want, want: want},
		"Windows-1252":                  {data: "Gr\xf6\xdfe;Preis\r\nXL;5 \x80\r\n", want: want},
		"UTF-16, little end first":      {data: "\xff\xfe" + utf16LE, want: want},
		"UTF-16, big end first":         {data: "\xfe\xff" + utf16BE, want: want},
		"UTF-16 without a mark, little": {data: utf16LE, want: want},
		"UTF-16 without a mark, big":    {data: utf16BE, want: want},
		"UTF-16 with a pair":            {data: "\xff\xfe=\xd8\x00\xde", want: "😀"},
		"Chinese in UTF-16":             {data: "\xff\xfe-N\x87e,\x00", want: "中文,"},
		"one letter":                    {data: "\xe9", want: "é"},
		"half a pair":                   {data: "\xff\xfe=\xd8", refused: true},
		"an odd count in UTF-16":        {data: "\xff\xfea\x00b", refused: true},
		"a zero":                        {data: "a\x00b", refused: true},
		"a byte that is nothing":        {data: "a\x81b", refused: true},
		"a program":                     {data: "\x7fELF\x02\x01\x01\x00\x00", refused: true},
		"a PDF":                         {data: "%PDF-1.7\n\xe2\xe3\xcf\xd3\n\x01\x02", refused: true},
		"Chinese in GB 18030":           {data: "\xd6\xd0\xce\xc4\xb5\xc4\xd2\xbb\xb8\xf6\xce\xc4\xbc\xfe\xa3\xac\xca\xc7\xb1\xed", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Decode([]byte(tt.data))
			if ok == tt.refused || !tt.refused && string(got) != tt.want {
				t.Errorf("Decode = %q, %v; want %q", got, ok, tt.want)
			}
		})
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("\xff\xfea\x00"))
	f.Add([]byte("caf\xe9"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if text, ok := Decode(data); ok && !utf8.Valid(text) {
			t.Errorf("Decode(%q) = %q", data, text)
		}
	})
}

func TestCleanKeepsTextAndDropsWhatBreaksClients(t *testing.T) {
	for in, want := range map[string]string{"plain": "plain", "日本 🙂": "日本 🙂", "a\x00b": "ab", "a\xffb": "a\ufffdb", "\x00": ""} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}
