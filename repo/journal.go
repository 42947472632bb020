package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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

type journalRun struct {
	Text      string `json:"t"`
	Reasoning bool   `json:"k,omitempty"`
}

// appendJournal adds a batch to dst as it lies in a row, runs of one kind as one.
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
		for j, run := range e.Runs {
			switch {
			case j == 0:
				dst = append(dst, `{"t":"`...)
			case run.Reasoning != e.Runs[j-1].Reasoning:
				dst = endRun(dst, !run.Reasoning)
				dst = append(dst, `,{"t":"`...)
			}
			dst = eventlog.AppendEscaped(dst, run.Text)
		}
		if n := len(e.Runs); n > 0 {
			dst = endRun(dst, e.Runs[n-1].Reasoning)
		}
		dst = append(dst, "]}"...)
	}
	return append(dst, ']')
}

func endRun(dst []byte, reasoning bool) []byte {
	if reasoning {
		return append(dst, `","k":true}`...)
	}
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
	batch, fenced, err := r.current(ctx, batch)
	if err != nil {
		return err
	}
	if err := r.appendRows(ctx, batch); err != nil {
		return err
	}
	if len(fenced) > 0 {
		return &hub.FencedError{Streams: fenced}
	}
	return nil
}

// current returns those entries whose answers stream still with their epoch, and
// the streams of the others. One process alone has no others.
func (r *Repo) current(ctx context.Context, batch []hub.JournalEntry) (current []hub.JournalEntry, fenced []hub.MessageID, err error) {
	if !r.shared {
		return batch, nil, nil
	}
	epochs := map[hub.MessageID]int64{}
	for part := range slices.Chunk(batch, rowsMax) {
		ids := make([]hub.MessageID, len(part))
		for i, e := range part {
			ids[i] = e.Stream
		}
		var rows []messageRow
		// The rows are not locked, as a lock would outlive the connection of a machine that
		// is suspended. A replica that shows first looks at its lease once more after this.
		err := r.db.NewSelect().Model(&rows).Column("id", "epoch").Where("id IN (?) AND status = ?", bun.List(ids), hub.StatusStreaming).Scan(ctx)
		if err != nil {
			return nil, nil, fail(err)
		}
		for _, m := range rows {
			epochs[m.ID] = m.Epoch
		}
	}
	for _, e := range batch {
		if epochs[e.Stream] == e.Epoch {
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
		for n < len(batch) && (n == 0 || size < journalRowMax) {
			for _, run := range batch[n].Runs {
				size += len(run.Text)
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
	var row int64
	drop := r.journal.freed("")
	err := r.write(ctx, false, func(ctx context.Context, tx bun.Tx) error {
		if err := deleteJournal(ctx, tx, drop); err != nil {
			return err
		}
		return r.bound.journal.row(ctx, tx, *buf, now()).Scan(&row)
	})
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

func deleteJournal(ctx context.Context, tx bun.Tx, ids []int64) error {
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
	type text struct{ content, reasoning strings.Builder }
	texts := map[hub.MessageID]*text{}
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
			if e.Seq <= o.Seq { // appended twice
				continue
			}
			if o.Lost = e.From != 0 && e.From != o.Seq; o.Lost { // a hole
				continue
			}
			o.Seq = e.Seq
			t := texts[e.Stream]
			if t == nil || e.From == 0 {
				t = new(text)
				texts[e.Stream] = t
			}
			for _, run := range e.Runs {
				if run.Reasoning {
					t.reasoning.WriteString(run.Text)
				} else {
					t.content.WriteString(run.Text)
				}
			}
		}
		if !needed && (!r.shared || now().Sub(row.CreatedAt) > journalKeep) {
			drop = append(drop, row.ID)
		}
	}
	for id, t := range texts {
		orphans[id].Content, orphans[id].Reasoning = t.content.String(), t.reasoning.String()
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
