package hub

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
	"github.com/omnichat/omnichat/hub/plain"
)

// callsMax is how many tools a model may call in one round.
const callsMax = 1000

// calling is the calls of an answer, as its model writes them. It is for one goroutine.
type calling struct {
	st    *stream
	shown bool    // they are events of the stream; else they are told with its end
	all   []*Call // of all rounds
	round []*Call // those of this round, as the provider counts them; nil where it said nothing yet
}

// begin begins another round.
func (c *calling) begin() { c.round = nil }

// write adds to what the model has written of a call. It returns false if the answer has
// no room for it.
func (c *calling) write(d ToolDelta) bool {
	if d.Index < 0 || d.Index > callsMax {
		return true
	}
	for len(c.round) <= d.Index {
		c.round = append(c.round, nil)
	}
	call := c.round[d.Index]
	if call == nil {
		call = &Call{Status: CallWriting}
		c.round[d.Index] = call
	}
	arguments := plain.Clean(d.Arguments)
	call.Arguments += arguments
	if !call.StartedAt.IsZero() {
		return c.extend(call, arguments)
	}
	// Some servers repeat both with each piece.
	call.ID, call.Tool = cmp.Or(call.ID, plain.Clean(d.ID)), cmp.Or(call.Tool, plain.Clean(d.Name))
	if call.Tool == "" { // they wait for the name
		return c.st.keep(len(arguments))
	}
	return c.open(call)
}

// open shows a call for the first time.
func (c *calling) open(call *Call) bool {
	id := cmp.Or(call.ID, "call_"+strconv.Itoa(len(c.all)+1))
	for n := 2; slices.ContainsFunc(c.all, func(o *Call) bool { return o.ID == id }); n++ {
		id = cmp.Or(call.ID, "call") + "_" + strconv.Itoa(n)
	}
	call.ID, call.StartedAt = id, time.Now().UTC().Truncate(time.Millisecond)
	c.all = append(c.all, call)
	if !c.shown || call.Arguments == "" {
		return c.show(call)
	}
	empty := *call // the arguments are events of their own, so that their bytes have places
	empty.Arguments = ""
	return c.st.push(callDelta(&empty), eventlog.Delta{Kind: eventlog.Arguments, Call: call.ID, Text: call.Arguments})
}

// extend shows more of a call's arguments.
func (c *calling) extend(call *Call, arguments string) bool {
	if !c.shown {
		return c.st.keep(len(arguments))
	}
	return arguments == "" || c.st.push(eventlog.Delta{Kind: eventlog.Arguments, Call: call.ID, Text: arguments})
}

// show has everyone see a call as it is now.
func (c *calling) show(call *Call) bool {
	if !c.shown {
		return c.st.keep(len(call.ID) + len(call.Tool) + len(call.Arguments))
	}
	return c.st.push(callDelta(call))
}

func callDelta(call *Call) eventlog.Delta {
	return eventlog.Delta{Kind: eventlog.Call, Call: call.ID, Text: string(encode(call))}
}

// written ends what the model writes in a round, and returns its calls.
func (c *calling) written() (calls []*Call) {
	for _, call := range c.round {
		if call == nil || call.Tool == "" && call.Arguments == "" {
			continue
		}
		if call.StartedAt.IsZero() && !c.open(call) {
			break
		}
		calls = append(calls, call)
	}
	return calls
}

// endCalls ends the calls among parts that go no further, as their answer has ended, and
// returns them.
func endCalls(parts []Part, why Reason) (ended []*Call) {
	at := time.Now().UTC().Truncate(time.Millisecond)
	for _, p := range parts {
		c := p.Call
		if c == nil || c.ended() {
			continue
		}
		switch {
		case c.Status == CallRunning && why == ReasonInterrupted:
			c.Status = CallUnknown
		case why == ReasonToolCalls || why == ReasonStop:
			c.Status, c.Error = CallFailed, noSuchTool
		default:
			c.Status, c.Error = CallFailed, &Failure{Code: CodeCallCut, Detail: "The answer ended before this call did."}
		}
		c.Wait, c.EndedAt = nil, &at
		ended = append(ended, c)
	}
	return ended
}
