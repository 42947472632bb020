package transport

import (
	"fmt"
	"slices"
	"testing"

	"github.com/omnichat/omnichat/hub"
)

// TestCommandsKeepTheOrderThatMatters says which of the commands that came last
// begins while the others are carried out.
func TestCommandsKeepTheOrderThatMatters(t *testing.T) {
	const s1, s2 = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
	const m, a, b = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003"
	send := `{"type":"send","session_id":"` + s1 + `","message_id":"` + m + `","answer_id":"` + a + `","content":"x"}`
	tests := map[string]struct {
		before, last string
		begins       bool
	}{
		"send after its subscribe":           {`{"type":"subscribe","session_id":"` + s1 + `"}`, send, false},
		"written in capitals":                {`{"type":"subscribe","session_id":"00000000-0000-4000-8000-00000000000A"}`, send, false},
		"unsubscribe after a send":           {send, `{"type":"unsubscribe","session_id":"` + s1 + `"}`, false},
		"another session's subscribe":        {send, `{"type":"subscribe","session_id":"` + s2 + `"}`, true},
		"two new sessions":                   {`{"type":"send","content":"x"}`, `{"type":"send","content":"y"}`, false},
		"stop of another answer":             {send, `{"type":"stop","message_id":"` + b + `"}`, true},
		"stop of the answer that is asked":   {send, `{"type":"stop","message_id":"` + a + `"}`, false},
		"send that follows what is asked":    {send, `{"type":"send","parent_id":"` + a + `","content":"y"}`, false},
		"send of a root elsewhere":           {send, `{"type":"send","session_id":"` + s2 + `","parent_id":null,"content":"y"}`, true},
		"auth beside a send":                 {send, `{"type":"auth","token":"x"}`, true},
		"send beside an auth":                {`{"type":"auth","token":"x"}`, send, true},
		"auth after an auth":                 {`{"type":"auth","token":"x"}`, `{"type":"auth","token":"y"}`, false},
		"a stop of what is no id":            {send, `{"type":"stop","message_id":""}`, true},
		"a subscribe without a session":      {send, `{"type":"subscribe"}`, true},
		"send after a subscribe of no UUID":  {`{"type":"subscribe","session_id":"x"}`, `{"type":"unsubscribe","session_id":"x"}`, false},
		"stop of the question that is asked": {send, `{"type":"stop","message_id":"` + m + `"}`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var c commands
			var jobs []*job
			for _, text := range []string{tt.before, tt.last} {
				cmd, err := parseCommand([]byte(text))
				if err != nil {
					t.Fatal(err)
				}
				j := newJob(cmd, len(text))
				if err := c.add(j, 1<<20); err != nil {
					t.Fatal(err)
				}
				jobs = append(jobs, j)
			}
			if begun := c.begin(); slices.Contains(begun, jobs[1]) != tt.begins || !slices.Contains(begun, jobs[0]) {
				t.Errorf("%d begin", len(begun))
			}
			c.remove(jobs[0])
			if begun := c.begin(); slices.Contains(begun, jobs[1]) == tt.begins {
				t.Errorf("then %d begin", len(begun))
			}
			if c.remove(jobs[1]); c.jobs != nil || c.bytes != 0 {
				t.Errorf("%d jobs, %d bytes are left", len(c.jobs), c.bytes)
			}
		})
	}
}

func TestCommandsAreBounded(t *testing.T) {
	var c commands
	subscribe := func(n, bytes int) error {
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
		return c.add(newJob(command{Type: "subscribe", askBody: askBody{SessionID: &id}}, bytes), 1<<20)
	}
	if err := subscribe(0, 2<<20); err != nil {
		t.Errorf("a large one alone: %v", err)
	}
	if err := subscribe(1, 1); hub.CodeOf(err) != hub.CodeRateLimited {
		t.Errorf("beside it: %v", err)
	}
	c = commands{}
	for n := range commandsMax {
		if err := subscribe(n, 100); err != nil {
			t.Fatal(err)
		}
	}
	if err := subscribe(commandsMax, 100); hub.CodeOf(err) != hub.CodeRateLimited {
		t.Errorf("one more: %v", err)
	}
	begun := c.begin()
	if again := c.begin(); len(begun) != sideBySide || len(again) > 0 {
		t.Errorf("%d begin, and then %d", len(begun), len(again))
	}
	stop := newJob(command{Type: "stop", askBody: askBody{MessageID: new(hub.NewID())}}, 100)
	c.remove(begun[0])
	if err := c.add(stop, 1<<20); err != nil {
		t.Error(err)
	}
	if !slices.Contains(c.begin(), stop) {
		t.Error("a stop waits behind the others")
	}
	c.close(false)
	if len(c.jobs) != sideBySide+1 {
		t.Errorf("%d are left for who has gone", len(c.jobs))
	}
	if err := subscribe(0, 100); err == nil {
		t.Error("a command was taken after the end")
	}
}
