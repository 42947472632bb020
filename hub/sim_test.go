package hub

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

var (
	simSeed = flag.Uint64("sim.seed", 0, "replay one schedule of the simulation, with its trace")
	simRuns = flag.Int("sim.runs", 2000, "schedules of the simulation")
)

// sim is three hubs on one model of a database and a bus, in a bubble of its
// own time. A seed is a schedule: what goes wrong, and how long each call takes
// to the nanosecond, are hashes of the seed and of what is about to happen, and
// so no two calls come to the bus or the database at one moment, where Go's
// scheduler would decide.
type sim struct {
	seed  uint64
	began time.Time
	bus   *LocalBus
	store *simStore

	mu       sync.Mutex
	replicas []*simReplica
	decided  map[simKey]int // how often
	traced   bool
	trace    []simStep
	busAway  bool
	refuses  MessageID        // whose log takes nothing
	answers  bool             // no answer of the bus is lost; set before anything runs
	format   int              // the oldest that a replica reads; 0 for the newest
	only     string           // what goes wrong; "" for anything
	fences   map[simKey]int64 // the epoch to which the log of an answer was raised
	late     []string         // what was written by an owner that another one has followed
}

// simKey names what is decided: for which replica or viewer, and of which
// answer or message.
type simKey struct {
	what, who string
	of        MessageID
}

// simStep is one decision.
type simStep struct {
	at   time.Duration
	key  simKey
	n, v int
}

func (s simStep) String() string {
	return fmt.Sprintf("%s %s of %s %s #%d: %d", s.at, s.key.what, s.key.who, s.key.of, s.n, s.v)
}

func (s simStep) compare(o simStep) int {
	return cmp.Or(cmp.Compare(s.at, o.at), cmp.Compare(s.key.what, o.key.what), cmp.Compare(s.key.who, o.key.who), cmp.Compare(s.key.of, o.key.of), cmp.Compare(s.n, o.n))
}

type simReplica struct {
	sim   *sim
	name  string
	hub   *Hub
	bus   Bus
	dead  bool
	until [2]time.Time  // cut off from the database and from the bus
	heard time.Duration // when the last message that was not late came
	turns atomic.Int64  // to listen to the session and to leave it
	wires context.CancelFunc
	ctx   context.Context // of the connections to it
}

// decide draws a number below n for the next thing of that name.
func (s *sim) decide(n int, what, who string, of MessageID) int {
	key := simKey{what, who, of}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decided[key]++
	times := s.decided[key]
	h := hashOf(hashOf(hashOf(s.seed, what), who), string(of)) + uint64(times)*0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	v := int((h ^ h>>31) % uint64(n))
	if s.traced {
		s.trace = append(s.trace, simStep{at: time.Since(s.began), key: key, n: times, v: v})
	}
	return v
}

// hashOf is FNV-1a.
func hashOf(h uint64, text string) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return (h ^ 0xff) * 1099511628211
}

// takes draws how long something takes, up to limit.
func (s *sim) takes(limit time.Duration, what, who string, of MessageID) time.Duration {
	return time.Duration(1 + s.decide(int(limit), what, who, of))
}

var errSimAway = errors.New("away")

// What a replica calls; the indexes of until.
const (
	toStore = iota
	toBus
)

// gate stands before every call of a replica to the bus or the database.
func (r *simReplica) gate(ctx context.Context, to int, call string, of MessageID) error {
	for {
		r.sim.mu.Lock()
		dead, until, away := r.dead, r.until[to], r.sim.store.away
		if to == toBus {
			away = r.sim.busAway
		}
		r.sim.mu.Unlock()
		cut := time.Until(until)
		after, limit := time.Duration(0), 3*time.Millisecond
		switch {
		case dead: // it calls nobody
			after = time.Hour
		case cut > 0: // what was held up goes on one by one
			after, limit = cut, time.Millisecond
		case away:
			after, limit = 20*time.Millisecond, time.Millisecond
		}
		if !pause(ctx, after+r.sim.takes(limit, call, r.name, of)) {
			time.Sleep(r.sim.takes(time.Microsecond, "giving up "+call, r.name, of))
			return ctx.Err()
		}
		switch {
		case dead, cut > 0:
		case away:
			return &Error{Code: CodeUnavailable, Msg: "away", Err: errSimAway}
		default:
			return nil
		}
	}
}

