package hub

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"iter"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	simSeed = flag.Uint64("sim.seed", 0, "replay one schedule of the simulation, with its trace")
	simRuns = flag.Int("sim.runs", 500, "schedules of the simulation")
)

// sim is three hubs on one model of a database and a bus, in a bubble of its
// own time. What goes wrong is decided by hashes of the seed and of what is
// about to happen, so that a seed is a schedule.
type sim struct {
	seed  uint64
	bus   *LocalBus
	store *simStore

	mu       sync.Mutex
	replicas []*simReplica
	asked    map[string]int // how often a thing was decided
	trace    []string
	busAway  bool
	faultAt  string
}

type simReplica struct {
	sim   *sim
	name  string
	hub   *Hub
	dead  bool
	until [2]time.Time // cut off from the database and from the bus
	wires context.CancelFunc
	ctx   context.Context // of the connections to it
}

// decide draws a number below n for the next thing of that name.
func (s *sim) decide(n int, what ...any) int {
	key := fmt.Sprint(what...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[key]++
	h := fnv.New64a()
	fmt.Fprint(h, s.seed, key, s.asked[key])
	v := int(h.Sum64() >> 33 % uint64(n))
	s.trace = append(s.trace, fmt.Sprintf("%s %s #%d: %d", time.Now().Format(traceTime), key, s.asked[key], v))
	return v
}

const traceTime = "04:05.000000000"

var errSimAway = errors.New("away")

// gate stands before every call of a replica to the bus or the database.
func (r *simReplica) gate(ctx context.Context, bus bool) error {
	for {
		r.sim.mu.Lock()
		dead, until, away, calm := r.dead, r.until[0], !bus && r.sim.store.away, r.sim.faultAt == ""
		if bus {
			until, away = r.until[1], r.sim.busAway
		}
		r.sim.mu.Unlock()
		switch {
		case dead:
			<-ctx.Done() // a dead process calls nobody
			return ctx.Err()
		case time.Now().Before(until):
			// What was held up goes on one by one.
			pc, _, _, _ := runtime.Caller(1)
			after := time.Duration(r.sim.decide(1_000_000, "release ", r.name, runtime.FuncForPC(pc).Name()))
			if !pause(ctx, time.Until(until)+after) {
				return ctx.Err()
			}
		case away:
			pc, _, _, _ := runtime.Caller(1)
			after := time.Duration(r.sim.decide(1_000_000, "refusal ", r.name, runtime.FuncForPC(pc).Name()))
			if !pause(ctx, 20*time.Millisecond+after) {
				return ctx.Err()
			}
			return &Error{Code: CodeUnavailable, Msg: "away", Err: errSimAway}
		case bus || calm: // up to the fault a seed is a schedule
			return nil
		default:
			pc, _, _, _ := runtime.Caller(1)
			took := time.Duration(r.sim.decide(3_000_000, "query ", r.name, runtime.FuncForPC(pc).Name()))
			if !pause(ctx, took) {
				return ctx.Err()
			}
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
	if b.r.sim.busAway || time.Now().Before(b.r.until[1]) {
		return errSimAway
	}
	return nil
}

func (b simBus) Publish(ctx context.Context, t Topic, p []byte) (int, error) {
	if err := b.r.gate(ctx, true); err != nil {
		return 0, err
	}
	return b.Bus.Publish(ctx, t, p)
}

func (b simBus) Ship(ctx context.Context, batches []Batch) ([]error, error) {
	if err := b.r.gate(ctx, true); err != nil {
		return nil, err
	}
	pause(ctx, time.Duration(1+b.r.sim.decide(3, "ship ", b.r.name))*time.Millisecond+time.Duration(b.r.name[1])*time.Nanosecond)
	out, err := b.Bus.Ship(ctx, batches)
	if err == nil && b.r.sim.decide(40, "answer lost ", b.r.name) == 0 {
		return nil, errSimAway // it was done, and will be done again
	}
	return out, err
}

func (b simBus) Read(ctx context.Context, s SessionID, id MessageID, after int64) (Tail, error) {
	if err := b.r.gate(ctx, true); err != nil {
		return Tail{}, err
	}
	return b.Bus.Read(ctx, s, id, after)
}

func (b simBus) Takeover(ctx context.Context, s SessionID, id MessageID, epoch int64) (Tail, error) {
	if err := b.r.gate(ctx, true); err != nil {
		return Tail{}, err
	}
	return b.Bus.Takeover(ctx, s, id, epoch)
}

func (b simBus) End(ctx context.Context, s SessionID, id MessageID, p []byte) error {
	if err := b.r.gate(ctx, true); err != nil {
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
}

func (*simStore) UserSettings(context.Context, UserID) (UserSettings, error) {
	return UserSettings{}, nil
}

func (*simStore) Prices(context.Context) ([]ModelPrice, error) { return nil, nil }

func (*simStore) Branch(context.Context, UserID, MessageID) ([]Message, error) { return nil, nil }

// simDB is a replica's connection to it.
type simDB struct {
	*simStore
	r *simReplica
}

func (d simDB) Session(ctx context.Context, _ UserID, id SessionID) (Session, error) {
	if err := d.r.gate(ctx, false); err != nil {
		return Session{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return *d.sessions[id], nil
}

func (d simDB) Versions(ctx context.Context, ids []SessionID, _ []UserID) (map[SessionID]int64, map[UserID]int64, error) {
	if err := d.r.gate(ctx, false); err != nil {
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

func (d simDB) Message(ctx context.Context, _ UserID, id MessageID) (Message, error) {
	if err := d.r.gate(ctx, false); err != nil {
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
	if err := d.r.gate(ctx, false); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, m := range d.messages {
		if m.SessionID == session && m.Role == RoleOfAssistant && (m.Status == StatusStreaming || slices.Contains(ids, id)) {
			out = append(out, *m)
		}
	}
	return out, nil
}

func (d simDB) Ask(ctx context.Context, q StoredQuestion) (Asked, error) {
	if err := d.r.gate(ctx, false); err != nil {
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
	return Asked{Session: *s, Question: &question, Answer: *m, Branch: []Message{question}}, nil
}

func (d simDB) RequestStop(ctx context.Context, _ UserID, id MessageID) (Message, error) {
	if err := d.r.gate(ctx, false); err != nil {
		return Message{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stops[id] = true
	return *d.messages[id], nil
}

func (d simDB) EndAnswer(ctx context.Context, e AnswerEnd) (int64, error) {
	if err := d.r.gate(ctx, false); err != nil {
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
	m.Status, m.FinishReason, m.Content, m.Reasoning, m.Seq, m.Version = e.Reason.Status(), &e.Reason, e.Content, e.Reasoning, e.Seq, s.Version
	return s.Version, nil
}

func (d simDB) ClaimOrphans(ctx context.Context, owner string, grace time.Duration) (out []Orphan, err error) {
	if err := d.r.gate(ctx, false); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, m := range d.messages {
		o := d.owners[id]
		if m.Role != RoleOfAssistant || m.Status != StatusStreaming || o == owner || d.leases[o].Add(grace).After(time.Now()) {
			continue
		}
		m.Epoch++
		d.owners[id] = owner
		orphan := Orphan{Message: *m}
		for _, e := range d.journal {
			if e.Stream != id || e.Seq <= orphan.Seq || e.From != 0 && e.From != orphan.Seq {
				continue
			}
			if e.From == 0 {
				orphan.Content = ""
			}
			orphan.Seq = e.Seq
			for _, run := range e.Runs {
				orphan.Content += run.Text
			}
		}
		out = append(out, orphan)
	}
	return out, nil
}

func (d simDB) Append(ctx context.Context, batch []JournalEntry) error {
	if err := d.r.gate(ctx, false); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.journal = append(d.journal, batch...)
	return nil
}

func (d simDB) Renew(ctx context.Context, replica string, ttl time.Duration) error {
	if err := d.r.gate(ctx, false); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leases[replica] = time.Now().Add(ttl)
	return nil
}

func (d simDB) Release(context.Context, string) error { return nil } // the simulation's end

func (d simDB) Owned(ctx context.Context, replica string) (out []Ownership, err error) {
	if err := d.r.gate(ctx, false); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, m := range d.messages {
		if d.owners[id] == replica && m.Status == StatusStreaming {
			out = append(out, Ownership{ID: id, Epoch: m.Epoch, Stop: d.stops[id]})
		}
	}
	return out, nil
}

func (d simDB) Disown(ctx context.Context, owner string, ids []MessageID) error {
	if err := d.r.gate(ctx, false); err != nil {
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

// simProvider says n words, each at a moment that is no other stream's.
type simProvider struct{ sim *sim }

func (simProvider) Models(context.Context) ([]Model, error) {
	return []Model{{ID: "m", Name: "M"}}, nil
}

const simWords = 60

func simWord(i int) string { return fmt.Sprintf("w%d ", i) }

func (p simProvider) Stream(ctx context.Context, q Prompt) iter.Seq2[Delta, error] {
	name := q.Turns[len(q.Turns)-1].Content
	return func(yield func(Delta, error) bool) {
		for i := range simWords {
			d := time.Duration(p.sim.decide(400, "word ", name))*time.Millisecond + time.Duration(len(name)*7919)*time.Nanosecond
			if !pause(ctx, d) {
				yield(Delta{}, ctx.Err())
				return
			}
			if !yield(Delta{Text: simWord(i)}, nil) {
				return
			}
		}
		yield(Delta{Finish: ReasonStop}, nil)
	}
}

func newSim(seed uint64) *sim {
	s := &sim{seed: seed, bus: NewLocalBus(), asked: map[string]int{}, store: &simStore{
		sessions: map[SessionID]*Session{"s": {ID: "s", Version: 1}}, messages: map[MessageID]*Message{}, owners: map[MessageID]string{},
		stops: map[MessageID]bool{}, leases: map[string]time.Time{},
	}}
	s.bus.send = func(to *localClient, d delivery) {
		s.mu.Lock()
		var name string
		away := s.busAway
		for _, r := range s.replicas {
			if r.hub.opt.Bus.(simBus).Bus == Bus(to) {
				name = r.name
				away = away || time.Now().Before(r.until[1])
			}
		}
		s.mu.Unlock()
		h := fnv.New32a()
		h.Write(d.payload)
		switch n := s.decide(100, "deliver to ", name, " ", h.Sum32()); {
		case n < 3 || away: // dropped
		case n < 25: // late, and so behind what comes after it
			time.AfterFunc(time.Duration(n*10)*time.Millisecond+time.Duration(h.Sum32()%1_000_000), func() { to.push(d) })
		default:
			to.push(d)
		}
	}
	for i := range 3 {
		r := &simReplica{sim: s, name: fmt.Sprint("r", i)}
		r.ctx, r.wires = context.WithCancel(context.Background())
		db := simDB{simStore: s.store, r: r}
		r.hub = New(db, db, Fixed{"sim": simProvider{s}}, Options{
			Replica: r.name, Bus: simBus{Bus: s.bus.Client(), r: r}, Leases: db, Logger: slog.New(slog.DiscardHandler),
		})
		r.hub.commits.jitter = func(d time.Duration) time.Duration { return d }
		s.replicas = append(s.replicas, r)
	}
	return s
}

// simViewer keeps the rules of the contract.
type simViewer struct {
	seq  int64
	text string
	end  bool
	torn bool
	err  error
	upTo int64 // where it moves on
}

func (v *simViewer) Write(batch []byte) error {
	for line := range bytes.Lines(batch) {
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		var e struct {
			Type string
			From *int64
			Seq  int64
			Text string
		}
		if err := json.Unmarshal(data, &e); err != nil {
			v.err = err
		}
		switch {
		case e.Type == "snapshot":
			v.torn = v.torn || !strings.HasPrefix(e.Text, v.text)
			v.seq, v.text = e.Seq, e.Text
		case e.Seq <= v.seq:
		case e.From == nil && e.Seq != v.seq+1 || e.From != nil && *e.From != v.seq:
			v.err = fmt.Errorf("%s at a viewer that stands at %d", data, v.seq)
		default:
			v.seq, v.text, v.end = e.Seq, v.text+e.Text, e.Type == "finish"
		}
	}
	if v.seq >= v.upTo && !v.end {
		return errMovedOn
	}
	return nil
}

var errMovedOn = errors.New("the viewer has moved on")

// watch follows a stream to its end, moving from replica to replica.
func (s *sim) watch(ctx context.Context, name string, id MessageID) *simViewer {
	v := &simViewer{seq: NoPosition}
	for ctx.Err() == nil && !v.end && v.err == nil {
		r := s.replicas[s.decide(len(s.replicas), "replica of ", name)]
		s.mu.Lock()
		dead := r.dead
		s.mu.Unlock()
		one, cancel := context.WithTimeout(ctx, 20*time.Second)
		stop := context.AfterFunc(r.ctx, cancel)
		v.upTo = max(v.seq, 0) + 1 + int64(s.decide(8, "patience of ", name))
		if !dead {
			x, err := r.hub.Attach(one, "u", id, v.seq)
			if errors.Is(err, ErrUpToDate) {
				v.end = true
			}
			if err == nil {
				follow(one, x, v.Write) // until it moves on, or the replica dies
			}
		}
		stop()
		cancel()
		pause(ctx, 10*time.Millisecond+time.Duration(s.decide(1_000_000, "walk of ", name)))
	}
	return v
}

// run is one schedule: answers, viewers, and something that goes wrong.
func (s *sim) run(t *testing.T) {
	for _, r := range s.replicas {
		if err := r.hub.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7_000_003 * time.Nanosecond) // no two do a thing at the same moment
	}
	time.Sleep(7 * time.Second) // all may settle what a dead owner leaves
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	viewers := map[MessageID][]*simViewer{}
	var mu sync.Mutex
	for n := range 2 {
		id, q := MessageID(fmt.Sprint("a", n)), strings.Repeat("q", n+1)
		session := SessionID("s")
		r := s.replicas[s.decide(3, "asker ", n)]
		asked := MessageID(fmt.Sprint("u", n))
		question := Question{SessionID: &session, MessageID: &asked, AnswerID: &id, Content: &q, Model: "sim/m", ParentGiven: true}
		if _, err := r.hub.Ask(ctx, "u", question); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3_000_007 * time.Nanosecond)
		for k := range 5 {
			time.Sleep(1_300_011 * time.Nanosecond)
			wg.Go(func() {
				v := s.watch(ctx, fmt.Sprint("viewer ", n, k), id)
				mu.Lock()
				defer mu.Unlock()
				viewers[id] = append(viewers[id], v)
			})
		}
	}
	pause(ctx, time.Duration(s.decide(4000, "fault at"))*time.Millisecond)
	fault, d := s.decide(9, "fault"), time.Duration(200+s.decide(12000, "fault for"))*time.Millisecond
	r := s.replicas[s.decide(3, "fault of")]
	set := func(f func()) { s.mu.Lock(); f(); s.mu.Unlock() }
	died := time.Now()
	set(func() { s.faultAt = died.Format(traceTime) })
	switch fault {
	case 0:
		set(func() { r.dead = true })
		r.wires()
	case 1, 7, 8: // a replica is cut off from all, from the database, from the bus
		set(func() {
			for i := range r.until {
				if fault == 1 || fault == 7+i {
					r.until[i] = time.Now().Add(d)
				}
			}
		})
		pause(ctx, d)
		s.bus.Break(false)
	case 2, 3: // the bus goes away, and comes back with its logs, or without
		set(func() { s.busAway = true })
		pause(ctx, d)
		set(func() { s.busAway = false })
		s.bus.Break(fault == 3)
	case 4:
		set(func() { s.store.away = true })
		pause(ctx, d)
		set(func() { s.store.away = false })
	case 5:
		s.bus.Break(true)
	case 6:
		s.store.mu.Lock()
		s.store.stops["a0"] = true
		s.store.mu.Unlock()
	}
	wg.Wait()
	s.mu.Lock()
	last := time.Now().Format(traceTime) // of this moment some may be missing
	trace := slices.DeleteFunc(slices.Clone(s.trace), func(step string) bool { return strings.HasPrefix(step, last) })
	s.mu.Unlock()
	whole := ""
	for i := range simWords {
		whole += simWord(i)
	}
	for id, all := range viewers {
		s.store.mu.Lock()
		m := *s.store.messages[id]
		s.store.mu.Unlock()
		if m.Status == StatusStreaming || m.Status == StatusError || !strings.HasPrefix(whole, m.Content) || m.Status == StatusComplete && m.Content != whole {
			t.Errorf("fault %d: %s is %s with %q", fault, id, m.Status, m.Content)
		}
		// Only an owner that died, or that nobody heard of for too long, leaves its answer.
		if ownersDo := fault > 1 && fault != 7 && (fault != 6 || id != "a0"); ownersDo && m.Status != StatusComplete {
			t.Errorf("fault %d for %s: %s is %s", fault, d, id, m.Status)
		}
		for _, v := range all {
			if v.err != nil || !v.end || v.text != m.Content || v.torn {
				t.Errorf("fault %d (%s): a viewer of %s ended at %d (%v, %v) with %d bytes, taken back %v, stored %d as %s",
					fault, time.Since(died), id, v.seq, v.end, v.err, len(v.text), v.torn, len(m.Content), m.Status)
			}
		}
	}
	for _, r := range s.replicas {
		r.wires()
		r.hub.Close()
	}
	synctest.Wait()
	slices.SortFunc(trace, cmp.Compare[string])
	s.trace = trace
}

func TestSimulatedSchedules(t *testing.T) {
	runs := *simRuns
	first := uint64(time.Now().UnixNano())
	if *simSeed != 0 {
		first, runs = *simSeed, 1
	}
	seed := first
	defer func() {
		if t.Failed() {
			t.Logf("to replay: go test ./hub -run %s -sim.seed %d -v", t.Name(), seed)
		}
	}()
	for i := range runs {
		seed = first + uint64(i)
		var s *sim
		synctest.Test(t, func(t *testing.T) {
			s = newSim(seed)
			s.run(t)
		})
		if *simSeed != 0 {
			t.Log(strings.Join(s.trace, "\n"))
		}
	}
	t.Logf("%d schedules", runs)
}

// TestSeedIsASchedule: up to the fault a seed gives the same steps at the same
// moments. After it, what Go's scheduler does first at one moment may shift a
// step, but what is decided for a step stays.
func TestSeedIsASchedule(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		var before [2]string
		var decided [2]map[string]string
		for i := range 2 {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(seed)
				s.run(t)
				decided[i] = map[string]string{}
				for _, step := range s.trace {
					if step < s.faultAt {
						before[i] += step + "\n"
					}
					_, what, _ := strings.Cut(step, " ")
					key, value, _ := strings.Cut(what, ": ")
					decided[i][key] = value
				}
			})
		}
		if before[0] != before[1] || before[0] == "" {
			t.Errorf("seed %d: the steps were\n%s\nand then\n%s", seed, before[0], before[1])
		}
		common := 0
		for key, value := range decided[0] {
			if again, ok := decided[1][key]; ok {
				common++
				if again != value {
					t.Errorf("seed %d: %s was %s, and then %s", seed, key, value, again)
				}
			}
		}
		if common < len(decided[0])/2 {
			t.Errorf("seed %d: %d of %d decisions came again", seed, common, len(decided[0]))
		}
	}
}
