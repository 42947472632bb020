package wire

import (
	"bytes"
	"strings"
	"sync"
	"unicode"

	"github.com/omnichat/omnichat/hub"
)

// closing finds the end of thinking that no tag has opened: many templates put the
// opening tag into the prompt, so that an answer has the closing one alone. It counts
// on a line of its own, outside of code, and once in an answer: what came before it
// was thinking. A text waits only while its last line may become that tag.
type closing struct {
	off     bool // nothing is looked for: a tag is text
	assumed bool // the model's last answer was such a one, so this one begins as thinking
	found   bool // the tag has come, and blanks after it are left out
	some    bool // something of the text was told

	held  string // not told yet: a line that may be the tag, and blank lines that begin the text
	line  []byte // of the line that is being told, as much as is needed of it
	long  bool   // the line has lost its beginning
	lines blocks
}

// lineMax is how much of a line is looked at, in bytes.
const lineMax = heldMax

// read takes the next of the text, and tells what is known of it.
func (c *closing) read(s string, t *Teller) {
	if c.found {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		c.off, c.found = s != "", s == ""
	}
	if c.off || c.found {
		t.tell(hub.Delta{Text: s})
		return
	}
	s = c.held + s
	c.held = ""
	for at := 0; !c.off; {
		begins := len(c.line) == 0
		n := strings.IndexByte(s[at:], '\n')
		if n < 0 {
			c.add(s[at:])
			if begins && c.may(s[at:]) {
				if !c.blank(s[:at]) {
					c.tell(s[:at], t)
					s = s[at:]
				}
				c.held, c.line = s, c.line[:0]
				return
			}
			break
		}
		line := s[at : at+n]
		c.add(line)
		if begins && isClosing(line) && c.may(line) {
			c.find(s[:at], t)
			c.read(s[at+n+1:], t)
			return
		}
		c.learn()
		c.line, c.long = c.line[:0], false
		at += n + 1
	}
	c.tell(s, t)
}

// blank says whether a text is nothing but the blanks at the beginning of an answer.
func (c *closing) blank(s string) bool {
	return !c.some && len(s) <= heldMax && strings.TrimSpace(s) == ""
}

// find tells what stands before the tag, and that all of it was thinking.
func (c *closing) find(before string, t *Teller) {
	if !c.blank(before) {
		c.tell(before, t)
	}
	if !c.assumed && c.some {
		t.tell(hub.Delta{Past: hub.KindReasoning})
	}
	c.found, c.assumed = true, false
	t.unopened.remember(t.model)
}

// tell tells some of the text, as what it is taken for.
func (c *closing) tell(s string, t *Teller) {
	c.some = c.some || s != ""
	if c.assumed {
		t.tell(hub.Delta{Reasoning: s})
		return
	}
	t.tell(hub.Delta{Text: s})
}

// settle tells what was held back, since the text ends, or something interrupts it.
func (c *closing) settle(t *Teller) {
	if c.held == "" {
		return
	}
	held := c.held
	c.held = ""
	at := strings.LastIndexByte(held, '\n') + 1
	if isClosing(held[at:]) {
		c.find(held[:at], t)
		return
	}
	c.add(held[at:])
	c.tell(held, t)
}

// stop ends the search: what was taken for thinking was text, since the answer has
// ended without the tag, or the vendor tells thinking in a field of its own.
func (c *closing) stop(t *Teller) {
	if c.off || c.found {
		return
	}
	c.tell(c.held, t)
	c.held = ""
	if c.assumed && c.some {
		t.tell(hub.Delta{Past: hub.KindText})
		t.unopened.forget(t.model)
	}
	c.off, c.assumed = true, false
}

// add takes more of the line that is being told. Of one that is long, its end is kept,
// which may begin a tag.
func (c *closing) add(s string) {
	for len(c.line)+len(s) >= lineMax {
		n := lineMax - len(c.line)
		c.line = append(c.line, s[:n]...)
		s = s[n:]
		c.learn()
		c.long = true
		c.line = append(c.line[:0], c.line[lineMax-tagMax:]...)
	}
	c.line = append(c.line, s...)
}

// tagMax is more than the length of every tag, in bytes.
const tagMax = 16

// learn reads the line for what it says of those that follow: after a tag that opens,
// one that closes is text.
func (c *closing) learn() {
	inside := c.lines.fence != 0
	if !c.long {
		c.lines.read(string(c.line))
	}
	if c.assumed || inside || c.lines.fence != 0 || bytes.IndexByte(c.line, '<') < 0 && bytes.IndexByte(c.line, '[') < 0 && !bytes.Contains(c.line, []byte("◁")) {
		return
	}
	line := string(c.line)
	for _, tag := range openings {
		c.off = c.off || indexFold(line, tag[0]) >= 0
	}
}

// may says whether a line that begins so may be the tag.
func (c *closing) may(line string) bool {
	if column, _ := indent(line, 0); c.long || c.lines.code(column) {
		return false
	}
	line = strings.TrimLeftFunc(line, unicode.IsSpace)
	for _, tag := range openings {
		if n := len(line); n < len(tag[1]) && strings.EqualFold(line, tag[1][:n]) {
			return true
		}
	}
	return isClosing(line)
}

// isClosing says whether a line is nothing but a tag that ends thinking.
func isClosing(line string) bool {
	line = strings.TrimSpace(line)
	for _, tag := range openings {
		if strings.EqualFold(line, tag[1]) {
			return true
		}
	}
	return false
}

// unopened are the models whose last answers had the closing tag alone, by their names
// and paths. Nil remembers none.
type unopened struct {
	mu     sync.Mutex
	models map[string]bool
}

func (u *unopened) has(model string) bool {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.models[model]
}

func (u *unopened) remember(model string) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.models == nil || !u.models[model] && len(u.models) >= refusingMax {
		u.models = map[string]bool{}
	}
	u.models[model] = true
}

func (u *unopened) forget(model string) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.models, model)
}
