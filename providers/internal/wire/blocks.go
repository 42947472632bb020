package wire

import "strings"

// blocks is where in a Markdown text a line is: what it must know of lists and code to
// say whether the next line is code.
type blocks struct {
	lists []int // the columns where the items begin that are open
	fence byte  // that has opened the code; 0 outside of it
	size  int   // of the fence
	in    int   // the column where the item begins in which the fence is
	blank bool  // the last line is blank
}

// code says whether a line whose text begins in a column is code.
func (b *blocks) code(column int) bool {
	if b.fence != 0 && column >= b.in {
		return true
	}
	item := 0
	for _, at := range b.lists {
		if at <= column {
			item = at
		}
	}
	return b.blank && column-item >= 4
}

// read takes the next line.
func (b *blocks) read(line string) {
	column, rest := indent(line, 0)
	if strings.TrimSpace(rest) == "" {
		b.blank = true
		return
	}
	b.blank = false
	if b.fence != 0 && column >= b.in {
		if n := run(rest, b.fence); column-b.in < 4 && n >= b.size && strings.TrimSpace(rest[n:]) == "" {
			b.fence = 0
		}
		return
	}
	b.fence = 0 // the item ends, and its code with it
	for len(b.lists) > 0 && column < b.lists[len(b.lists)-1] {
		b.lists = b.lists[:len(b.lists)-1]
	}
	for {
		b.in = 0
		if n := len(b.lists); n > 0 {
			b.in = b.lists[n-1]
		}
		n := marker(rest)
		if column-b.in >= 4 || n == 0 {
			break
		}
		after, text := indent(rest[n:], column+n)
		if text == "" || after-column-n > 4 {
			after = column + n + 1
		}
		b.lists = append(b.lists, after)
		column, rest = after, text
	}
	if column-b.in >= 4 || rest == "" {
		return
	}
	if n := run(rest, rest[0]); n >= 3 && (rest[0] == '~' || rest[0] == '`' && strings.IndexByte(rest[n:], '`') < 0) {
		b.fence, b.size = rest[0], n
	}
}

// indent returns the column in which a text begins that follows blanks, and the text.
func indent(s string, column int) (int, string) {
	for i := range len(s) {
		switch s[i] {
		case ' ':
			column++
		case '\t':
			column += 4 - column%4
		default:
			return column, s[i:]
		}
	}
	return column, ""
}

// marker is the length of the mark with which an item of a list begins, 0 if none does.
func marker(s string) int {
	n := 0
	for n < len(s) && n < 9 && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	marks := "-+*"
	if n > 0 {
		marks = ".)"
	}
	if n == len(s) || strings.IndexByte(marks, s[n]) < 0 {
		return 0
	}
	if n++; n < len(s) && s[n] != ' ' && s[n] != '\t' && s[n] != '\r' {
		return 0
	}
	return n
}

// run is how often a text begins with a byte.
func run(s string, c byte) int { return len(s) - len(strings.TrimLeft(s, string(rune(c)))) }
