package wire

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// half joins texts that may be cut inside of a character: between its bytes, or
// between two surrogates, each of which is three bytes. What may go on waits in
// it for the next text; each byte that is no character is replaced, and a half that
// stays alone as one.
type half string

// join returns what is whole of the text that waits and the one that follows.
func (h *half) join(s string) string {
	if *h == "" && utf8.ValidString(s) {
		return s
	}
	s = string(*h) + s
	*h = ""
	var out strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			if r, n = surrogates(s); n == 0 {
				*h = half(s)
				break
			}
		}
		out.WriteRune(r)
		s = s[n:]
	}
	return out.String()
}

// end is what becomes of what still waits.
func (h *half) end() string {
	if *h == "" {
		return ""
	}
	*h = ""
	return string(utf8.RuneError)
}

// surrogates reads what UTF-8 does not know at the beginning of s: two surrogates
// are a character. n is 0 if it may go on.
func surrogates(s string) (r rune, n int) {
	if !utf8.FullRuneInString(s) {
		return 0, 0
	}
	if s[0] != 0xed || s[1] < 0xa0 || s[1] > 0xbf {
		return utf8.RuneError, 1
	}
	if len(s) == 2 {
		return 0, 0
	}
	if s[2]&0xc0 != 0x80 {
		return utf8.RuneError, 1
	}
	high := 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f)
	if high >= 0xdc00 {
		return utf8.RuneError, 3
	}
	switch rest := s[3:]; {
	case rest == "", rest == "\xed", len(rest) == 2 && rest[0] == 0xed && rest[1] >= 0xb0 && rest[1] <= 0xbf:
		return 0, 0
	case len(rest) >= 3 && rest[0] == 0xed && rest[1] >= 0xb0 && rest[1] <= 0xbf && rest[2]&0xc0 == 0x80:
		return utf16.DecodeRune(high, 0xd000|rune(rest[1]&0x3f)<<6|rune(rest[2]&0x3f)), 6
	}
	return utf8.RuneError, 3
}

// Whole is a text in which every half has found the other or is replaced.
func Whole(s string) string {
	var h half
	s = h.join(s)
	return s + h.end()
}
