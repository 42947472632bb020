package hub

import (
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// A liveLog is a stream's log as a feed has it, with what is known of the stream's
// owner. The feed's lock guards it.
type liveLog struct {
	*eventlog.Log
	id MessageID

	remote  bool      // the stream's owner is another replica
	epoch   int64     // of a remote stream
	wrote   int64     // the epoch of the owner that its newest events are of, if it is remote
	heard   time.Time // when its owner, or another reader of its log, was last heard of
	endedAt time.Time
}

func newLog(m Message) *liveLog {
	return &liveLog{id: m.ID, Log: eventlog.New(eventlog.Start{
		MessageID: string(m.ID), SessionID: string(m.SessionID), ParentID: (*string)(m.ParentID), Model: m.Model, Version: m.Added,
	})}
}

// newEndedLog is the log of a stream of which only the stored message is left.
func newEndedLog(m Message) *liveLog {
	l := newLog(m)
	l.replace(m)
	return l
}

// replace forgets the events: what is stored counts.
func (l *liveLog) replace(m Message) { l.Replace(contentOf(m), m.Seq, finishOf(m)) }

// finishOf is the finish event of a message that has ended.
func finishOf(m Message) []byte {
	var reason Reason
	if m.FinishReason != nil {
		reason = *m.FinishReason
	}
	return encode(finishEvent{
		Type: "finish", MessageID: m.ID, Seq: m.Seq, Reason: reason, Usage: m.Usage, Error: m.Error, Version: m.Version,
		Model: m.Model, ToolCalls: m.ToolCalls, Notices: m.Notices, ThinkingMS: m.ThinkingMS,
	})
}
