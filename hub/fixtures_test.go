package hub

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

var update = flag.Bool("update", false, "write testdata/events anew")

// fixture is events as a client receives them, and what it has afterwards. The page's tests
// read the same files.
type fixture struct {
	About  string            `json:"about"`
	Events []json.RawMessage `json:"events"`
	After  *after            `json:"after,omitempty"` // of a stream's events
}

type after struct {
	Seq       int64    `json:"seq"`
	Text      string   `json:"text"`
	Reasoning string   `json:"reasoning"`
	Parts     []Part   `json:"parts"`
	Notices   []Notice `json:"notices"`
	Ended     bool     `json:"ended"`
}

// The ids and the moment of all fixtures.
const (
	fixtureAnswer   = MessageID("01940000-0000-7000-8000-00000000000a")
	fixtureQuestion = MessageID("01940000-0000-7000-8000-00000000000b")
	fixtureSession  = SessionID("01940000-0000-7000-8000-00000000000c")
	fixtureUser     = UserID("01940000-0000-7000-8000-00000000000d")
)

var fixtureAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fixtureScripts are answers, as their streams have them.
func fixtureScripts() map[string][]eventlog.Delta {
	text := func(s string) eventlog.Delta { return eventlog.Delta{Text: s} }
	think := func(s string) eventlog.Delta { return eventlog.Delta{Kind: eventlog.Reasoning, Text: s} }
	arguments := func(id, s string) eventlog.Delta {
		return eventlog.Delta{Kind: eventlog.Arguments, Call: id, Text: s}
	}
	notice := func(n Notice) eventlog.Delta {
		return eventlog.Delta{Kind: eventlog.Notice, Text: string(encode(n))}
	}
	one := Call{ID: "call_1", Tool: "weather.now", Title: "Weather", Status: CallWriting, StartedAt: fixtureAt}
	running, done := one, one
	running.Arguments, running.Status = `{"city":"Oslo"}`, CallRunning
	done.Arguments, done.Status, done.EndedAt = running.Arguments, CallDone, &fixtureAt
	done.Result = &CallResult{Text: "7 °C", Bytes: 5, Files: []File{}}
	two := Call{ID: "call_2", Tool: "news.latest", Status: CallWriting, StartedAt: fixtureAt}
	failed := two
	failed.Status, failed.Error, failed.EndedAt = CallFailed, noSuchTool, &fixtureAt
	address := "https://weather.example/login"
	waiting := running
	waiting.Status, waiting.Wait = CallWaiting, &Wait{For: "sign_in", Text: "Sign in to see the weather.", URL: &address}
	return map[string][]eventlog.Delta{
		"text":      {text("Hel"), text("lo,\n\"world\" "), text("🙂")},
		"reasoning": {think("Let me "), think("think."), text("An"), text("swer.")},
		"parts":     {think("First."), text("One "), think("Again."), text("two "), text("three.")},
		"calls": {
			think("Which city?"), text("Let me look. "), callDelta(&one), arguments("call_1", `{"city":`), arguments("call_1", `"Oslo"}`),
			callDelta(&two), callDelta(&running), callDelta(&done), callDelta(&failed), text("It is "), text("7 °C."),
		},
		"waiting": {text("One moment. "), callDelta(&one), arguments("call_1", `{"city":"Oslo"}`), callDelta(&waiting), callDelta(&running), callDelta(&done), text("Done.")},
		"notices": {notice(Notice{Code: NoticeFallback, Detail: "a/x did not answer (It is busy.) b/y was asked instead."}), text("He"), notice(Notice{Code: NoticeContextCut, Detail: "Its oldest message does not count."}), text("re.")},
		"moved":   {text("I wonder"), text(" whether."), {Kind: eventlog.AsReasoning}, text("Yes, "), text("it does.")},
		"back":    {think("It is "), think("so."), {Kind: eventlog.AsText}},
	}
}

