package repo

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/eventlog"
)

// journalRowMax bounds the text in one row, in bytes: a larger batch is several
// rows, so that no append holds the writer for long.
const journalRowMax = 1 << 20

// journalKeep is how long a row may be another replica's; no answer takes as long.
const journalKeep = 24 * time.Hour

// journalEntry is how an entry lies in a row.
type journalEntry struct {
	Stream hub.MessageID `json:"m"`
	Epoch  int64         `json:"e"`
	From   int64         `json:"f,omitempty"`
	Seq    int64         `json:"s"`
	Runs   []journalRun  `json:"r"`
}

// journalRun is deltas of one kind. Text and thoughts lie where programs of before look for
// them, and all else beside that.
type journalRun struct {
	Text    string `json:"t"`
	Thought bool   `json:"k,omitempty"`
	Kind    string `json:"x,omitempty"` // of any other kind: its name
	Call    string `json:"i,omitempty"`
	Other   string `json:"o,omitempty"` // the text of it
}

func (r *journalRun) delta() (eventlog.Delta, bool) {
	if r.Kind == "" {
		d := eventlog.Delta{Text: r.Text}
		if r.Thought {
			d.Kind = eventlog.Reasoning
		}
		return d, true
	}
	kind, ok := eventlog.KindOf(r.Kind)
	return eventlog.Delta{Kind: kind, Call: r.Call, Text: r.Other}, ok
}

// appendJournal adds a batch to dst as it lies in a row, neighbours of one kind as one.
// It allocates only to grow dst: a row is written many times a second.
func appendJournal(dst []byte, batch []hub.JournalEntry) []byte {
	dst = append(dst, '[')
	for i, e := range batch {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"m":"`...)
		dst = eventlog.AppendEscaped(dst, string(e.Stream))
		dst = append(dst, `","e":`...)
		dst = strconv.AppendInt(dst, e.Epoch, 10)
		if e.From != 0 {
			dst = append(dst, `,"f":`...)
			dst = strconv.AppendInt(dst, e.From, 10)
		}
		dst = append(dst, `,"s":`...)
		dst = strconv.AppendInt(dst, e.Seq, 10)
		dst = append(dst, `,"r":[`...)
		open := false // a run of text or thoughts
		for j, d := range e.Deltas {
			goesOn := j > 0 && d.Kind.Plain() && d.Kind == e.Deltas[j-1].Kind
			if open && !goesOn {
				dst = endRun(dst, e.Deltas[j-1].Kind)
			}
			if j > 0 && !goesOn {
				dst = append(dst, ',')
			}
			if open = d.Kind.Plain(); !open {
				dst = appendOther(dst, d)
				continue
			}
			if !goesOn {
				dst = append(dst, `{"t":"`...)
			}
			dst = eventlog.AppendEscaped(dst, d.Text)
		}
		if open {
			dst = endRun(dst, e.Deltas[len(e.Deltas)-1].Kind)
		}
		dst = append(dst, "]}"...)
	}
	return append(dst, ']')
}

func endRun(dst []byte, kind eventlog.Kind) []byte {
	if kind == eventlog.Reasoning {
		return append(dst, `","k":true}`...)
	}
	return append(dst, `"}`...)
}

// appendOther adds a delta that is neither text nor a thought.
func appendOther(dst []byte, d eventlog.Delta) []byte {
	dst = append(append(dst, `{"t":"","x":"`...), d.Kind.String()...)
	dst = eventlog.AppendEscaped(append(dst, `","i":"`...), d.Call)
	dst = eventlog.AppendEscaped(append(dst, `","o":"`...), d.Text)
	return append(dst, `"}`...)
}

// decodeJournal reads a row. Of a damaged one it returns what can be read, and an
// error.
func decodeJournal(b []byte) ([]journalEntry, error) {
	var whole []journalEntry
	err := json.Unmarshal(b, &whole)
	if err == nil {
		return whole, nil
	}
	var some []journalEntry
	list := json.NewDecoder(bytes.NewReader(b))
	if start, _ := list.Token(); start == json.Delim('[') {
		for list.More() {
			var e journalEntry
			var odd *json.UnmarshalTypeError
			wrong := list.Decode(&e)
			if wrong != nil && !errors.As(wrong, &odd) {
				break // nothing can be read behind it
			}
			if wrong == nil {
				some = append(some, e)
			}
		}
	}
	return some, fmt.Errorf("journal row: %w", err)
}

