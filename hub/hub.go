package hub

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Options has what a [Hub] can be told; the zero value works.
type Options struct {
	Replica          string         // this process; a fresh UUID if empty
	DefaultModel     string         // "provider/model"; the first one listed if empty
	MaxRunning       int            // answers of one user at a time; 256 if 0
	Keep             time.Duration  // how long a log is kept after its end; a minute if 0
	FileBytes        int64          // of one attached file; 10 MiB if 0
	FilesPerPrompt   int            // attached to one question; 8 if 0
	DailyTokens      int64          // of one user, UTC; no limit if 0
	DailyCost        Money          // of one user, UTC; no limit if 0
	UserBytes        int64          // of one user's files and messages; no limit if 0
	AnswerBytes      int64          // of one answer at most, thinking and all; 4 MiB if 0
	PromptImageBytes int64          // of the images of one prompt, the newest; 20 MiB if 0
	TitleModel       string         // "provider/model" that makes titles; see [Hub]; none if empty
	Builtin          []EndpointInfo // the providers of the settings

	Bus      Bus           // nil for a single replica
	Leases   Leases        // goes with Bus
	LeaseTTL time.Duration // how long a replica may be silent before its answers are settled; 6 s if 0
	Logger   *slog.Logger  // slog.Default() if nil
}

// How many of the longest answers are held at a time, of one user and of all.
const (
	answersEach = 16
	answersAll  = 128
)

// Reasons for which the context of an answer ends.
var (
	errStopped  = errors.New("stopped by a person")
	errDeleted  = errors.New("message deleted")
	errShutdown = errors.New("the replica goes away")

	errFencedOut    = errors.New("another replica owns the answer")
	errBeingSettled = errors.New("another replica settles the answer")
)

// Hub owns the streams and feeds of one replica.
type Hub struct {
	store     Store
	opt       Options
	log       *slog.Logger
	catalogue *catalogue
	prompts   *room
	held      *room // by answers
	commits   *committer
	flusher   *flusher

	base   context.Context // of everything that outlives a request
	cancel context.CancelCauseFunc
	loops  sync.WaitGroup // all goroutines that outlive a request
	peers  peers
	left   []*claimed // not yet settled; one goroutine's

	mu       sync.Mutex // guards the rest; taken before a feed's lock
	feeds    map[Topic]*feed
	untold   map[*sub]bool // joined a session's feed and were not told who is present
	streams  map[MessageID]*stream
	reserved uint64             // how many there have been
	ended    []*stream          // in the order of their ends, until they are forgotten
	doubtful map[MessageID]bool // answers that may be stored, and that nobody runs
	running  map[UserID]int
	revoked  []*func(grants []string) // who is told what is revoked
	answers  int
	idle     chan struct{} // closed once draining and answers is 0
	draining bool
}

// New returns a hub. Nothing happens before Start.
func New(store Store, journal Journal, vendors Vendors, opt Options) *Hub {
	if opt.Replica == "" {
		opt.Replica = NewID()
	}
	if opt.MaxRunning == 0 {
		opt.MaxRunning = 256
	}
	if opt.Keep == 0 {
		opt.Keep = time.Minute
	}
	if opt.FileBytes == 0 {
		opt.FileBytes = 10 << 20
	}
	if opt.FilesPerPrompt == 0 {
		opt.FilesPerPrompt = 8
	}
	if opt.PromptImageBytes == 0 {
		opt.PromptImageBytes = 20 << 20
	}
	if opt.AnswerBytes == 0 {
		opt.AnswerBytes = 4 << 20
	}
	if opt.LeaseTTL == 0 {
		opt.LeaseTTL = 6 * time.Second
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	h := &Hub{
		store: store, opt: opt, log: opt.Logger,
		flusher: newFlusher(),
		prompts: newRoom(promptsAll, promptsEach), held: newRoom(answersAll*opt.AnswerBytes, answersEach*opt.AnswerBytes), feeds: map[Topic]*feed{}, untold: map[*sub]bool{}, streams: map[MessageID]*stream{}, running: map[UserID]int{}, doubtful: map[MessageID]bool{}, idle: make(chan struct{}),
	}
	var to ledger = &journalLedger{journal: journal}
	h.peers = alone{h}
	if opt.Bus != nil {
		sh := newSharing(h)
		h.peers = sh
		to = &sharedLedger{
			bus: opt.Bus, journal: journal, leases: opt.Leases, replica: opt.Replica, log: opt.Logger,
			running: h.runningStreams, find: h.stream, holds: sh.holds,
		}
	}
	h.commits = newCommitter(to, opt.Logger)
	h.base, h.cancel = context.WithCancelCause(context.Background())
	h.catalogue = &catalogue{vendors: vendors, store: store, fallback: opt.DefaultModel, log: opt.Logger, base: h.base, loops: &h.loops}
	return h
}

// Start settles what dead owners left behind and starts the hub's loops. Close
// ends them.
func (h *Hub) Start(ctx context.Context) error {
	if err := h.peers.start(ctx); err != nil {
		return err
	}
	h.loops.Go(func() { h.commits.run(h.base) })
	h.loops.Go(func() { h.tick(h.base) })
	h.flusher.run(h.loops.Go)
	return nil
}

// Refuse refuses new questions from here on.
func (h *Hub) Refuse() { h.refuse() }

// Drain refuses new questions and waits for the answers under way until ctx
// ends; then it settles what is left as interrupted, for 5 s at most.
func (h *Hub) Drain(ctx context.Context) {
	idle := h.refuse()
	select {
	case <-idle:
		return
	case <-ctx.Done():
	}
	h.mu.Lock()
	for _, st := range h.streams {
		st.cancel(errShutdown)
	}
	h.mu.Unlock()
	t := time.NewTimer(5 * time.Second)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
		h.log.Error("answers left unsettled; the next start settles them")
	}
}