// afterOf is what a client has of a log.
func afterOf(l *eventlog.Log) *after {
	said, notices := saidIn(l.Content())
	if notices == nil {
		notices = []Notice{}
	}
	return &after{Seq: l.Last(), Text: said.Content, Reasoning: said.Reasoning, Parts: said.Parts, Notices: notices, Ended: l.Ended()}
}

// fixtures makes the events that are kept, by their files' names.
func fixtures() map[string]fixture {
	out := map[string]fixture{}
	add := func(name, about string, events []json.RawMessage, a *after) {
		out[name] = fixture{About: about, Events: events, After: a}
	}
	parent := fixtureQuestion
	m := Message{ID: fixtureAnswer, SessionID: fixtureSession, ParentID: &parent, Role: RoleOfAssistant, Status: StatusStreaming, Model: "demo/demo", Version: 3, Added: 3, CreatedAt: fixtureAt, Files: []File{}}
	for name, script := range fixtureScripts() {
		l, live, late, pos := newLog(m), []json.RawMessage(nil), []json.RawMessage(nil), eventlog.FromStart
		take := func(from int64, merge bool) (events []json.RawMessage, to int64) {
			for to = from; to < l.Last(); {
				p, next := l.Take(eventlog.Lines, to, l.Last(), merge)
				for line := range bytes.Lines(p.Append(nil, eventlog.Lines)) {
					events = append(events, json.RawMessage(bytes.TrimSuffix(line, []byte("\n"))))
				}
				p.Done()
				to = next
			}
			return events, to
		}
		follow := func() {
			var events []json.RawMessage
			events, pos = take(pos, false)
			live = append(live, events...)
		}
		_, _ = take(eventlog.NoPosition, false)
		var lateAt int64
		for i, d := range script {
			if follow(); i == len(script)/2 {
				late, lateAt = take(eventlog.NoPosition, false)
			}
			l.Append(d)
		}
		follow()
		end := AnswerEnd{Session: m.SessionID, ID: m.ID, Epoch: 1, Seq: l.Last() + 1, Reason: ReasonStop, Usage: &Usage{InputTokens: 10, OutputTokens: 5}}
		end.Said, end.Notices = saidIn(l.Content())
		l.End(encode(end.finish(m.Model, 4)))
		follow()
		rest, _ := take(lateAt, false)
		merged, _ := take(eventlog.FromStart, true)
		all, _ := take(eventlog.NoPosition, false)
		add(name+"-live", "Every event of an answer, one by one.", live, afterOf(l.Log))
		add(name+"-late", "A client that came in the middle: a snapshot, and then every event.", append(late, rest...), afterOf(l.Log))
		add(name+"-behind", "A client that was behind: merged deltas, none across the border of a part.", merged, afterOf(l.Log))
		add(name+"-ended", "A client that came after the end: a snapshot and the finish.", all, afterOf(l.Log))
	}
	money := Dollars(0.25)
	finish := func(e AnswerEnd) json.RawMessage {
		e.ID, e.Seq = fixtureAnswer, 9
		return encode(e.finish(m.Model, 4))
	}
	question := Message{
		ID: fixtureQuestion, SessionID: fixtureSession, Role: RoleOfUser, Content: "How warm is it?", Status: StatusComplete, Version: 2, CreatedAt: fixtureAt, FinishedAt: &fixtureAt,
		Files: []File{{ID: "01940000-0000-7000-8000-00000000000e", Name: "map.png", MediaType: "image/png", Size: 4}},
	}
	answer := m
	answer.Status, answer.FinishReason, answer.FinishedAt, answer.Version, answer.Seq, answer.Provider = StatusComplete, new(ReasonStop), &fixtureAt, 4, 12, "demo"
	l := newLog(m)
	for _, d := range fixtureScripts()["calls"] {
		l.Append(d)
	}
	said, _ := saidIn(l.Content())
	answer.say(said)
	answer.Usage, answer.ThinkingMS = &Usage{InputTokens: 10, OutputTokens: 5, CachedTokens: 2, ReasoningTokens: 1, Cost: &money}, 1200
	answer.Parts[0].MS = 1200
	session := Session{ID: fixtureSession, Title: "How warm is it?", Model: "demo/demo", Version: 4, CreatedAt: fixtureAt, UpdatedAt: fixtureAt}
	for name, event := range map[string]any{
		"message":         messageEvent{Type: "message", Version: 2, Message: question},
		"message-answer":  messageEvent{Type: "message", Version: 4, Message: answer},
		"message_deleted": messageDeletedEvent{Type: "message_deleted", Version: 5, SessionID: fixtureSession, MessageID: fixtureAnswer},
		"session":         sessionEvent{Type: "session", UserVersion: 7, Session: session},
		"session_deleted": sessionDeletedEvent{Type: "session_deleted", UserVersion: 8, SessionID: fixtureSession},
		"presence":        presenceEvent{Type: "presence", SessionID: fixtureSession, Viewers: 3},
		"version-session": versionEvent{Type: "version", SessionID: fixtureSession, Version: 9},
		"version-user":    versionEvent{Type: "version", UserID: fixtureUser, Version: 10},
		"ready":           readyEvent{Type: "ready", UserID: fixtureUser, UserVersion: 6},
		"ack-subscribe":   ackEvent{Type: "ack", Ref: 1, Version: 4},
		"ack-send":        ackEvent{Type: "ack", Ref: 3, SessionID: fixtureSession, MessageID: fixtureQuestion, AnswerID: fixtureAnswer},
		"error":           errorEvent{Type: "error", Ref: 2, Code: CodeNotFound, Detail: "no such session"},
		"notice":          noticeEvent{Type: "notice", MessageID: fixtureAnswer, SessionID: fixtureSession, Notice: Loading},
		"pong":            json.RawMessage(`{"type":"pong"}`),
		"finish-error":    finish(AnswerEnd{Reason: ReasonError, Error: &Failure{Code: CodeProviderRateLimit, Detail: "The provider is busy.", RetryAfter: 7}}),
		"finish-stopped":  finish(AnswerEnd{Reason: ReasonStopped, Usage: &Usage{InputTokens: 10, OutputTokens: 5, Estimated: true}}),
		"finish-fallback": finish(AnswerEnd{Reason: ReasonLength, Model: "b/y", Notices: []Notice{{Code: NoticeFallback, Detail: "b/y was asked instead."}}, ThinkingMS: 7}),
	} {
		add("event-"+name, "One event.", []json.RawMessage{encode(event)}, nil)
	}
	return out
}

