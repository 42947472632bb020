package wire

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/omnichat/omnichat/hub"
)

// openings are the tags between which models think at the beginning of a text,
// with those that end them.
var openings = [][2]string{
	{"<think>", "</think>"}, {"<thinking>", "</thinking>"}, {"<thought>", "</thought>"}, {"<reasoning>", "</reasoning>"},
	{"<seed:think>", "</seed:think>"}, {"[THINK]", "[/THINK]"}, {"◁think▷", "◁/think▷"},
}

// opening finds thinking at the beginning of a text. Until the text itself begins,
// it holds back what may be a tag, and the blanks around one.
type opening struct {
	over   bool   // the text has begun: a tag is text from now on
	held   string // not told yet
	tag    string // that ends the thinking; "" outside of it
	inside bool   // the thinking has begun
	ended  bool   // a tag has ended: blanks after it are left out
	some   bool   // there was thinking
}

// read takes the next of the text, and tells what is known of it.
func (o *opening) read(s string, t *Teller) {
	o.held += s
	for o.held != "" && !o.over {
		if o.tag != "" && !o.think(t) || o.tag == "" && !o.begin(t) {
			return
		}
	}
}

// heldMax is how much is held back, in bytes: more blanks are text.
const heldMax = 1 << 10

// begin looks for a tag. It returns false if more is needed to tell.
func (o *opening) begin(t *Teller) (known bool) {
	start := strings.TrimLeftFunc(o.held, unicode.IsSpace)
	if o.ended {
		o.held = start
	}
	for _, tag := range openings {
		n := len(tag[0])
		switch {
		case len(start) < n && len(o.held) <= heldMax && strings.EqualFold(start, tag[0][:len(start)]):
			return false
		case len(start) >= n && strings.EqualFold(start[:n], tag[0]):
			o.tag, o.held = tag[1], start[n:]
			t.closing.off, t.closing.assumed = true, false
			t.unopened.forget(t.model)
			return true
		}
	}
	text := o.held
	o.over, o.held = true, ""
	t.closing.read(text, t)
	return true
}

// think tells what is thought up to the tag that ends it. It returns false if more
// is needed to tell.
func (o *opening) think(t *Teller) (known bool) {
	if !o.inside {
		o.held = strings.TrimLeftFunc(o.held, unicode.IsSpace)
	}
	at := indexFold(o.held, o.tag)
	ended := at >= 0
	if !ended {
		at = len(o.held) - overlap(o.held, o.tag)
	}
	thought := strings.TrimRightFunc(o.held[:at], unicode.IsSpace)
	if !ended && at-len(thought) > heldMax {
		thought = o.held[:at]
	}
	if thought != "" {
		if o.some && !o.inside {
			t.tell(hub.Delta{Reasoning: "\n\n"})
		}
		o.inside, o.some = true, true
		t.tell(hub.Delta{Reasoning: thought})
		o.held, at = o.held[len(thought):], at-len(thought)
	}
	if !ended {
		return false
	}
	o.held = o.held[at+len(o.tag):]
	o.tag, o.inside, o.ended = "", false, true
	return true
}

// end tells what was held back, since no more comes: no tag, but what it looks like.
func (o *opening) end(t *Teller) {
	held := o.held
	o.held = ""
	if o.tag != "" {
		t.tell(hub.Delta{Reasoning: strings.TrimRightFunc(held, unicode.IsSpace)})
		return
	}
	t.closing.read(held, t)
	t.closing.settle(t)
}

// indexFold finds a tag in any case.
func indexFold(s, tag string) int {
	for i := 0; i+len(tag) <= len(s); i++ {
		if s[i] == tag[0] && strings.EqualFold(s[i:i+len(tag)], tag) {
			return i
		}
	}
	return -1
}

// overlap is how many bytes at the end of s may begin a tag.
func overlap(s, tag string) int {
	for n := min(len(s), len(tag)-1); n > 0; n-- {
		if utf8.ValidString(tag[:n]) && strings.EqualFold(s[len(s)-n:], tag[:n]) {
			return n
		}
	}
	return 0
}
