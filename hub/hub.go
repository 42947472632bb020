package hub

import (
	"context"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/room"
)

// How many of the longest answers are held at a time, of one user and of all.
const (
	answersEach = 16
	answersAll  = 128
)

// Hub is the front of a replica: it wires what the replica is made of, and offers
// what transport calls. Its methods may be called concurrently.
type Hub struct {
	opt   Options
	store Store
	bg    *background.Group

	feeds     *feeds     // who follows what
	flusher   *flusher   // writes to them
	streams   *streams   // the answers under way here
	commits   *committer // what these say, into a log outside of the process
	peers     peers      // the other replicas
	settler   *settler   // ends what nobody runs
	catalogue *catalogue // models and prices
	limits    *limits    // what a user may use
	asker     *asker     // from a question to its stream
	revoked   *revoked   // who hears of grants that have ended
}

// New returns a hub. Nothing happens before Start.
func New(store Store, journal Journal, vendors Vendors, opt Options) *Hub {
	opt = opt.withDefaults()
	bg, flusher := background.NewGroup(opt.Logger), newFlusher()
	feeds := &feeds{replica: opt.Replica, store: store, flusher: flusher, bg: bg, byTopic: map[Topic]*feed{}, untold: map[*sub]bool{}}
	streams := &streams{
		feeds: feeds, bg: bg, held: room.New[UserID](answersAll*opt.AnswerBytes, answersEach*opt.AnswerBytes),
		answerBytes: opt.AnswerBytes, maxRunning: opt.MaxRunning, keep: opt.Keep,
		byID: map[MessageID]*stream{}, doubtful: map[MessageID]bool{}, running: map[UserID]int{}, idle: make(chan struct{}),
	}
	catalogue := &catalogue{
		vendors: vendors, store: store, fallback: opt.DefaultModel, bg: bg,
		lists: &listings{bg: bg}, prices: &priceTable{store: store, bg: bg},
	}
	limits := &limits{store: store, streams: streams, dailyTokens: opt.DailyTokens, dailyCost: opt.DailyCost, userBytes: opt.UserBytes}
	settler := &settler{replica: opt.Replica, store: store, streams: streams, catalogue: catalogue, bg: bg}
	revoked := &revoked{}
	var peers peers = alone{settler: settler, bg: bg}
	var to ledger = &journalLedger{journal: journal}
	if opt.Bus != nil {
		outbox := newOutbox(opt.Bus, bg)
		keeper := &keeper{
			replica: opt.Replica, ttl: opt.LeaseTTL, leases: opt.Leases, bus: opt.Bus, streams: streams, limits: limits, settler: settler, bg: bg,
			lease: lease{slept: sleptSince(time.Now())},
		}
		peers = &sharing{
			outbox: outbox, keeper: keeper, revoked: revoked, bus: opt.Bus, bg: bg,
			mirror: &mirror{replica: opt.Replica, bus: opt.Bus, store: store, feeds: feeds, streams: streams, outbox: outbox, bg: bg},
		}
		to = &sharedLedger{
			bus: opt.Bus, journal: journal, leases: opt.Leases, replica: opt.Replica, logger: opt.Logger,
			running: streams.unended, find: streams.of, holds: keeper.holds,
		}
	}
	commits := newCommitter(to, bg)
	feeds.peers, settler.peers, limits.peers, streams.commits = peers, peers, peers, commits
	prompts := &prompter{store: store, bg: bg, imageBytes: opt.PromptImageBytes}
	titles := &titler{model: opt.TitleModel, store: store, catalogue: catalogue, feeds: feeds, bg: bg}
	generator := &generator{
		store: store, streams: streams, catalogue: catalogue, peers: peers, bg: bg, prompts: prompts, room: room.New[UserID](promptsAll, promptsEach),
		observers: []observer{biller{catalogue}, titles},
	}
	return &Hub{
		opt: opt, store: store, bg: bg, feeds: feeds, flusher: flusher, streams: streams, commits: commits, peers: peers,
		settler: settler, catalogue: catalogue, limits: limits, revoked: revoked,
		asker: &asker{
			replica: opt.Replica, filesPerPrompt: opt.FilesPerPrompt,
			store: store, streams: streams, catalogue: catalogue, limits: limits, prompts: prompts, generator: generator,
		},
	}
}

// Start settles what dead owners left behind and starts the hub's loops. Close
// ends them.
func (h *Hub) Start(ctx context.Context) error {
	if err := h.peers.start(ctx); err != nil {
		return err
	}
	h.bg.Go(func() { h.commits.run(h.bg.Context()) })
	h.bg.Go(func() { h.tick(h.bg.Context()) })
	h.flusher.run(h.bg.Go)
	return nil
}

// Refuse refuses new questions from here on.
func (h *Hub) Refuse() { h.streams.refuse() }

// Drain refuses new questions and waits for the answers under way until ctx
// ends; then it settles what is left as interrupted, for 5 s at most.
func (h *Hub) Drain(ctx context.Context) {
	idle := h.streams.refuse()
	select {
	case <-idle:
		return
	case <-ctx.Done():
	}
	h.streams.cancelAll(errShutdown)
	t := time.NewTimer(5 * time.Second)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
		h.bg.Logger.Error("answers left unsettled; the next start settles them")
	}
}

// Close ends the hub's loops and whatever answers are left, and waits for them.
func (h *Hub) Close() {
	idle := h.streams.refuse()
	h.bg.End(errShutdown)
	<-idle
	h.flusher.close()
	h.bg.Wait()
	h.peers.leave()
}

// Draining says that the hub refuses questions because it is going away.
func (h *Hub) Draining() bool { return h.streams.refused() }

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
	s := Stats{
		Running: h.streams.count(), Late: h.commits.late.Load(),
		BusDown: h.commits.ledger.up() != nil, LeaseLost: !h.commits.ledger.mayShow(),
	}
	s.Feeds, s.Viewers = h.feeds.count()
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

const (
	tickEvery    = 250 * time.Millisecond // presence is told at most this often
	versionsEach = 20                     // ticks between two looks at the versions
)

// tick tells presence, compares versions with the database's, so that a lost
// event costs a viewer one request, and forgets logs whose time is over. Nothing
// of that waits for a database that does not answer.
func (h *Hub) tick(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	idle := make(chan struct{}, 1) // holds one while the database is not asked
	idle <- struct{}{}
	n := 0
	background.Every(ctx, tickEvery, func(now time.Time) {
		h.bg.Guard("tick", func() {
			h.feeds.tellPresence(now)
			h.streams.forgetEnded(now)
			h.feeds.forgetEnded(now.Add(-h.opt.Keep))
		})
		if n++; n%versionsEach != 0 {
			return
		}
		select {
		case <-idle:
			asking.Go(func() {
				defer func() { idle <- struct{}{} }()
				h.bg.Guard("telling versions", func() { h.feeds.tellVersions(ctx) })
			})
		default: // the database is slow
		}
	})
}