// TestEventsAreThoseOfTheFixtures holds every event that the hub sends against the files
// that the page's tests read.
func TestEventsAreThoseOfTheFixtures(t *testing.T) {
	dir := filepath.Join("testdata", "events")
	all := fixtures()
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for name, f := range all {
		names = append(names, name+".json")
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "\t")
		if err := e.Encode(f); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".json")
		if *update {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, b.Bytes()) {
			t.Errorf("%s is not what the hub sends (%v); if that is meant: go test ./hub -run TestEventsAreThoseOfTheFixtures -update", path, err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains(names, f.Name()) {
			t.Errorf("%s is of no event", f.Name())
		}
	}
}

// TestFixturesLeadWhereTheySay reads the events of every fixture as a client does that
// knows nothing of parts: it has the right text all the same.
func TestFixturesLeadWhereTheySay(t *testing.T) {
	for name, f := range fixtures() {
		if f.After == nil {
			continue
		}
		var text strings.Builder
		seq := int64(-1)
		for _, event := range f.Events {
			e := decodeSimEvent(event)
			switch {
			case e.err != nil:
				t.Fatalf("%s: %v", name, e.err)
			case e.Type == "snapshot":
				text.Reset()
			case e.From == nil && e.Seq != seq+1, e.From != nil && *e.From != seq:
				t.Errorf("%s: %s at a client that stands at %d", name, event, seq)
			}
			text.WriteString(e.Text)
			seq = e.Seq
		}
		if text.String() != f.After.Text || seq != f.After.Seq {
			t.Errorf("%s: %q at %d, want %q at %d", name, text.String(), seq, f.After.Text, f.After.Seq)
		}
	}
}
