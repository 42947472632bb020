package repo_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/repo"
)

// shelves runs a test on either database, with files in it and in a folder.
func shelves(t *testing.T, f func(t *testing.T, s *suite)) {
	for _, place := range []string{"database", "folder"} {
		t.Run(place, func(t *testing.T) {
			dir := ""
			if place == "folder" {
				dir = t.TempDir()
			}
			bothWith(t, repo.Options{FilesDir: dir}, f)
		})
	}
}

// file brings a file of alice's.
func (s *suite) file(content string) hub.File {
	s.t.Helper()
	f := hub.File{ID: hub.FileID(hub.NewID()), Name: "it's ä?.png", MediaType: "image/png", Size: int64(len(content))}
	s.ok(s.r.CreateFile(s.t.Context(), as(s.alice), f, []byte(content)))
	return f
}

// with asks with files.
func with(q hub.StoredQuestion, files ...hub.File) hub.StoredQuestion {
	for _, f := range files {
		q.Files = append(q.Files, f.ID)
	}
	return q
}

// has says whether alice's file is there; in the folder, if there is one, it is
// exactly then.
func (s *suite) has(f hub.File) bool {
	s.t.Helper()
	_, _, err := s.r.File(s.t.Context(), as(s.alice), f.ID)
	if err != nil {
		s.code(err, hub.CodeNotFound)
	}
	if s.opt.FilesDir != "" && slices.Contains(s.inFolder(), string(f.ID)) != (err == nil) {
		s.t.Errorf("the folder has %v, and File says %v", s.inFolder(), err)
	}
	return err == nil
}

// inFolder lists the names of what lies in sub-folders of the folder.
func (s *suite) inFolder() []string {
	s.t.Helper()
	var out []string
	s.ok(filepath.WalkDir(s.opt.FilesDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Dir(path) != s.opt.FilesDir {
			out = append(out, d.Name())
		}
		return err
	}))
	return out
}

func noAttachment(t *testing.T, err error) {
	t.Helper()
	var e *hub.Error
	if !errors.As(err, &e) || e.Code != hub.CodeNotFound || e.Field != "attachments" {
		t.Errorf("error %v, want no such attachment", err)
	}
}

func TestFilesComeBackAsTheyWere(t *testing.T) {
	shelves(t, func(t *testing.T, s *suite) {
		for _, data := range [][]byte{[]byte("x"), []byte("'); DROP TABLE files; -- \\ ?0 $1 \x00\xff\n"), bytes.Repeat([]byte("\x00\x89PNG"), 1<<18), bytes.Repeat([]byte("ab"), 1<<19)} {
			f := s.file(string(data))
			got, back, err := s.r.File(t.Context(), as(s.alice), f.ID)
			s.ok(err)
			if got != f || !bytes.Equal(back, data) {
				t.Errorf("%d bytes came back as %d, %+v as %+v", len(data), len(back), f, got)
			}
			_, _, err = s.r.File(t.Context(), as(s.bob), f.ID)
			s.code(err, hub.CodeNotFound)
			s.code(s.r.CreateFile(t.Context(), as(s.alice), f, []byte("other")), hub.CodeIDConflict)
			if _, back, err = s.r.File(t.Context(), as(s.alice), f.ID); err != nil || !bytes.Equal(back, data) {
				t.Errorf("the second of its id replaced it: %d bytes, %v", len(back), err)
			}
		}
	})
}

func TestUnboundFilesAreCountedAndDropped(t *testing.T) {
	shelves(t, func(t *testing.T, s *suite) {
		ctx := t.Context()
		a, b, c := s.file("a"), s.file("bb"), s.file("ccc")
		n, size, err := s.r.UnboundFiles(ctx, as(s.alice))
		s.ok(err)
		if n != 3 || size != 6 {
			t.Errorf("%d files of %d bytes are unbound", n, size)
		}
		if n, size, err := s.r.UnboundFiles(ctx, as(s.bob)); n != 0 || size != 0 || err != nil {
			t.Errorf("bob has %d files of %d bytes, %v", n, size, err)
		}
		s.ask(with(s.question("bound"), a))
		s.code(s.r.DeleteFile(ctx, as(s.alice), a.ID), hub.CodeNotFound)
		s.code(s.r.DeleteFile(ctx, as(s.bob), b.ID), hub.CodeNotFound)
		s.ok(s.r.DeleteFile(ctx, as(s.alice), b.ID))
		s.code(s.r.DeleteFile(ctx, as(s.alice), b.ID), hub.CodeNotFound)
		s.ok(s.r.DropUnboundFiles(ctx, time.Now().Add(-time.Hour)))
		if !s.has(a) || s.has(b) || !s.has(c) {
			t.Errorf("before the drop: %v %v %v", s.has(a), s.has(b), s.has(c))
		}
		s.ok(s.r.DropUnboundFiles(ctx, time.Now().Add(time.Hour)))
		if !s.has(a) || s.has(c) {
			t.Errorf("after the drop: %v %v", s.has(a), s.has(c))
		}
		if n, size, err := s.r.UnboundFiles(ctx, as(s.alice)); n != 0 || size != 0 || err != nil {
			t.Errorf("%d files of %d bytes are unbound, %v", n, size, err)
		}
	})
}