// simBus is a replica's end of the bus.
type simBus struct {
	Bus
	r *simReplica
}

// Up is Bus's: a replica that is cut off sees it.
func (b simBus) Up() error {
	b.r.sim.mu.Lock()
	defer b.r.sim.mu.Unlock()
	if b.r.sim.busAway || time.Now().Before(b.r.until[toBus]) {
		return errSimAway
	}
	return nil
}

// Listen is Bus's: it is some time until messages come.
func (b simBus) Listen(t Topic) {
	n := b.r.turns.Add(1)
	time.AfterFunc(b.r.sim.takes(time.Millisecond, "Listen", b.r.name, ""), func() {
		if t == AllReplicas || b.r.turns.Load() == n { // nobody has left since
			b.Bus.Listen(t)
		}
	})
}

// Leave is Bus's.
func (b simBus) Leave(t Topic) {
	b.r.turns.Add(1)
	b.Bus.Leave(t)
}

func (b simBus) Publish(ctx context.Context, t Topic, p []byte) (int, error) {
	if err := b.r.gate(ctx, toBus, "Publish", ""); err != nil {
		return 0, err
	}
	return b.Bus.Publish(ctx, t, p)
}

func (b simBus) Ship(ctx context.Context, batches []Batch) ([]error, error) {
	if err := b.r.gate(ctx, toBus, "Ship", ""); err != nil {
		return nil, err
	}
	// Streams may come in any order.
	order := make([]int, len(batches))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, k int) int { return cmp.Compare(batches[i].Stream, batches[k].Stream) })
	refused := make([]error, len(batches))
	for _, i := range order {
		if b.r.sim.logRefuses(batches[i].Stream) {
			refused[i] = errSimLog
			continue
		}
		one, err := b.Bus.Ship(ctx, batches[i:i+1])
		if err != nil {
			return nil, err
		}
		if refused[i] = one[0]; one[0] == nil {
			b.r.sim.wrote("the bus", batches[i].Stream, batches[i].Epoch)
		}
	}
	if !b.r.sim.answers && b.r.sim.decide(40, "Ship's answer is lost", b.r.name, "") == 0 {
		return nil, errSimAway // it was done, and will be done again
	}
	return refused, nil
}

func (b simBus) Read(ctx context.Context, s SessionID, id MessageID, after int64) (Tail, error) {
	if err := b.r.gate(ctx, toBus, "Read", id); err != nil {
		return Tail{}, err
	}
	if b.r.sim.logRefuses(id) {
		return Tail{}, errSimLog
	}
	return b.Bus.Read(ctx, s, id, after)
}

var errSimLog = errors.New("a key of a wrong type")

// logRefuses says whether the log of a stream takes and gives nothing, while all
// others do.
func (s *sim) logRefuses(id MessageID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return id == s.refuses
}

func (b simBus) Takeover(ctx context.Context, s SessionID, id MessageID, epoch int64) (Tail, error) {
	if err := b.r.gate(ctx, toBus, "Takeover", id); err != nil {
		return Tail{}, err
	}
	tail, err := b.Bus.Takeover(ctx, s, id, epoch)
	if err == nil {
		b.r.sim.fence("the bus", id, epoch)
	}
	return tail, err
}

// fence notes that nothing of an answer may be written any more below an epoch.
func (s *sim) fence(to string, id MessageID, epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fences[simKey{what: to, of: id}] = epoch
}

// wrote notes what an owner wrote that another one had followed.
func (s *sim) wrote(to string, id MessageID, epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.fences[simKey{what: to, of: id}]; epoch < f {
		s.late = append(s.late, fmt.Sprintf("%s has taken something of %s of epoch %d, after %d", to, id, epoch, f))
	}
}

func (b simBus) End(ctx context.Context, s SessionID, id MessageID, p []byte) error {
	if err := b.r.gate(ctx, toBus, "End", id); err != nil {
		return err
	}
	return b.Bus.End(ctx, s, id, p)
}

// simStore is the part of a database that an answer needs.
type simStore struct {
	Store
	mu       sync.Mutex
	away     bool // guarded by sim.mu
	sessions map[SessionID]*Session
	messages map[MessageID]*Message
	owners   map[MessageID]string
	stops    map[MessageID]bool
	leases   map[string]time.Time
	journal  []JournalEntry
	prices   []ModelPrice
	used     map[string]map[UserID]Used // by the replica
}

