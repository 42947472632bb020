package hub

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
)

func TestRoomLetsOthersInWhileAUserWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(100, 10)
		in := make(chan UserID, 4)
		enter := func(user UserID, n int64) {
			if err := r.enter(t.Context(), user, n); err == nil {
				in <- user
			}
		}
		enter("ann", 8)
		go enter("ann", 3)
		synctest.Wait()
		enter("bob", 50) // more than a user may have, but alone
		enter("cat", 10)
		if len(in) != 3 {
			t.Fatalf("%d are in, want ann, bob and cat", len(in))
		}
		if r.try("ann", 3) || !r.try("ann", 2) || r.try("dan", 50) {
			t.Error("takes more than there is, or less")
		}
		r.leave("ann", 8)
		synctest.Wait()
		if len(in) != 4 {
			t.Error("ann still waits although there is room")
		}
		r.leave("bob", 50)
		r.leave("cat", 10)
		r.leave("ann", 5)
		if r.used != 0 || len(r.by) != 0 {
			t.Errorf("%d bytes are left, %v", r.used, r.by)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r.try("ann", 10)
		cancel()
		if r.enter(ctx, "ann", 1) == nil {
			t.Error("is let in after it has given up")
		}
	})
}

func TestAnswersOfAUserShareTheirRoom(t *testing.T) {
	const limit = 4 * answerLump
	held := newRoom(100*limit, 2*limit)
	streams := make([]*stream, 3)
	for i := range streams {
		streams[i] = &stream{user: "ann", limit: limit, held: held}
	}
	piece := answerLump
	grow := func(st *stream) (n int) {
		for st.keep(piece) {
			n++
		}
		return n
	}
	if a, b, c := grow(streams[0]), grow(streams[1]), grow(streams[2]); a != 4 || b != 4 || c != 3 {
		t.Errorf("answers of %d, %d and %d pieces, want 4, 4 and 3: what is left, and one that all have", a, b, c)
	}
	if other := (&stream{user: "bob", limit: limit, held: held}); grow(other) != 4 {
		t.Error("somebody else's answer is cut")
	}
	for _, st := range streams {
		st.giveBack()
		st.giveBack() // once is enough
	}
	if held.by["ann"] != 0 {
		t.Errorf("%d bytes are held by nothing", held.by["ann"])
	}
}

func TestOldFilesAreLeftOut(t *testing.T) {
	image := func(id FileID, size int64) File { return File{ID: id, MediaType: "image/png", Size: size} }
	text := func(id FileID, size int64) File { return File{ID: id, MediaType: "text/plain", Size: size} }
	branch := []Message{
		{Files: []File{image("old", 1), text("note", 1)}},
		{Files: []File{image("a", 40), image("b", 40)}},
		{Files: []File{image("c", 30), text("long", 99)}},
	}
	p := &prompter{imageBytes: 100}
	skip, notices := p.leaveOut(branch, 100, true)
	var left []FileID
	for f, skipped := range skip {
		if skipped {
			left = append(left, f.ID)
		}
	}
	slices.Sort(left)
	if !slices.Equal(left, []FileID{"b", "old"}) || len(notices) != 1 || notices[0].Code != NoticeImagesLeft {
		t.Errorf("left out %v, notices %v", left, notices)
	}
	if _, notices = p.leaveOut(branch, 99, true); len(notices) != 2 || notices[1].Code != NoticeContextCut {
		t.Errorf("of too much text, notices %v", notices)
	}
	p.imageBytes = 200
	if _, notices = p.leaveOut(branch, 200, true); notices != nil {
		t.Errorf("of what fits, notices %v", notices)
	}
}