func TestQuestionBindsFiles(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx := t.Context()
		a, b := s.file("a"), s.file("b")
		q := with(s.question("look"), b, a)
		want := []hub.File{b, a}
		asked := s.ask(q)
		if !slices.Equal(asked.Question.Files, want) || asked.Answer.Files == nil {
			t.Errorf("asked %+v", asked)
		}
		again := s.ask(q)
		if !again.Found || !slices.Equal(again.Question.Files, want) {
			t.Errorf("asked again %+v", again)
		}
		for name, files := range map[string][]hub.File{"none": nil, "fewer": {b}, "in another order": {a, b}, "others": {b, s.file("c")}} {
			other := q
			other.Files = nil
			if _, err := s.r.Ask(ctx, with(other, files...)); hub.CodeOf(err) != hub.CodeIDConflict {
				t.Errorf("the same ids with files %s: %v", name, err)
			}
		}
		capitals := q
		capitals.Files = []hub.FileID{hub.FileID(strings.ToUpper(string(b.ID))), a.ID, b.ID}
		if again := s.ask(capitals); !again.Found {
			t.Error("an id in capitals, or twice, is another question")
		}
		s.end(asked, "nice")

		edit := with(s.follow(q, "look closer"), a)
		edit.ParentGiven = true
		edited := s.ask(edit)
		if !slices.Equal(edited.Question.Files, []hub.File{a}) {
			t.Errorf("the edited message has %v", edited.Question.Files)
		}
		changes := s.changes(q.Session, 0)
		branch, _, err := s.r.Branch(ctx, as(s.alice), asked.Answer.ID, 1<<20)
		s.ok(err)
		answers, err := s.r.Answers(ctx, q.Session, nil)
		s.ok(err)
		orphans, err := s.r.ClaimOrphans(ctx, "next", 0)
		s.ok(err)
		if len(branch) != 2 || !slices.Equal(branch[0].Files, want) || !slices.Equal(changes.Items[0].Files, want) {
			t.Errorf("branch %+v, changes %+v", branch, changes.Items)
		}
		if len(answers) != 1 || len(orphans) != 1 || orphans[0].User != s.alice {
			t.Fatalf("answers %+v, orphans %+v", answers, orphans)
		}
		for _, m := range slices.Concat(branch, changes.Items, answers, []hub.Message{orphans[0].Message}) {
			if m.Files == nil {
				t.Errorf("a message with nil files: %+v", m)
			}
		}
	})
}

func TestQuestionRefusesFilesThatAreNotItsOwn(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		mine, bound := s.file("mine"), s.file("bound")
		s.ask(with(s.question("first"), bound))
		before, err := s.r.Sessions(t.Context(), as(s.alice), hub.SessionQuery{Limit: 10})
		s.ok(err)
		theirs := s.question("theirs")
		theirs.Who = as(s.bob)
		for name, q := range map[string]hub.StoredQuestion{
			"somebody else's":   with(theirs, mine),
			"missing":           with(s.question("x"), mine, hub.File{ID: hub.FileID(hub.NewID())}),
			"another session's": with(s.question("x"), mine, bound),
			"no id":             with(s.question("x"), hub.File{ID: "'"}),
		} {
			_, err := s.r.Ask(t.Context(), q)
			if err == nil {
				t.Errorf("%s was bound", name)
			}
			noAttachment(t, err)
		}
		after, err := s.r.Sessions(t.Context(), as(s.alice), hub.SessionQuery{Limit: 10})
		s.ok(err)
		if n, _, err := s.r.UnboundFiles(t.Context(), as(s.alice)); n != 1 || err != nil || len(after.Items) != len(before.Items) {
			t.Errorf("a refused question left %d unbound files, %v, and %d sessions", n, err, len(after.Items))
		}
	})
}