// Close ends the hub's loops and whatever answers are left, and waits for them.
func (h *Hub) Close() {
	idle := h.refuse()
	h.cancel(errShutdown)
	<-idle
	h.flusher.close()
	h.loops.Wait()
	h.peers.leave()
}

// refuse lets no new answer begin. The channel is closed once none is left.
func (h *Hub) refuse() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.draining {
		h.draining = true
		if h.answers == 0 {
			close(h.idle)
		}
	}
	return h.idle
}

// Draining says that the hub refuses questions because it is going away.
func (h *Hub) Draining() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.draining
}

// Stats is what a hub has under way.
type Stats struct {
	Running int // answers
	Feeds   int
	Viewers int // subscriptions of clients, to sessions, users and streams

	BusDown   bool
	Late      bool // answers are shown before the log has them
	LeaseLost bool
}

// Stats counts.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Stats{
		Running: h.answers, Feeds: len(h.feeds), Late: h.commits.late.Load(),
		BusDown: h.commits.ledger.up() != nil, LeaseLost: !h.commits.ledger.mayShow(),
	}
	for _, f := range h.feeds {
		f.mu.Lock()
		s.Viewers += len(f.subs)
		f.mu.Unlock()
	}
	return s
}

var (
	errLogLate   = &Error{Code: CodeUnavailable, Msg: "answers are shown before the log has them: it does not answer in time"}
	errLeaseLost = &Error{Code: CodeUnavailable, Msg: "the database has not renewed this replica's lease"}
)

// Degraded says what is away although questions are answered, nil if nothing is.
func (h *Hub) Degraded() error {
	if err := h.commits.ledger.up(); err != nil {
		return err
	}
	if !h.commits.ledger.mayShow() {
		return errLeaseLost
	}
	if h.commits.late.Load() {
		return errLogLate
	}
	return nil
}

// join subscribes s to a feed, which is made if there is none.
func (h *Hub) join(s *sub, key Topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feed(key)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enter(s)
	if f.session != "" && !s.single {
		h.untold[s] = true
	}
	h.peers.listen(f)
}

// leave ends a subscription, and the feed if nothing needs it any more.
func (h *Hub) leave(s *sub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.untold, s)
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.feed.exit(s)
	h.peers.unlisten(s.feed)
	h.forget(s.feed)
}

// feed returns a feed, made if there is none. The caller holds h.mu.
func (h *Hub) feed(key Topic) *feed {
	f := h.feeds[key]
	if f == nil {
		f = newFeed(key.Session, key.User)
		h.feeds[key] = f
	}
	return f
}

// feedOf returns a topic's feed, nil if there is none.
func (h *Hub) feedOf(key Topic) *feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.feeds[key]
}

// forget drops a feed that nobody and nothing is in. The caller holds h.mu and
// the feed's lock.
func (h *Hub) forget(f *feed) {
	key := f.topic()
	if len(f.subs) == 0 && len(f.streams) == 0 && h.feeds[key] == f {
		delete(h.feeds, key)
	}
}

// publish adds a change to a feed, if anyone is in it, on all replicas.
func (h *Hub) publish(key Topic, e entry) {
	h.peers.tell(key, kindChange, changeNote{Version: e.version, Event: e.event})
	if f := h.feedOf(key); f != nil {
		f.publish(e)
	}
}

// publishSession tells a change of a session to the user's feed, and to the
// session's own with of set.
func (h *Hub) publishSession(user UserID, s Session, userVersion int64, of bool) {
	event := encode(sessionEvent{Type: "session", UserVersion: userVersion, Session: s})
	if of {
		h.publish(Topic{Session: s.ID}, entry{event: event, version: s.Version})
	}
	h.publish(Topic{User: user}, entry{event: event, version: userVersion})
}

func (h *Hub) stream(id MessageID) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.streams[id]
}

func (h *Hub) userVersion(ctx context.Context, user UserID) (int64, error) {
	_, users, err := h.store.Versions(ctx, nil, []UserID{user})
	return users[user], err
}