// Append is hub.Journal's.
func (r *Repo) Append(ctx context.Context, batch []hub.JournalEntry) error {
	var fenced []hub.MessageID
	err := r.appendRows(ctx, batch)
	if errors.Is(err, hub.ErrFenced) { // some of it: the others are stored without
		if batch, fenced, err = r.current(ctx, batch); err == nil {
			err = r.appendRows(ctx, batch)
		}
	}
	switch {
	case errors.Is(err, hub.ErrFenced): // one more was claimed meanwhile
		return &hub.Error{Code: hub.CodeUnavailable, Msg: "an answer was claimed; append again", Err: err}
	case err == nil && len(fenced) > 0:
		return &hub.FencedError{Streams: fenced}
	}
	return err
}

// current returns those entries whose answers stream still with their owner and epoch, and
// the streams of the others.
func (r *Repo) current(ctx context.Context, batch []hub.JournalEntry) (current []hub.JournalEntry, fenced []hub.MessageID, err error) {
	rows := map[hub.MessageID]messageRow{}
	for part := range slices.Chunk(batch, rowsMax) {
		ids := make([]hub.MessageID, len(part))
		for i, e := range part {
			ids[i] = e.Stream
		}
		var some []messageRow
		err := r.db.NewSelect().Model(&some).Column("id", "owner", "epoch").Where("id IN (?) AND status = ?", bun.List(ids), hub.StatusStreaming).Scan(ctx)
		if err != nil {
			return nil, nil, fail(err)
		}
		for _, m := range some {
			rows[m.ID] = m
		}
	}
	for _, e := range batch {
		if m := rows[e.Stream]; m.Epoch == e.Epoch && m.Owner == e.Owner {
			current = append(current, e)
		} else {
			fenced = append(fenced, e.Stream)
		}
	}
	return current, fenced, nil
}

