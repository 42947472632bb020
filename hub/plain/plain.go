// Package plain makes plain text of outside bytes: of files in several encodings, and
// of what providers and people send.
package plain

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// windows1252 is what the bytes 0x80 to 0x9f stand for there; 0: nothing.
var windows1252 = [32]rune{
	'€', 0, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0, 'Ž', 0,
	0, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0, 'ž', 'Ÿ',
}

// Decode reads a text in UTF-8, in UTF-16 or in Windows-1252, which is what
// spreadsheets write, and returns it in UTF-8 without a byte order mark. It
// says false of what is no text.
func Decode(data []byte) ([]byte, bool) {
	if rest, ok := bytes.CutPrefix(data, []byte("\xef\xbb\xbf")); ok {
		data = rest
	}
	if utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 {
		return data, true
	}
	if len(data) >= 2 {
		switch string(data[:2]) {
		case "\xff\xfe":
			return fromUTF16(data[2:], binary.LittleEndian)
		case "\xfe\xff":
			return fromUTF16(data[2:], binary.BigEndian)
		}
	}
	if bytes.IndexByte(data, 0) < 0 {
		return from1252(data)
	}
	// Without a mark, the zeros of Latin letters, spaces and line ends tell the order.
	var zeros [2]int
	for i, b := range data {
		if b == 0 {
			zeros[i%2]++
		}
	}
	switch most := len(data) / 4; { // half of all characters
	case zeros[0] == 0 && zeros[1] > most:
		return fromUTF16(data, binary.LittleEndian)
	case zeros[1] == 0 && zeros[0] > most:
		return fromUTF16(data, binary.BigEndian)
	}
	return nil, false
}

func fromUTF16(data []byte, order binary.ByteOrder) ([]byte, bool) {
	if len(data)%2 != 0 {
		return nil, false
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	out := make([]byte, 0, len(data))
	for i := 0; i < len(units); i++ {
		r := rune(units[i])
		if utf16.IsSurrogate(r) {
			if i+1 == len(units) {
				return nil, false
			}
			i++
			r = utf16.DecodeRune(r, rune(units[i]))
		}
		if r == unicode.ReplacementChar && utf16.IsSurrogate(rune(units[i])) || !written(r) || r&0xfffe == 0xfffe {
			return nil, false
		}
		out = utf8.AppendRune(out, r)
	}
	return out, true
}

// from1252 takes bytes for Windows-1252, unless they are mostly letters that
// its languages use rarely: then they are another encoding's, of which nothing
// tells which one.
func from1252(data []byte) ([]byte, bool) {
	out := make([]byte, 0, len(data)+len(data)/8)
	high := 0
	for i, b := range data {
		r := rune(b)
		if b == 0xff && i+1 == len(data) { // no word of these languages ends with it
			return nil, false
		}
		if b >= 0x80 {
			high++
			if b < 0xa0 {
				r = windows1252[b-0x80]
			}
		}
		if !written(r) {
			return nil, false
		}
		out = utf8.AppendRune(out, r)
	}
	return out, high <= 16 || high*3 <= len(data)
}

// written says whether a text may have r: a control character is a sign of
// something else.
func written(r rune) bool {
	return r >= ' ' && r != 0x7f || r == '\t' || r == '\n' || r == '\r' || r == '\f'
}

// Clean makes text fit for every database and every client: valid UTF-8
// without U+0000. Nearly all text comes back as it is.
func Clean(s string) string {
	ok := utf8.ValidString(s)
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] != 0
	}
	if ok {
		return s
	}
	out := make([]rune, 0, len(s))
	for _, r := range s { // a broken byte ranges as U+FFFD
		if r != 0 {
			out = append(out, r)
		}
	}
	return string(out)
}

// Size is a number of bytes in words, such as 20 MiB.
func Size(n int64) string {
	switch {
	case n >= 1<<30:
		return strings.TrimSuffix(strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64), ".0") + " GiB"
	case n >= 1<<20:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	case n >= 1<<10:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
