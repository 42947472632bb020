package wire

import (
	"bytes"
	"strings"
	"sync"
	"unicode"

	"github.com/omnichat/omnichat/hub"
)

// closing finds the tag that ends a model's thoughts where none has opened them, as
// happens where the server's template begins the answer with the opening tag. It counts
// alone on its line and outside of fenced code, once in an answer. Only the beginning of
// a line that may be the tag is held back.
type closing struct {
	off    bool   // no tag counts any more
	early  bool   // the model is known for it: what it says are thoughts, until the tag
	found  bool   // a tag has ended thoughts
	behind bool   // blanks behind the tag are left out
	plain  bool   // the line is neither a tag nor a fence
	line   []byte // so far, if it is not plain
	held   []byte // the end of it that was not told
	fence  []byte // of the code that is open
}

// lineMax is how many bytes of a line are looked at.
const lineMax = 256

// read takes the next of the text, and tells it in one delta, but for a tag.
func (c *closing) read(s string, t *Teller) {
	var told string
	for s != "" && !c.off {
		end := strings.IndexByte(s, '\n') + 1
		whole := end > 0
		if !whole {
			end = len(s)
		}
		piece, ended := c.take(s[:end], whole)
		told, s = told+piece, s[end:]
		if ended {
			c.say(told, t)
			told = ""
			c.end(t)
		}
	}
	c.say(told+s, t)
}

// take takes a piece of one line, with its end if it is whole. It returns what is to be
// told of it, and whether the line is the tag.
func (c *closing) take(piece string, whole bool) (told string, ended bool) {
	if !c.plain {
		c.line = append(c.line, piece...)
		start := bytes.TrimSpace(c.line)
		may, is := closes(start)
		switch may = may && len(c.fence) == 0 && len(c.line) <= lineMax; {
		case may && is && whole:
			return "", true
		case may && !whole:
			c.held = append(c.held, piece...)
			return "", false
		}
		if len(c.held) > 0 {
			piece = string(c.held) + piece
			c.held = c.held[:0]
		}
		c.plain = len(start) > 0 && start[0] != '`' && start[0] != '~' || len(c.line) > lineMax
		if whole && !c.plain {
			c.code(start)
		}
	}
	if whole {
		c.line, c.plain = c.line[:0], false
	}
	return piece, false
}

// end ends the thoughts with the tag that is held.
func (c *closing) end(t *Teller) {
	c.off, c.behind, c.held = true, true, nil
	switch {
	case c.early:
		c.early, c.found = false, true
	case t.length > 0:
		c.found = true
		t.tell(hub.Delta{Past: hub.KindReasoning})
	}
}

// rest tells what is held, since no more comes.
func (c *closing) rest(t *Teller) {
	if _, is := closes(bytes.TrimSpace(c.held)); is && len(bytes.TrimSpace(c.line)) == len(bytes.TrimSpace(c.held)) {
		c.end(t)
		return
	}
	held := string(c.held)
	c.held = nil
	c.say(held, t)
}

// say tells text, or a thought.
func (c *closing) say(s string, t *Teller) {
	if c.behind {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		c.behind = s == ""
	}
	if c.early {
		t.tell(hub.Delta{Reasoning: s})
		return
	}
	t.tell(hub.Delta{Text: s})
}

// closes says whether a line may turn out to be a closing tag, and whether it is one.
func closes(line []byte) (may, is bool) {
	for _, tag := range openings {
		n := min(len(line), len(tag[1]))
		if len(line) <= len(tag[1]) && bytes.EqualFold(line, []byte(tag[1][:n])) {
			may, is = true, is || len(line) == len(tag[1])
		}
	}
	return may, is
}

// code notes the fences of code (CommonMark, section 4.5), however far they are indented.
func (c *closing) code(line []byte) {
	n := 0
	for n < len(line) && line[n] == line[0] {
		n++
	}
	switch {
	case n < 3:
	case len(c.fence) == 0:
		if line[0] == '~' || bytes.IndexByte(line[n:], '`') < 0 {
			c.fence = append(c.fence, line[:n]...)
		}
	case line[0] == c.fence[0] && n >= len(c.fence) && n == len(line):
		c.fence = c.fence[:0]
	}
}

// unopened are the models whose thoughts have ended with a tag that nothing had opened, by
// name and path.
type unopened struct {
	mu     sync.Mutex
	models map[string]bool
}

func (u *unopened) has(model string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.models[model]
}

// note remembers what the answer of a model was like.
func (u *unopened) note(model string, c *closing) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case !c.found:
		delete(u.models, model)
	case u.models == nil || len(u.models) >= refusingMax:
		u.models = map[string]bool{model: true}
	default:
		u.models[model] = true
	}
}