func TestTwoSessionsRaceForAFile(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		f, g := s.file("one"), s.file("two")
		var wg sync.WaitGroup
		errs := make(chan error, 8)
		for i := range cap(errs) {
			q := with(s.question("mine!"), f, g)
			if i%2 == 0 {
				slices.Reverse(q.Files)
			}
			wg.Go(func() {
				_, err := s.r.Ask(t.Context(), q)
				errs <- err
			})
		}
		wg.Wait()
		close(errs)
		won := 0
		for err := range errs {
			if err == nil {
				won++
				continue
			}
			noAttachment(t, err)
		}
		page, err := s.r.Sessions(t.Context(), as(s.alice), hub.SessionQuery{Limit: 10})
		s.ok(err)
		if won != 1 || len(page.Items) != 1 {
			t.Errorf("%d questions have the file, %d sessions", won, len(page.Items))
		}
	})
}

func TestFilesRaceWithTheirDrop(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		var files []hub.File
		for range 8 {
			files = append(files, s.file("x"))
		}
		var wg sync.WaitGroup
		for _, f := range files {
			q := with(s.question("mine"), f)
			wg.Go(func() {
				if err := s.r.DropUnboundFiles(t.Context(), time.Now().Add(time.Hour)); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				_, err := s.r.Ask(t.Context(), q)
				if _, _, gone := s.r.File(t.Context(), as(s.alice), f.ID); (err == nil) != (gone == nil) {
					t.Errorf("asked: %v; the file: %v", err, gone)
				}
			})
		}
		wg.Wait()
	})
}

func TestFilesGoWithWhatNamesThem(t *testing.T) {
	shelves(t, func(t *testing.T, s *suite) {
		ctx := t.Context()
		once, twice, other, unbound := s.file("once"), s.file("twice"), s.file("other"), s.file("unbound")
		q := with(s.question("one"), once, twice)
		first := s.ask(q)
		s.end(first, "1")
		edit := with(s.follow(q, "edited"), twice)
		edit.ParentGiven = true
		second := s.ask(edit)
		s.ask(with(s.question("elsewhere"), other))

		_, err := s.r.DeleteMessage(ctx, as(s.alice), q.Session, first.Answer.ID)
		s.ok(err)
		if !s.has(once) || !s.has(twice) {
			t.Error("a file went with the answer to its message")
		}
		_, err = s.r.DeleteMessage(ctx, as(s.alice), q.Session, first.Question.ID)
		s.ok(err)
		if s.has(once) || !s.has(twice) {
			t.Errorf("after the first message: %v %v", s.has(once), s.has(twice))
		}
		_, err = s.r.DeleteMessage(ctx, as(s.alice), q.Session, second.Question.ID)
		s.ok(err)
		if s.has(twice) {
			t.Error("a file stays that no message names")
		}

		last := s.file("last")
		s.ask(with(s.follow(q, "again"), last))
		_, err = s.r.DeleteSession(ctx, as(s.alice), q.Session)
		s.ok(err)
		if s.has(last) || !s.has(other) || !s.has(unbound) {
			t.Errorf("after the session: %v %v %v", s.has(last), s.has(other), s.has(unbound))
		}
	})
}

func TestFolderIsSwept(t *testing.T) {
	bothWith(t, repo.Options{FilesDir: t.TempDir()}, func(t *testing.T, s *suite) {
		kept := s.file("kept")
		stray := func(name string, age time.Duration) string {
			path := filepath.Join(s.opt.FilesDir, name)
			s.ok(os.MkdirAll(filepath.Dir(path), 0o700))
			s.ok(os.WriteFile(path, []byte("x"), 0o600))
			at := time.Now().Add(-age)
			s.ok(os.Chtimes(path, at, at))
			return path
		}
		named := func() string { id := hub.NewID(); return filepath.Join(id[34:], id) }
		old, young, half := stray(named(), 48*time.Hour), stray(named(), time.Minute), stray("ab/new-123", 48*time.Hour)
		others := []string{stray("README", 48*time.Hour), stray("ab/holiday.png", 48*time.Hour), stray("ab/"+hub.NewID()[:34]+"cd", 48*time.Hour)}
		s.ok(os.Chtimes(filepath.Join(s.opt.FilesDir, string(kept.ID[34:]), string(kept.ID)), time.Time{}, time.Now().Add(-48*time.Hour)))

		is := func(path string) bool { _, err := os.Stat(path); return err == nil }
		embedded := s.opt.DatabaseURL == ""
		s.ok(s.r.Close())
		s.open()
		if is(old) == embedded || is(young) == embedded || is(half) == embedded {
			t.Errorf("after the start: old %v, young %v, unfinished %v", is(old), is(young), is(half))
		}
		s.ok(s.r.DropUnboundFiles(t.Context(), time.Now().Add(-24*time.Hour)))
		if is(old) || is(young) == embedded || is(half) {
			t.Errorf("after the drop: old %v, young %v, unfinished %v", is(old), is(young), is(half))
		}
		for _, path := range others {
			if !is(path) {
				t.Errorf("%s was not ours to remove", path)
			}
		}
		if !s.has(kept) {
			t.Error("a file with a row was swept")
		}
	})
}

