package hub

import (
	"cmp"
	"context"
	"slices"
	"time"
)

const (
	owedEach  = 256     // answers that are read from the database for one viewer at a time
	owedBytes = 4 << 20 // of their text; a longer one is read alone
	owedAgain = time.Second
)

// owed is an ended answer of which a client has not got everything.
type owed struct {
	id    MessageID
	pos   int64
	bytes int64
}

// owing is the ended answers of a session that a viewer is still to be sent. They are read a
// few at a time, when it has been sent all else, so that thousands are not held at once.
type owing struct {
	list    []owed
	reading bool // a goroutine reads the next ones
}

// part takes the next answers that are read at a time off the list.
func (o *owing) part() []owed {
	n, bytes := 0, int64(0)
	for n < len(o.list) && n < owedEach && (n == 0 || bytes+o.list[n].bytes <= owedBytes) {
		bytes += o.list[n].bytes
		n++
	}
	part := o.list[:n:n]
	o.list = o.list[n:]
	return part
}

// lookUpLogs looks for the answers in positions of which the feed has no stream. Those that
// have ended are found in one query: it returns the logs of the first ones, and a list of the
// others. Those that run on another replica are begun in the feed, so that the viewer's place
// in them is kept. Answers of other sessions are left out.
func (v *Viewer) lookUpLogs(ctx context.Context, f *feed, positions map[MessageID]int64) ([]*liveLog, owing, error) {
	var ids, elsewhere []MessageID
	var o owing
	f.mu.Lock()
	for id := range positions {
		if f.streams[id] == nil {
			ids = append(ids, id)
		}
	}
	f.mu.Unlock()
	if len(ids) == 0 {
		return nil, o, nil
	}
	standings, err := v.hub.store.Standings(ctx, f.session, ids)
	if err != nil {
		return nil, o, err
	}
	for _, s := range standings {
		switch {
		case !s.Streaming && s.Seq != positions[s.ID]:
			o.list = append(o.list, owed{s.ID, positions[s.ID], s.Bytes})
		case s.Streaming && v.hub.streams.of(s.ID) == nil:
			elsewhere = append(elsewhere, s.ID)
		}
	}
	slices.SortFunc(o.list, func(a, b owed) int { return cmp.Compare(a.id, b.id) })
	part := o.part()
	if len(part)+len(elsewhere) == 0 {
		return nil, o, nil
	}
	messages, err := v.feeds.readOwed(ctx, f.session, part, elsewhere)
	if err != nil {
		return nil, o, err
	}
	var logs []*liveLog
	for _, m := range messages {
		if m.Status != StatusStreaming {
			logs = append(logs, newEndedLog(m))
		} else if slices.Contains(elsewhere, m.ID) {
			v.feeds.peers.elsewhere(f, m)
		}
	}
	return logs, o, nil
}

// readOwed reads answers of a session: those of part, and more.
func (fs *feeds) readOwed(ctx context.Context, session SessionID, part []owed, more []MessageID) ([]Message, error) {
	ids := slices.Clone(more)
	for _, o := range part {
		ids = append(ids, o.id)
	}
	return fs.store.Answers(ctx, session, ids)
}

// payOwed has the next answers read that the viewer is still to be sent, unless some are being
// read. The caller holds the feed's lock.
func (s *sub) payOwed() {
	fs, o := s.viewer.feeds, s.owing
	switch {
	case o == nil, o.reading, fs.bg.Ended():
	case len(o.list) == 0:
		s.owing = nil
	default:
		o.reading = true
		part := o.part()
		fs.bg.Go(func() { fs.readPart(s, o, part) })
	}
}

// readPart reads answers and gives the viewer its places in them. While the database is away
// it tries again, until the viewer has left.
func (fs *feeds) readPart(s *sub, o *owing, part []owed) {
	fs.bg.Retry(fs.bg.Context(), owedAgain, owedAgain, func() bool {
		ctx, cancel := context.WithTimeout(fs.bg.Context(), 5*time.Second)
		defer cancel()
		messages, err := fs.readOwed(ctx, s.feed.session, part, nil)
		return s.receiveOwed(o, part, messages, err)
	})
}

// receiveOwed gives the viewer its places in the answers that were read, and says whether
// nothing is left to do.
func (s *sub) receiveOwed(o *owing, part []owed, messages []Message, err error) bool {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.at < 0 || s.owing != o { // it has left, or asked again
		return true
	}
	if err != nil {
		return false
	}
	for _, m := range messages {
		i := slices.IndexFunc(part, func(o owed) bool { return o.id == m.ID })
		if i >= 0 && m.Status != StatusStreaming && f.streams[m.ID] == nil {
			s.place(newEndedLog(m), part[i].pos)
		}
	}
	o.reading = false
	s.viewer.signal()
	return true
}
