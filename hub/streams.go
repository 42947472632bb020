package hub

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/pace"
	"github.com/omnichat/omnichat/hub/room"
)

// streams is the answers that this replica runs, and those that ended here a short while
// ago. All methods may be called concurrently. Its lock is taken before those of the
// feeds.
type streams struct {
	feeds       *feeds
	commits     *committer
	bg          *background.Group
	held        *room.Room[UserID] // by the texts of answers
	answerBytes int64              // of one answer at most
	maxRunning  int                // answers of one user at a time
	keep        time.Duration      // how long a log is kept after its end

	mu       sync.Mutex // guards the rest
	byID     map[MessageID]*stream
	reserved uint64             // how many were reserved since the start
	ended    []*stream          // ended ones in the order of their ends, until they are forgotten
	doubtful map[MessageID]bool // answers that may be stored, and that nobody runs
	running  map[UserID]int     // answers of each user that are admitted and not released
	answers  int                // their sum
	draining bool               // no answer is admitted any more
	idle     chan struct{}      // closed once draining is set and answers is 0
}

// of returns the stream of an answer, nil if there is none here.
func (ss *streams) of(id MessageID) *stream {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.byID[id]
}

// admission is the place of one answer among those that run. Release may be called more
// than once.
type admission struct {
	streams *streams
	user    UserID
	given   bool // released; guarded by the lock of the streams
}

// admit counts an answer that is about to run, or refuses it if the user has too many. The
// caller releases what was admitted.
func (ss *streams) admit(user UserID) (*admission, error) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.draining {
		return nil, &Error{Code: CodeUnavailable, Msg: "this server is going away; ask again", RetryAfter: time.Second}
	}
	if ss.running[user] >= ss.maxRunning {
		return nil, &Error{Code: CodeTooManyRunning, Msg: "too many of your answers are running; stop one or wait", RetryAfter: 5 * time.Second}
	}
	ss.running[user]++
	ss.answers++
	return &admission{streams: ss, user: user}, nil
}

// Release takes the answer off the count.
func (a *admission) Release() {
	ss := a.streams
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if a.given {
		return
	}
	a.given = true
	if ss.running[a.user]--; ss.running[a.user] == 0 {
		delete(ss.running, a.user)
	}
	if ss.answers--; ss.answers == 0 && ss.draining {
		close(ss.idle)
	}
}

// unended returns the streams that have begun and not ended.
func (ss *streams) unended() []*stream {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	var out []*stream
	for _, st := range ss.byID {
		if st.log != nil && st.endedAt.IsZero() {
			out = append(out, st)
		}
	}
	return out
}

// reserve makes a stream before its question is stored, so that whoever finds the stored
// answer finds its stream, too. If the id has a stream that was opened already, the new one
// takes its place only when it is opened: the answer of the old one is found in the store,
// or was deleted.
func (ss *streams) reserve(id MessageID) *stream {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	st := ss.byID[id]
	if st == nil || st.log != nil {
		opened := st != nil
		ss.reserved++
		st = &stream{id: id, ready: make(chan struct{}), commits: ss.commits, bg: ss.bg, limit: ss.answerBytes, held: ss.held}
		st.ctx, st.cancel = context.WithCancelCause(pace.With(ss.bg.Context(), ss.commits.shifts, ss.reserved))
		if !opened {
			ss.byID[id] = st
		}
	}
	st.refs++
	return st
}

// unreserve gives up a reserved stream that was not opened.
func (ss *streams) unreserve(st *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	st.refs--
	if st.refs == 0 && st.log == nil {
		st.cancel(nil)
		if ss.byID[st.id] == st {
			delete(ss.byID, st.id)
		}
		close(st.ready)
	}
}

// open makes a reserved stream live, and tells its feed of the question and the answer.
func (ss *streams) open(st *stream, user UserID, asked Asked, opened func(*feed, Asked)) error {
	if err := ss.openFeed(st, user, asked, opened); err != nil {
		return err
	}
	if st.head != nil {
		ss.commits.mark(st)
	}
	ss.feeds.publishSession(user, asked.Session, asked.UserVersion, false)
	return nil
}

