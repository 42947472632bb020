package transport

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub"
)

const (
	sideBySide  = 8   // commands of a connection that are carried out at a time, and as many stops beside
	commandsMax = 400 // that wait or are carried out
)

// commands is what a client has asked for and was not answered yet. A connection
// that waits for its client has none, and no goroutine for them.
type commands struct {
	mu      sync.Mutex
	jobs    []*job // in the order in which they came
	bytes   int    // of their messages
	closed  bool   // no more are taken
	working sync.WaitGroup
}

// job is a command that waits or is carried out.
type job struct {
	command
	bytes   int
	lane    string // jobs of one lane are carried out one after another; "" is none
	makes   []string
	needs   string // an id that an earlier one may make
	running bool
}

// newJob says what a command waits for: those of one session keep their order, and
// so do those that name what an earlier one makes. Nothing else waits for a stop,
// and a stop for nothing else.
func newJob(cmd command, bytes int) *job {
	j := &job{command: cmd, bytes: bytes}
	switch cmd.Type {
	case "stop":
		j.needs = canonical(cmd.MessageID)
		return j
	case "auth":
		j.lane = "auth"
		return j
	case "send":
		for _, id := range []*string{cmd.MessageID, cmd.AnswerID} {
			if id != nil {
				j.makes = append(j.makes, canonical(id))
			}
		}
		var parent *string
		_ = json.Unmarshal(cmd.ParentID, &parent) // what is no id is refused later
		j.needs = canonical(parent)
	}
	j.lane = "session " + canonical(cmd.SessionID)
	return j
}

// canonical is an id as all write it, or what was sent in its place.
func canonical(id *string) string {
	if id == nil {
		return ""
	}
	if c, ok := hub.ParseID(*id); ok {
		return c
	}
	return *id
}

// waitsFor says whether a job may begin only after an earlier one.
func (j *job) waitsFor(earlier *job) bool {
	if j.lane != "" && j.lane == earlier.lane {
		return true
	}
	return j.needs != "" && slices.Contains(earlier.makes, j.needs)
}

// add takes a job, unless too many wait. limit is of the bytes of all but the first.
func (c *commands) add(j *job, limit int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return errLoggedOut
	case len(c.jobs) >= commandsMax, len(c.jobs) > 0 && int64(c.bytes+j.bytes) > limit:
		return &hub.Error{Code: hub.CodeRateLimited, Msg: "too many commands wait; wait for their answers", RetryAfter: time.Second}
	}
	c.jobs = append(c.jobs, j)
	c.bytes += j.bytes
	return nil
}

// begin returns the jobs that are to be carried out from now on. They count as
// working.
func (c *commands) begin() (out []*job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	running := map[bool]int{} // by whether they are stops
	for _, j := range c.jobs {
		if j.running {
			running[j.Type == "stop"]++
		}
	}
	for i, j := range c.jobs {
		stop := j.Type == "stop"
		if j.running || running[stop] == sideBySide || c.mustWait(i) {
			continue
		}
		j.running = true
		running[stop]++
		c.working.Add(1)
		out = append(out, j)
	}
	return out
}

// mustWait says whether a job waits for one before it. The caller holds c.mu.
func (c *commands) mustWait(i int) bool {
	for _, earlier := range c.jobs[:i] {
		if c.jobs[i].waitsFor(earlier) {
			return true
		}
	}
	return false
}

// drop forgets the jobs that which says, but for those that are carried out.
func (c *commands) drop(which func(j *job) bool) {
	kept := c.jobs[:0]
	for _, j := range c.jobs {
		if !j.running && which(j) {
			c.bytes -= j.bytes
		} else {
			kept = append(kept, j)
		}
	}
	clear(c.jobs[len(kept):])
	c.jobs = kept
	if len(kept) == 0 {
		c.jobs = nil
	}
}

// remove forgets a job that was carried out.
func (c *commands) remove(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j.running = false
	c.drop(func(o *job) bool { return o == j })
}

// close takes no more jobs and forgets those that have not begun. What a client
// sent before it left is asked and stopped all the same, unless it is logged out.
func (c *commands) close(loggedOut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.drop(func(j *job) bool { return loggedOut || j.Type != "send" && j.Type != "stop" })
}

// take parses a command and has it carried out. The connection is read on meanwhile, as pings
// and stops must not wait for a command that takes long.
func (w *socket) take(v *hub.Viewer, data []byte) {
	cmd, err := w.parse(data)
	switch {
	case w.conns.logins.revoked(w.identity().Grant):
		err = errLoggedOut
	case err == nil && cmd.Type == "ping":
		v.Pong()
		return
	case err == nil:
		err = w.commands.add(newJob(cmd, len(data)), readLimitAfter*w.conns.bodyLimit)
	}
	if err != nil {
		w.refuse(v, cmd, err)
		return
	}
	w.begin(v)
}

// begin carries out what may begin.
func (w *socket) begin(v *hub.Viewer) {
	for _, j := range w.commands.begin() {
		go w.work(v, j)
	}
}

// work carries a job out, and what waited for it.
func (w *socket) work(v *hub.Viewer, j *job) {
	defer w.commands.working.Done()
	done := false
	w.conns.guard(func() {
		w.command(v, j.command)
		done = true
	})
	w.commands.remove(j)
	if !done {
		w.out.Cut()
		w.commands.close(true)
	}
	w.begin(v)
}