func TestFolderIsOneDatabases(t *testing.T) {
	bothWith(t, repo.Options{FilesDir: t.TempDir()}, func(t *testing.T, s *suite) {
		s.ok(s.r.Close())
		s.open() // it knows its folder again
		_, err := repo.Open(t.Context(), repo.Options{DataDir: t.TempDir(), FilesDir: s.opt.FilesDir})
		if err == nil || !strings.Contains(err.Error(), "another database") || strings.Contains(err.Error(), "\n") {
			t.Errorf("another database on the folder: %v", err)
		}
		s.ok(s.r.Close())
		s.open()
	})
}

func TestFilesStayReadableWhenTheFolderComes(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		before := s.file("before")
		s.ok(s.r.Close())
		s.opt.FilesDir = t.TempDir()
		s.open()
		after := s.file("after")
		for _, f := range []hub.File{before, after} {
			if _, data, err := s.r.File(t.Context(), as(s.alice), f.ID); err != nil || int64(len(data)) != f.Size {
				t.Errorf("%d bytes, %v", len(data), err)
			}
		}
		s.ok(os.WriteFile(filepath.Join(s.opt.FilesDir, string(after.ID[34:]), string(after.ID)), []byte("cut"), 0o600))
		_, _, err := s.r.File(t.Context(), as(s.alice), after.ID)
		s.code(err, hub.CodeUnavailable)
		s.ok(s.r.Close())
		s.opt.FilesDir = ""
		s.open()
		_, _, err = s.r.File(t.Context(), as(s.alice), after.ID)
		s.code(err, hub.CodeUnavailable)
		if !s.has(before) {
			t.Error("what lies in the database is gone")
		}
	})
}

// BenchmarkFiles writes and reads the largest file that is taken by default.
func BenchmarkFiles(b *testing.B) {
	for name, options := range databases {
		for _, dir := range []string{"", b.TempDir()} {
			b.Run(fmt.Sprintf("%s/folder=%v", name, dir != ""), func(b *testing.B) {
				opt := options(b)
				if dir != "" {
					opt.FilesDir = filepath.Join(dir, name)
				}
				r, err := repo.Open(b.Context(), opt)
				if err != nil {
					b.Fatal(err)
				}
				defer r.Close()
				benchmarkFiles(b, r, bytes.Repeat([]byte("\x89PNG\x00"), 2<<20))
			})
		}
	}
}

func benchmarkFiles(b *testing.B, r *repo.Repo, data []byte) {
	u, err := r.CreateUser(b.Context(), hub.User{ID: hub.UserID(hub.NewID()), Username: "u"}, "h")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		f := hub.File{ID: hub.FileID(hub.NewID()), Name: "x", MediaType: "image/png", Size: int64(len(data))}
		if err := r.CreateFile(b.Context(), as(u.ID), f, data); err != nil {
			b.Fatal(err)
		}
		if _, _, err := r.File(b.Context(), as(u.ID), f.ID); err != nil {
			b.Fatal(err)
		}
	}
}

func TestFilesAreDescribedWithoutTheirBytes(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		a, b := s.file("one"), s.file("two")
		got, err := s.r.Files(t.Context(), as(s.alice), []hub.FileID{b.ID, a.ID, hub.FileID(hub.NewID())})
		s.ok(err)
		if len(got) != 2 || !slices.Contains(got, a) || !slices.Contains(got, b) {
			t.Errorf("found %v", got)
		}
		if got, err := s.r.Files(t.Context(), as(s.bob), []hub.FileID{a.ID}); err != nil || len(got) != 0 {
			t.Errorf("bob finds %v, %v", got, err)
		}
	})
}
