package eventlog

import (
	"encoding/json"
	"slices"
	"strings"
)

// Kind is what a delta adds to an answer.
type Kind uint8

// The kinds. They lie in logs that replicas of several versions read: none changes
// its number or its name.
const (
	Text        Kind = iota
	Reasoning        // a thought
	Call             // opens a call, or replaces it: Text is the call as JSON
	Arguments        // adds to the arguments of a call
	Notice           // tells something beside the answer: Text is the notice as JSON
	AsReasoning      // makes thoughts of the text that came before
	AsText           // makes text of the thoughts that came before
	kinds
)

var kindNames = [kinds]string{"text", "reasoning", "call", "arguments", "notice", "as_reasoning", "as_text"}

func (k Kind) String() string { return kindNames[k] }

// KindOf returns the kind of a name, false if there is none.
func KindOf(name string) (Kind, bool) {
	i := slices.Index(kindNames[:], name)
	return Kind(max(i, 0)), i >= 0
}

// Plain says whether the kind was there before there were parts: every replica can
// read it.
func (k Kind) Plain() bool { return k <= Reasoning }

// Moves says whether a delta of this kind changes what came before.
func (k Kind) Moves() bool { return k == AsReasoning || k == AsText }

// Delta is one event between the start and the finish of a stream.
type Delta struct {
	Text string
	Call string // the id of the call, for Call and Arguments
	Kind Kind
}

// A Part is a stretch of an answer of one kind: Text, Reasoning or Call.
type Part struct {
	Kind Kind
	Text []byte // empty for a call
	MS   int64  // how long a thought took, in milliseconds; 0 if it is not known
	Call []byte // the call as JSON, with all of its arguments
}

// Content is what an answer says up to an event.
type Content struct {
	Seq     int64
	Parts   []Part
	Notices [][]byte // each as JSON
}

// Of returns the texts of one kind, joined.
func (c *Content) Of(k Kind) string {
	size := 0
	for _, p := range c.Parts {
		if p.Kind == k {
			size += len(p.Text)
		}
	}
	var b strings.Builder
	b.Grow(size)
	for _, p := range c.Parts {
		if p.Kind == k {
			b.Write(p.Text)
		}
	}
	return b.String()
}

// withArguments adds to the arguments of a call. What is no call stays as it is.
func withArguments(call, more []byte) []byte {
	var fields map[string]json.RawMessage
	var arguments string
	if json.Unmarshal(call, &fields) != nil || fields == nil {
		return call
	}
	if json.Unmarshal(fields["arguments"], &arguments) != nil {
		arguments = ""
	}
	whole := AppendEscaped([]byte{'"'}, arguments)
	fields["arguments"] = append(AppendEscaped(whole, more), '"')
	out, err := json.Marshal(fields)
	if err != nil {
		return call
	}
	return out
}