// openFeed puts the stream into the feed of its session.
func (ss *streams) openFeed(st *stream, user UserID, asked Asked, opened func(*feed, Asked)) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if old := ss.byID[st.id]; old != st && old != nil && old.endedAt.IsZero() {
		return &Error{Code: CodeIDConflict, Field: "answer_id", Msg: "answer_id names an answer that is being deleted"}
	}
	ss.byID[st.id] = st
	st.user, st.session, st.epoch = user, asked.Session.ID, asked.Answer.Epoch
	ss.feeds.with(Topic{Session: st.session}, func(f *feed) {
		st.feed, st.log = f, newLog(asked.Answer)
		f.streams[st.id] = st.log
		st.head = ss.commits.ledger.begin(asked)
		st.unopened = st.head != nil
		opened(f, asked)
		if q := asked.Question; q != nil {
			f.add(entry{event: encode(messageEvent{Type: "message", Version: q.Version, Message: *q}), version: q.Version})
		}
		f.add(entry{log: st.log, seq: 0, version: asked.Answer.Version})
	})
	close(st.ready)
	return nil
}

// refuse refuses new answers from here on. The channel is closed once none is left.
func (ss *streams) refuse() <-chan struct{} {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if !ss.draining {
		ss.draining = true
		if ss.answers == 0 {
			close(ss.idle)
		}
	}
	return ss.idle
}

// refused says whether new answers are refused.
func (ss *streams) refused() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.draining
}

// count is how many answers are admitted and not released.
func (ss *streams) count() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.answers
}

// cancelAll ends all answers.
func (ss *streams) cancelAll(cause error) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, st := range ss.byID {
		st.cancel(cause)
	}
}

// touchAll has the committer look whether the logs of all answers are there still.
func (ss *streams) touchAll() {
	for _, st := range ss.unended() {
		st.touch()
	}
}

// retire notes that a stream has ended. It is forgotten after a while.
func (ss *streams) retire(st *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	st.endedAt = time.Now()
	st.over.Store(true)
	ss.ended = append(ss.ended, st)
}

// drop forgets a stream whose message was deleted. Viewers that follow it are sent its end
// all the same.
func (ss *streams) drop(st *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.dropLocked(st)
}

// dropLocked is drop for a caller that holds ss.mu.
func (ss *streams) dropLocked(st *stream) {
	st.giveBack()
	if ss.byID[st.id] == st {
		delete(ss.byID, st.id)
	}
	ss.feeds.remove(st.feed, st.log)
}

// cancelSession ends the answers of a deleted session that run here.
func (ss *streams) cancelSession(id SessionID) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, st := range ss.byID {
		if st.session == id {
			ss.cancelDeleted(st)
		}
	}
}

// delete ends the answer of a deleted message, if it runs here, and says whether
// it does.
func (ss *streams) delete(id MessageID) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	st := ss.byID[id]
	if st != nil {
		ss.cancelDeleted(st)
	}
	return st != nil
}

// cancelDeleted ends an answer whose message was deleted, or forgets it if it
// has ended. The caller holds ss.mu.
func (ss *streams) cancelDeleted(st *stream) {
	st.cancel(errDeleted)
	if !st.endedAt.IsZero() {
		ss.dropLocked(st)
	}
}

// doubt notes an answer of which it is not known whether it was stored.
func (ss *streams) doubt(id MessageID) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.doubtful[id] = true
}

// doubts says whether there are answers that may be stored and that nobody runs.
func (ss *streams) doubts() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.doubtful) > 0
}

// certain says that these answers are in doubt no more.
func (ss *streams) certain(ids []MessageID) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, id := range ids {
		delete(ss.doubtful, id)
	}
}

// notRun returns those of the answers that the database has as this replica's, and
// of those in doubt, that nobody runs here and that are not claimed.
func (ss *streams) notRun(owned []Ownership, claimed map[MessageID]bool) (ids []MessageID) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, o := range owned {
		if !ss.runs(o.ID) && !claimed[o.ID] {
			ids = append(ids, o.ID)
		}
	}
	for id := range ss.doubtful {
		if !ss.runs(id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// runs says whether an answer is asked for or under way here. The caller holds
// ss.mu.
func (ss *streams) runs(id MessageID) bool {
	st := ss.byID[id]
	return st != nil && st.endedAt.IsZero()
}

// forgetEnded drops the streams that ended longer ago than their logs are kept.
func (ss *streams) forgetEnded(now time.Time) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	over := 0
	for ; over < len(ss.ended) && now.Sub(ss.ended[over].endedAt) >= ss.keep; over++ {
		ss.dropLocked(ss.ended[over])
	}
	ss.ended = slices.Delete(ss.ended, 0, over) // it clears what is left behind them: a slice from there on would hold them
}