func (r *Repo) appendRows(ctx context.Context, batch []hub.JournalEntry) error {
	for len(batch) > 0 {
		n, size := 0, 0
		for n < len(batch) && (n == 0 || size < journalRowMax && (!r.shared || n < rowsMax)) {
			for _, d := range batch[n].Deltas {
				size += len(d.Text)
			}
			n++
		}
		if err := r.appendRow(ctx, batch[:n]); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

var rowBuffers = sync.Pool{New: func() any { return new([]byte) }}

func (r *Repo) appendRow(ctx context.Context, batch []hub.JournalEntry) error {
	buf := rowBuffers.Get().(*[]byte)
	*buf = appendJournal((*buf)[:0], batch)
	defer func() {
		if cap(*buf) <= journalRowMax {
			rowBuffers.Put(buf)
		}
	}()
	drop := r.journal.freed("")
	insert := r.insertRow
	if r.shared {
		insert = r.insertFenced
	}
	row, err := insert(ctx, batch, *buf, drop)
	if err != nil {
		return err
	}
	r.journal.release("", drop)
	ids := make([]hub.MessageID, len(batch))
	for i, e := range batch {
		ids[i] = e.Stream
	}
	r.journal.hold(row, ids...)
	return nil
}

// insertRow stores a row, and deletes those that nobody needs.
func (r *Repo) insertRow(ctx context.Context, _ []hub.JournalEntry, entries []byte, drop []int64) (row int64, err error) {
	err = r.write(ctx, false, func(ctx context.Context, tx bun.Tx) error {
		if err := deleteJournal(ctx, tx, drop); err != nil {
			return err
		}
		return r.bound.journal.row(ctx, tx, entries, now()).Scan(&row)
	})
	return row, err
}

// insertFenced is insertRow where there are several replicas. It returns ErrFenced if an
// answer of the batch has another owner or epoch by now, or has ended. It locks the answers
// against those who claim them, in one statement that is a transaction: such a lock does not
// outlive the connection of a machine that is suspended.
func (r *Repo) insertFenced(ctx context.Context, batch []hub.JournalEntry, entries []byte, drop []int64) (row int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	if err := deleteJournal(ctx, r.db, drop); err != nil {
		return 0, fail(err)
	}
	type owned struct {
		ID    hub.MessageID `bun:"type:uuid"`
		Owner string
		Epoch int64
	}
	mine := make([]owned, 0, len(batch))
	for _, e := range batch {
		if o := (owned{e.Stream, e.Owner, e.Epoch}); !slices.Contains(mine, o) {
			mine = append(mine, o)
		}
	}
	err = r.db.NewRaw(`WITH given (id, owner, epoch) AS (?),
		mine AS (SELECT m.id FROM messages AS m JOIN given AS g ON m.id = g.id AND m.owner = g.owner AND m.epoch = g.epoch
			WHERE m.status = ? ORDER BY m.id FOR SHARE OF m)
		INSERT INTO journal (entries, created_at) SELECT ?, ? WHERE (SELECT count(*) FROM mine) = ? RETURNING id`,
		r.db.NewValues(&mine), hub.StatusStreaming, entries, now(), len(mine)).Scan(ctx, &row)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, hub.ErrFenced
	}
	return row, fail(err)
}

func deleteJournal(ctx context.Context, tx bun.IDB, ids []int64) error {
	for len(ids) > 0 {
		n := min(len(ids), rowsMax)
		if _, err := tx.NewDelete().Model((*journalRow)(nil)).Where("id IN (?)", bun.List(ids[:n])).Exec(ctx); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// readJournal adds what the journal has to the orphans, and deletes the rows
// that none of them needs. What cannot be read of it is lost, and no more.
func (r *Repo) readJournal(ctx context.Context, tx bun.Tx, orphans map[hub.MessageID]*hub.Orphan) error {
	var rows []journalRow
	if len(orphans) == 0 && r.shared {
		return nil
	}
	if err := tx.NewSelect().Model(&rows).Order("id").Scan(ctx); err != nil {
		return err
	}
	entries, damaged := make([][]journalEntry, len(rows)), make([]error, len(rows))
	for i, row := range rows {
		entries[i], damaged[i] = decodeJournal(row.Entries)
	}
	others, err := r.unclaimed(ctx, tx, entries, orphans)
	if err != nil {
		return err
	}
	logs, epochs := map[hub.MessageID]*eventlog.Log{}, map[hub.MessageID]int64{}
	var drop []int64
	for i, row := range rows {
		needed := r.journal.holds(row.ID)
		if err := damaged[i]; err != nil {
			if _, known := r.damaged.LoadOrStore(row.ID, true); !known {
				r.log.Error("read the journal: what one row has cannot be read", "row", row.ID, "err", err)
			}
			for id, o := range orphans { // it may be any of theirs
				o.Lost = true
				if !r.shared {
					needed = true
					r.journal.hold(row.ID, id)
				}
			}
		}
		shared := slices.ContainsFunc(entries[i], func(e journalEntry) bool { return others[e.Stream] })
		for _, e := range entries[i] {
			o := orphans[e.Stream]
			if o == nil {
				continue
			}
			if needed = true; !shared { // else it is not deleted when these have ended
				r.journal.hold(row.ID, e.Stream)
			}
			if e.Epoch < epochs[e.Stream] { // of an owner that another one has followed
				continue
			}
			if anew := e.Epoch > epochs[e.Stream] && e.From == 0; e.Seq <= o.Said.Seq && !anew { // appended twice
				continue
			}
			epochs[e.Stream] = e.Epoch
			if o.Lost = e.From != 0 && e.From != o.Said.Seq; o.Lost { // a hole
				continue
			}
			o.Said.Seq = e.Seq
			l := logs[e.Stream]
			if l == nil || e.From == 0 {
				l = eventlog.New(eventlog.Start{})
				logs[e.Stream] = l
			}
			for i := range e.Runs {
				if d, ok := e.Runs[i].delta(); ok {
					l.Append(d)
				}
			}
		}
		if !needed && (!r.shared || now().Sub(row.CreatedAt) > journalKeep) {
			drop = append(drop, row.ID)
		}
	}
	for id, l := range logs {
		said := &orphans[id].Said
		seq := said.Seq
		*said = l.Content()
		said.Seq = seq
	}
	return deleteJournal(ctx, tx, drop)
}

// unclaimed returns the streaming answers that are not among the orphans and that the rows of
// orphans tell of, too. These rows are needed by the replica that will claim them.
func (r *Repo) unclaimed(ctx context.Context, tx bun.Tx, rows [][]journalEntry, orphans map[hub.MessageID]*hub.Orphan) (map[hub.MessageID]bool, error) {
	out := map[hub.MessageID]bool{}
	if !r.shared { // all were claimed
		return out, nil
	}
	for _, entries := range rows {
		if !slices.ContainsFunc(entries, func(e journalEntry) bool { return orphans[e.Stream] != nil }) {
			continue
		}
		for _, e := range entries {
			if _, ok := hub.ParseID(string(e.Stream)); ok && orphans[e.Stream] == nil {
				out[e.Stream] = false
			}
		}
	}
	for part := range slices.Chunk(slices.Collect(maps.Keys(out)), rowsMax) {
		var ids []hub.MessageID
		err := tx.NewSelect().Model((*messageRow)(nil)).Column("id").Where("id IN (?) AND status = ?", bun.List(part), hub.StatusStreaming).Scan(ctx, &ids)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			out[id] = true
		}
	}
	return out, nil
}

// rowNeeds knows which streams need which rows of the journal.
type rowNeeds struct {
	mu    *sync.Mutex
	rows  map[hub.MessageID][]int64
	needs map[int64]int // how many streams need a row
	free  map[int64]struct{}
	ended map[hub.MessageID]time.Time // lately: an append that was under way is not held
	swept time.Time                   // when ended was
}

func newRowNeeds() rowNeeds {
	return rowNeeds{
		mu: new(sync.Mutex), rows: map[hub.MessageID][]int64{}, needs: map[int64]int{}, free: map[int64]struct{}{},
		ended: map[hub.MessageID]time.Time{},
	}
}

// hold says that the streams need the row.
func (l *rowNeeds) hold(row int64, ids ...hub.MessageID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	needs := l.needs[row]
	for _, id := range ids {
		if _, ok := l.ended[id]; ok {
			continue
		}
		rows := l.rows[id]
		if n := len(rows); n == 0 || rows[n-1] < row || !slices.Contains(rows, row) {
			l.rows[id] = append(rows, row)
			needs++
		}
	}
	if needs == 0 {
		l.free[row] = struct{}{}
		return
	}
	l.needs[row] = needs
	delete(l.free, row)
}

// holds says whether any stream needs the row.
func (l *rowNeeds) holds(row int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.needs[row] > 0
}

// freed returns the rows that nobody needs, counting out the stream id.
func (l *rowNeeds) freed(id hub.MessageID) []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []int64
	for row := range l.free {
		out = append(out, row)
	}
	for _, row := range l.rows[id] {
		if l.needs[row] == 1 {
			out = append(out, row)
		}
	}
	return out
}

// release says that the stream, if id names one, needs no rows any more, and
// that those in dropped have been deleted.
func (l *rowNeeds) release(id hub.MessageID, dropped []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, row := range l.rows[id] {
		if l.needs[row]--; l.needs[row] == 0 {
			delete(l.needs, row)
			l.free[row] = struct{}{}
		}
	}
	delete(l.rows, id)
	for _, row := range dropped {
		delete(l.free, row)
	}
	if id == "" {
		return
	}
	at := now()
	if at.Sub(l.swept) > endedFor {
		l.swept = at
		for id, since := range l.ended {
			if at.Sub(since) > endedFor {
				delete(l.ended, id)
			}
		}
	}
	l.ended[id] = at
}

// endedFor is how long at least a stream that has ended is remembered.
const endedFor = time.Minute

// forget says that another process needs the stream's rows, and this one does
// not delete them.
func (l *rowNeeds) forget(id hub.MessageID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, row := range l.rows[id] {
		if l.needs[row]--; l.needs[row] == 0 {
			delete(l.needs, row)
		}
	}
	delete(l.rows, id)
}