func (*simStore) UserSettings(context.Context, Access) (UserSettings, error) {
	return UserSettings{}, nil
}

func (s *simStore) Prices(context.Context) ([]ModelPrice, error) { return s.prices, nil }

func (s *simStore) Branch(_ context.Context, _ Access, id MessageID, _ int64) ([]Message, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.messages[id]; m != nil {
		return []Message{*m}, 0, nil
	}
	return nil, 0, NotFound("message")
}

// simDB is a replica's connection to it.
type simDB struct {
	*simStore
	r *simReplica
}

func (d simDB) User(_ context.Context, id UserID) (User, error) {
	return User{ID: id, Role: RoleUser}, nil
}

func (d simDB) Session(ctx context.Context, _ Access, id SessionID) (Session, error) {
	if err := d.r.gate(ctx, toStore, "Session", ""); err != nil {
		return Session{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return *d.sessions[id], nil
}

func (d simDB) Versions(ctx context.Context, ids []SessionID, _ []UserID) (map[SessionID]int64, map[UserID]int64, error) {
	if err := d.r.gate(ctx, toStore, "Versions", ""); err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[SessionID]int64{}
	for _, id := range ids {
		out[id] = d.sessions[id].Version
	}
	return out, map[UserID]int64{}, nil
}

func (d simDB) Message(ctx context.Context, _ Access, id MessageID) (Message, error) {
	if err := d.r.gate(ctx, toStore, "Message", id); err != nil {
		return Message{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.messages[id]; m != nil {
		return *m, nil
	}
	return Message{}, NotFound("message")
}

func (d simDB) Answers(ctx context.Context, session SessionID, ids []MessageID) (out []Message, err error) {
	if err := d.r.gate(ctx, toStore, "Answers", ""); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(d.messages)) {
		m := d.messages[id]
		if m.SessionID == session && m.Role == RoleOfAssistant && (m.Status == StatusStreaming || slices.Contains(ids, id)) {
			out = append(out, *m)
		}
	}
	return out, nil
}

func (d simDB) Standings(ctx context.Context, session SessionID, ids []MessageID) (out []Standing, err error) {
	answers, err := d.Answers(ctx, session, ids)
	for _, m := range answers {
		if slices.Contains(ids, m.ID) {
			out = append(out, Standing{ID: m.ID, Streaming: m.Status == StatusStreaming, Seq: m.Seq, Bytes: int64(len(m.Content))})
		}
	}
	return out, err
}

func (d simDB) Ask(ctx context.Context, q StoredQuestion) (Asked, error) {
	if err := d.r.gate(ctx, toStore, "Ask", q.AnswerID); err != nil {
		return Asked{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessions[q.Session]
	if m := d.messages[q.AnswerID]; m != nil {
		return Asked{Found: true, Session: *s, Answer: *m}, nil
	}
	s.Version += 2
	u := &Message{ID: q.MessageID, SessionID: s.ID, Role: RoleOfUser, Content: *q.Content, Status: StatusComplete, Version: s.Version - 1, Added: s.Version - 1}
	m := &Message{ID: q.AnswerID, SessionID: s.ID, ParentID: &u.ID, Role: RoleOfAssistant, Status: StatusStreaming, Provider: "sim", Model: q.Model, Version: s.Version, Added: s.Version, Epoch: 1}
	d.messages[u.ID], d.messages[m.ID], d.owners[m.ID] = u, m, q.Owner
	question := *u
	return Asked{Session: *s, Question: &question, Answer: *m}, nil
}

func (d simDB) RequestStop(ctx context.Context, _ Access, id MessageID) (Message, error) {
	if err := d.r.gate(ctx, toStore, "RequestStop", id); err != nil {
		return Message{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stops[id] = true
	return *d.messages[id], nil
}

func (d simDB) EndAnswer(ctx context.Context, e AnswerEnd) (int64, error) {
	if err := d.r.gate(ctx, toStore, "EndAnswer", e.ID); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.messages[e.ID]
	if m.Status != StatusStreaming || m.Epoch != e.Epoch {
		return 0, ErrFenced
	}
	s := d.sessions[e.Session]
	s.Version++
	m.say(e.Said)
	m.Status, m.FinishReason, m.Seq, m.Version = e.Reason.Status(), &e.Reason, e.Seq, s.Version
	m.Usage, m.Notices, m.ThinkingMS, m.Error = e.Usage, e.Notices, e.ThinkingMS, e.Error
	return s.Version, nil
}

func (d simDB) ClaimOrphans(ctx context.Context, owner string, grace time.Duration) (out []Orphan, err error) {
	if err := d.r.gate(ctx, toStore, "ClaimOrphans", ""); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(d.messages)) {
		m, o := d.messages[id], d.owners[id]
		if m.Role != RoleOfAssistant || m.Status != StatusStreaming || o == owner || d.leases[o].Add(grace).After(time.Now()) {
			continue
		}
		m.Epoch++
		d.owners[id] = owner
		d.r.sim.fence("the journal", id, m.Epoch)
		orphan := Orphan{Message: *m}
		l, seq := eventlog.New(eventlog.Start{}), int64(0)
		for _, e := range d.journal {
			if e.Stream != id || e.Seq <= seq || e.From != 0 && e.From != seq {
				continue
			}
			if e.From == 0 {
				l = eventlog.New(eventlog.Start{})
			}
			seq = e.Seq
			for _, run := range e.Deltas {
				l.Append(run)
			}
		}
		orphan.Said = l.Content()
		orphan.Said.Seq = seq
		out = append(out, orphan)
	}
	return out, nil
}

func (d simDB) Append(ctx context.Context, batch []JournalEntry) error {
	if err := d.r.gate(ctx, toStore, "Append", ""); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fenced := &FencedError{}
	for _, e := range batch {
		if m := d.messages[e.Stream]; m.Epoch != e.Epoch || m.Status != StatusStreaming || e.Owner != "" && e.Owner != d.owners[e.Stream] {
			fenced.Streams = append(fenced.Streams, e.Stream)
		} else {
			d.journal = append(d.journal, e)
			d.r.sim.wrote("the journal", e.Stream, e.Epoch)
		}
	}
	if len(fenced.Streams) > 0 {
		return fenced
	}
	return nil
}

func (d simDB) Renew(ctx context.Context, replica string, l Renewal) (int, error) {
	if err := d.r.gate(ctx, toStore, "Renew", ""); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leases[replica], d.used[replica] = time.Now().Add(l.TTL), l.Used
	return cmp.Or(d.r.sim.format, formatParts), nil
}

func (d simDB) UsedElsewhere(_ context.Context, replica string, user UserID) (all Used, _ error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for r, used := range d.used {
		if r != replica {
			all.add(used[user])
		}
	}
	return all, nil
}

func (*simStore) UsedSince(context.Context, Access, time.Time) (int64, Money, error) {
	return 0, 0, nil
}

func (*simStore) StoredBytes(context.Context, Access) (int64, error) { return 0, nil }

func (d simDB) Release(context.Context, string) error { return nil } // the simulation's end

func (d simDB) Owned(ctx context.Context, replica string) (out []Ownership, err error) {
	if err := d.r.gate(ctx, toStore, "Owned", ""); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(d.messages)) {
		m := d.messages[id]
		if d.owners[id] == replica && m.Status == StatusStreaming {
			out = append(out, Ownership{ID: id, Epoch: m.Epoch, Stop: d.stops[id]})
		}
	}
	return out, nil
}

func (d simDB) Disown(ctx context.Context, owner string, ids []MessageID) error {
	if err := d.r.gate(ctx, toStore, "Disown", ""); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		if m := d.messages[id]; m != nil && d.owners[id] == owner && m.Status == StatusStreaming {
			d.owners[id] = ""
		}
	}
	return nil
}

// simProvider says its words in bursts, each at a moment of its own.
type simProvider struct{ sim *sim }

func (simProvider) Models(context.Context) ([]Model, error) {
	return []Model{{ID: "m", Name: "M"}}, nil
}

const simWords = 32

func simWord(i int) string { return fmt.Sprintf("w%d ", i) }

func (p simProvider) Stream(ctx context.Context, q Prompt) iter.Seq2[Delta, error] {
	name := q.Turns[len(q.Turns)-1].Content
	return func(yield func(Delta, error) bool) {
		for i := range simWords {
			d := p.sim.takes(time.Second, "word", name, "")
			rare := d.Seconds() * d.Seconds() * d.Seconds()
			if !pause(ctx, time.Duration(rare*float64(1500*time.Millisecond))+d%time.Millisecond) {
				yield(Delta{}, ctx.Err())
				return
			}
			if !yield(Delta{Text: simWord(i)}, nil) {
				return
			}
			// Its viewers know nothing of calls, and must be shown the right text all the same.
			call := &ToolDelta{Index: i / 20, Arguments: "{"}
			if i%20 == 10 {
				call.Name = "tool"
			}
			if i%20 >= 10 && i%3 == 1 {
				if pause(ctx, p.sim.takes(time.Millisecond, "call", name, "")); !yield(Delta{Tool: call}, nil) {
					return
				}
			}
		}
		yield(Delta{Finish: ReasonStop}, nil)
	}
}

func newSim(seed uint64) *sim {
	s := &sim{seed: seed, began: time.Now(), bus: NewLocalBus(), decided: map[simKey]int{}, fences: map[simKey]int64{}, store: &simStore{
		sessions: map[SessionID]*Session{"s": {ID: "s", Version: 1}}, messages: map[MessageID]*Message{}, owners: map[MessageID]string{},
		stops: map[MessageID]bool{}, leases: map[string]time.Time{}, used: map[string]map[UserID]Used{},
	}}
	s.bus.send = s.deliver
	for i := range 3 {
		r := &simReplica{sim: s, name: fmt.Sprint("r", i), bus: s.bus.Client()}
		r.ctx, r.wires = context.WithCancel(context.Background())
		db := simDB{simStore: s.store, r: r}
		r.hub = New(db, db, Fixed{"sim": simProvider{s}}, Options{
			Replica: r.name, Bus: simBus{Bus: r.bus, r: r}, Leases: db, Logger: slog.New(slog.DiscardHandler),
		})
		r.hub.bg.Jitter = func(d time.Duration) time.Duration { return d }
		s.replicas = append(s.replicas, r)
	}
	return s
}

// deliver brings a message to a replica: at once, late, or never.
func (s *sim) deliver(to *localClient, d delivery) {
	r := s.replicas[slices.IndexFunc(s.replicas, func(r *simReplica) bool { return r.bus == Bus(to) })]
	n := s.decide(100_000_000, "deliver", r.name, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.began)
	after := time.Duration(n/100 + 1)
	switch n %= 100; {
	case n < 3 || s.busAway || time.Now().Before(r.until[toBus]): // dropped
		return
	case n < 25: // behind what comes after it
		after += time.Duration(n) * 10 * time.Millisecond
	default: // behind what came before it
		after = max(after/10, r.heard+1-now)
		r.heard = now + after
	}
	time.AfterFunc(after, func() { to.push(d) })
}

// simViewer keeps the rules of the contract.
type simViewer struct {
	mu   sync.Mutex // for who looks while it follows
	seq  int64
	text string
	end  bool
	torn bool
	err  error
	upTo int64 // where it moves on

	shown []simShown
}

// simShown is how much a viewer showed when.
type simShown struct {
	at    time.Time
	bytes int
}

func (v *simViewer) Write(batch []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for line := range bytes.Lines(batch) {
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		e := decodeSimEvent(data)
		switch {
		case e.err != nil:
			v.err = e.err
		case e.Type == "snapshot":
			v.torn = v.torn || !strings.HasPrefix(e.Text, v.text)
			v.seq, v.text = e.Seq, e.Text
		case e.Seq <= v.seq:
		case e.From == nil && e.Seq != v.seq+1 || e.From != nil && *e.From != v.seq:
			v.err = fmt.Errorf("%s at a viewer that stands at %d", data, v.seq)
		default:
			v.seq, v.text, v.end = e.Seq, v.text+e.Text, e.Type == "finish"
		}
		v.shown = append(v.shown, simShown{time.Now(), len(v.text)})
		if v.seq >= v.upTo && !v.end {
			return errMovedOn // however the events were joined to batches
		}
	}
	return nil
}

// simEvent is what a viewer reads of an event.
type simEvent struct {
	Type string
	From *int64
	Seq  int64
	Text string
	err  error
}

// simEvents are those that were decoded: most viewers get the same bytes, and in
// most schedules.
var simEvents sync.Map

func decodeSimEvent(data []byte) *simEvent {
	if e, ok := simEvents.Load(string(data)); ok {
		return e.(*simEvent)
	}
	e := new(simEvent)
	e.err = json.Unmarshal(data, e)
	simEvents.Store(string(data), e)
	return e
}

var errMovedOn = errors.New("the viewer has moved on")

// watch follows a stream to its end, moving from replica to replica.
func (s *sim) watch(ctx context.Context, name string, id MessageID) *simViewer {
	v := &simViewer{seq: eventlog.NoPosition}
	for ctx.Err() == nil && !v.end && v.err == nil {
		r := s.replicas[s.decide(len(s.replicas), "replica", name, id)]
		s.mu.Lock()
		dead := r.dead
		s.mu.Unlock()
		one, cancel := context.WithTimeout(ctx, 20*time.Second)
		stop := context.AfterFunc(r.ctx, cancel)
		v.upTo = max(v.seq, 0) + 1 + int64(s.decide(8, "patience", name, id))
		if !dead {
			x, err := r.hub.Attach(one, as("u"), id, eventlog.SSE, v.seq)
			if errors.Is(err, ErrUpToDate) {
				v.end = true
			}
			if err == nil {
				watch(one, x, v.Write) // until it moves on, or the replica dies
				// It leaves at a moment of its own: at that of the read that brought it
				// what it was shown, what is read next would be Go's scheduler's choice.
				pause(one, s.takes(time.Millisecond, "leave", name, id))
				x.Close()
			}
		}
		stop()
		cancel()
		pause(ctx, 10*time.Millisecond+s.takes(time.Millisecond, "walk", name, id))
	}
	return v
}

// What goes wrong in a schedule.
const (
	simDies        = "a replica dies"
	simDiesWithLog = "a replica dies, and the bus is emptied at that moment"
	simDiesUnheard = "a replica dies that was cut off from the bus"
	simCutOff      = "a replica is cut off"
	simStoreCut    = "a replica is cut off from the database"
	simBusCut      = "a replica is cut off from the bus"
	simBusAway     = "the bus is away"
	simBusEmptied  = "the bus is away, and comes back empty"
	simLogLost     = "the bus is emptied"
	simStoreAway   = "the database is away"
	simStop        = "a person stops an answer"
	simLogRefuses  = "the log of one answer refuses, and is gone then"
	simSuspended   = "a replica is suspended"
)

var simFaults = []string{
	simDies, simDiesWithLog, simDiesUnheard, simCutOff, simStoreCut, simBusCut, simBusAway, simBusEmptied, simLogLost, simStoreAway, simStop, simLogRefuses, simSuspended,
}

// simFault is one of them.
type simFault struct {
	kind    string
	replica *simReplica
	lasts   time.Duration
	at      time.Time
}

// fault decides what goes wrong when, and does it.
func (s *sim) fault(ctx context.Context) simFault {
	pause(ctx, s.takes(4*time.Second, "fault at", "", ""))
	f := simFault{
		kind: cmp.Or(s.only, simFaults[s.decide(len(simFaults), "fault", "", "")]), replica: s.replicas[s.decide(3, "fault of", "", "")],
		lasts: 200*time.Millisecond + s.takes(12*time.Second, "fault for", "", ""), at: time.Now(),
	}
	set := func(f func()) { s.mu.Lock(); f(); s.mu.Unlock() }
	switch r := f.replica; f.kind {
	case simDies, simDiesWithLog:
		set(func() { r.dead = true })
		if f.kind == simDiesWithLog {
			s.bus.Break(true)
			pause(ctx, s.takes(time.Microsecond, "cut", r.name, "")) // first the others hear of the one
		}
		r.wires()
	case simDiesUnheard:
		set(func() { r.until[toBus] = f.at.Add(time.Hour) })
		pause(ctx, f.lasts)
		f.at = time.Now()
		set(func() { r.dead = true })
		r.wires()
	case simCutOff, simStoreCut, simBusCut:
		set(func() {
			for to, not := range []string{simBusCut, simStoreCut} {
				if f.kind != not {
					r.until[to] = f.at.Add(f.lasts)
				}
			}
		})
		pause(ctx, f.lasts)
		s.bus.Break(false)
	case simSuspended:
		// It hears and says nothing meanwhile, and its monotonic clock stands still. Of its
		// wall clock, half of the machines know afterwards how long that was.
		set(func() { r.until = [2]time.Time{f.at.Add(f.lasts), f.at.Add(f.lasts)} })
		pause(ctx, f.lasts)
		l := &r.hub.shares().lease
		l.mu.Lock()
		if l.renewed = l.renewed.Add(f.lasts); l.renewed.After(time.Now()) {
			l.renewed = time.Now()
		}
		if s.decide(2, "wall clock", r.name, "") == 0 {
			l.slept = func() time.Duration { return f.lasts }
		}
		l.mu.Unlock()
	case simBusAway, simBusEmptied:
		set(func() { s.busAway = true })
		pause(ctx, f.lasts)
		set(func() { s.busAway = false })
		s.bus.Break(f.kind == simBusEmptied)
	case simStoreAway:
		set(func() { s.store.away = true })
		pause(ctx, f.lasts)
		set(func() { s.store.away = false })
	case simLogLost:
		s.bus.Break(true)
	case simLogRefuses:
		set(func() { s.refuses = "a0" })
		pause(ctx, f.lasts)
		set(func() { s.refuses = "" })
		s.bus.mu.Lock()
		delete(s.bus.logs, "a0")
		s.bus.mu.Unlock()
	case simStop:
		s.store.mu.Lock()
		s.store.stops["a0"] = true
		s.store.mu.Unlock()
	}
	return f
}

// run is one schedule: answers, viewers, and something that goes wrong.
func (s *sim) run(t *testing.T) {
	for _, r := range s.replicas {
		if err := r.hub.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		lease := &r.hub.shares().lease
		lease.mu.Lock()
		lease.since = time.Now().Add(-r.hub.shares().ttl) // they have run for long, and may settle
		lease.mu.Unlock()
		time.Sleep(s.takes(333*time.Millisecond, "start", r.name, ""))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	viewers := map[MessageID][]*simViewer{}
	owners := map[MessageID]*simReplica{}
	var mu sync.Mutex
	for n := range 2 {
		id, q := MessageID(fmt.Sprint("a", n)), strings.Repeat("q", n+1)
		session := SessionID("s")
		owners[id] = s.replicas[s.decide(3, "asked", "", id)]
		asked := MessageID(fmt.Sprint("u", n))
		question := Question{SessionID: &session, MessageID: &asked, AnswerID: &id, Content: &q, Model: "sim/m", ParentGiven: true}
		if _, err := owners[id].hub.Ask(ctx, as("u"), question); err != nil {
			t.Fatal(err)
		}
		for k := range 4 {
			name := fmt.Sprint("viewer ", k)
			time.Sleep(s.takes(time.Millisecond, "comes", name, id))
			wg.Go(func() {
				v := s.watch(ctx, name, id)
				mu.Lock()
				defer mu.Unlock()
				viewers[id] = append(viewers[id], v)
			})
		}
	}
	f := s.fault(ctx)
	wg.Wait()
	synctest.Wait()
	s.mu.Lock()
	s.traced = false
	s.mu.Unlock()
	for _, what := range s.late {
		t.Errorf("%s: %s", f.kind, what)
	}
	for id, all := range viewers {
		f.judge(t, s.stored(id), owners[id], all)
	}
	for _, r := range s.replicas {
		r.wires()
		r.hub.Close()
	}
}

func (s *sim) stored(id MessageID) Message {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return *s.store.messages[id]
}

var simWhole = func() (whole string) {
	for i := range simWords {
		whole += simWord(i)
	}
	return whole
}()

// judge holds what an answer and its viewers ended with against the promises.
func (f simFault) judge(t *testing.T, m Message, owner *simReplica, viewers []*simViewer) {
	t.Helper()
	if m.Status == StatusStreaming || m.Status == StatusError || !strings.HasPrefix(simWhole, m.Content) || m.Status == StatusComplete && m.Content != simWhole {
		t.Errorf("%s: %s is %s with %q", f.kind, m.ID, m.Status, m.Content)
	}
	// Only an owner that died, or that nobody heard of for too long, leaves its
	// answer, and only one that died without its log loses what was just shown.
	dies, loses := false, time.Duration(-1)
	if f.replica == owner {
		switch f.kind {
		case simDies, simCutOff, simStoreCut, simSuspended:
			dies = true
		case simDiesWithLog:
			dies, loses = true, calmCheckpointEach+250*time.Millisecond // what a viewer elsewhere is ahead of the owner
		case simDiesUnheard:
			dies, loses = true, checkpointEach
		}
	}
	if stopped := f.kind == simStop && m.ID == "a0"; !dies && !stopped && m.Status != StatusComplete {
		t.Errorf("%s for %s: %s is %s", f.kind, f.lasts, m.ID, m.Status)
	}
	for _, v := range viewers {
		if v.err != nil || !v.end || v.text != m.Content || v.torn && loses < 0 {
			t.Errorf("%s (%s ago): a viewer of %s ended at %d (%v, %v) with %d bytes, taken back %v, stored %d as %s",
				f.kind, time.Since(f.at), m.ID, v.seq, v.end, v.err, len(v.text), v.torn, len(m.Content), m.Status)
		}
		for _, w := range v.shown {
			if w.bytes > len(m.Content) && f.at.Sub(w.at) > loses {
				t.Errorf("%s: %d bytes of %s are stored, %d were shown %s before", f.kind, len(m.Content), m.ID, w.bytes, f.at.Sub(w.at))
			}
		}
	}
}

func TestSimulatedSchedules(t *testing.T) {
	runs, workers := *simRuns, runtime.GOMAXPROCS(0)
	first := uint64(time.Now().UnixNano())
	if *simSeed != 0 {
		first, runs, workers = *simSeed, 1, 1
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a schedule leaves a lot, and keeps little
	t.Run("of", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint("worker ", w), func(t *testing.T) {
				t.Parallel()
				var seed uint64
				ended := false // false if it panics, too
				defer func() {
					if !ended || t.Failed() {
						t.Logf("to replay: go test ./hub -run TestSimulatedSchedules -sim.seed %d -v", seed)
					}
				}()
				for i := w; i < runs && !t.Failed(); i += workers {
					seed = first + uint64(i)
					for _, step := range simulate(t, seed, *simSeed != 0).trace {
						t.Log(step)
					}
				}
				ended = true
			})
		}
	})
	t.Logf("%d schedules", runs)
}

// TestSuspendedOwnersWriteNothing suspends replicas, whose clocks stand still meanwhile:
// once another replica has taken an answer over, neither the bus nor the journal has anything
// more of its old owner, and viewers are shown nothing that is not stored.
func TestSuspendedOwnersWriteNothing(t *testing.T) {
	first, workers := uint64(time.Now().UnixNano()), runtime.GOMAXPROCS(0)
	for w := range workers {
		t.Run(fmt.Sprint("worker ", w), func(t *testing.T) {
			t.Parallel()
			for i := w; i < *simRuns/2 && !t.Failed(); i += workers {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(first + uint64(i))
					s.only = simSuspended
					s.run(t)
				})
				if t.Failed() {
					t.Logf("of seed %d", first+uint64(i))
				}
			}
		})
	}
}

// simulate runs one schedule; if it is traced, its steps are in order of their
// moments, and those of one moment, whose order changes nothing, by name.
func simulate(t *testing.T, seed uint64, traced bool) (s *sim) {
	synctest.Test(t, func(t *testing.T) {
		s = newSim(seed)
		s.traced = traced
		s.run(t)
	})
	slices.SortFunc(s.trace, simStep.compare)
	return s
}

// TestSeedIsASchedule: a seed gives the same steps at the same moments. What happens at
// one moment happens in any order, which on a busy machine may matter now and then: a seed
// whose steps differ has two more tries.
func TestSeedIsASchedule(t *testing.T) {
	seeds, workers := 300, runtime.GOMAXPROCS(0)
	for w := range workers {
		t.Run(fmt.Sprint("worker ", w), func(t *testing.T) {
			t.Parallel()
			for i := w; i < seeds; i += workers {
				differs := ""
				for range 3 {
					if differs = difference(t, uint64(i+1)); differs == "" {
						break
					}
				}
				if differs != "" {
					t.Error(differs)
				}
			}
		})
	}
}

// difference says where two runs of a seed differ, "" if they do not.
func difference(t *testing.T, seed uint64) string {
	one, two := simulate(t, seed, true).trace, simulate(t, seed, true).trace
	for k := range max(len(one), len(two)) {
		if k >= len(one) || k >= len(two) || one[k] != two[k] {
			return fmt.Sprintf("seed %d: of %d and %d steps, number %d differs:\n%v\n%v", seed, len(one), len(two), k, one[min(k, len(one)):min(k+3, len(one))], two[min(k, len(two)):min(k+3, len(two))])
		}
	}
	return ""
}
