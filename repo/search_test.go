package repo_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/repo"
)

// alike are texts that find each other.
var alike = [][]string{
	{"Café", "Cafe\u0301", "CAFÉ", "ＣＡＦＥ\u0301"},
	{"ＡＢＣ１２３", "abc123", "ABC123"},
	{"ｶﾀｶﾅ", "カタカナ"},
	{"ｶﾞｷﾞ", "ガギ", "カ\u3099キ\u3099"},
	{"ﬁne", "fine"},
	{"Ⅷ", "viii"},
	{"한글", "\u1112\u1161\u11ab\u1100\u1173\u11af"},
	{"STRASSE", "Straße", "STRAẞE"},
	{"ΟΔΟΣ", "οδος", "οδοσ"},
	{"Äpfel", "äPFEL", "A\u0308pfel"},
	{"МОСКВА", "москва"},
	{"你好，世界", "你好,世界"},
	{"ｗｈｙ？", "why?"},
}

// finds returns the sessions of alice in which a text occurs.
func (s *suite) finds(text string) (ids []hub.SessionID) {
	s.t.Helper()
	page, err := s.r.Sessions(s.t.Context(), as(s.alice), hub.SessionQuery{Limit: 100, Text: text})
	s.ok(err)
	for _, item := range page.Items {
		ids = append(ids, item.ID)
	}
	slices.Sort(ids)
	return ids
}

// writeAlike has every text be a title, a question and an answer.
func (s *suite) writeAlike() map[int][]hub.SessionID {
	s.t.Helper()
	wrote := map[int][]hub.SessionID{}
	for i, texts := range alike {
		for _, text := range texts {
			made, _, err := s.r.CreateSession(s.t.Context(), as(s.alice), hub.SessionDraft{ID: hub.SessionID(hub.NewID()), Title: "= " + text + " ="})
			s.ok(err)
			question := s.question("= " + text + " =")
			question.Title = "–"
			s.end(s.ask(question), "–")
			answer := s.question("–")
			s.end(s.ask(answer), "= "+text+" =")
			wrote[i] = append(wrote[i], made.ID, question.Session, answer.Session)
		}
		slices.Sort(wrote[i])
	}
	return wrote
}

func (s *suite) checkAlike(wrote map[int][]hub.SessionID) {
	s.t.Helper()
	for i, texts := range alike {
		for _, text := range texts {
			if got := s.finds(text); !slices.Equal(got, wrote[i]) {
				s.t.Errorf("%+q finds %d sessions of %d", text, len(got), len(wrote[i]))
			}
		}
	}
}

func TestAllFormsOfATextFindEachOther(t *testing.T) {
	both(t, func(_ *testing.T, s *suite) { s.checkAlike(s.writeAlike()) })
}

// TestTextsOfBeforeFindEachOther has two replicas, where they can be, meet a
// database whose texts have no forms yet.
func TestTextsOfBeforeFindEachOther(t *testing.T) {
	bothWith(t, repo.Options{Shared: true}, func(t *testing.T, s *suite) {
		wrote := s.writeAlike()
		for i := range 250 { // more than are looked through at once
			made, _, err := s.r.CreateSession(t.Context(), as(s.alice), hub.SessionDraft{ID: hub.SessionID(hub.NewID()), Title: fmt.Sprintf("Ｎ%d", i)})
			s.ok(err)
			wrote[-1] = append(wrote[-1], made.ID)
		}
		s.ok(s.r.Close())
		db := s.raw()
		s.exec(db, "DELETE FROM search_forms")
		s.exec(db, "INSERT INTO search_left (name, id) VALUES ('sessions', $1), ('messages', $1)", "00000000-0000-0000-0000-000000000000")
		s.open()
		if s.opt.DatabaseURL != "" {
			other, err := repo.Open(t.Context(), s.opt)
			s.ok(err)
			defer func() { s.ok(other.Close()) }()
			other.Formed()
		}
		s.r.Formed()
		s.checkAlike(wrote)
		if got := s.finds("n"); len(got) < 100 {
			t.Errorf("%d of the further sessions are found", len(got))
		}
		var left int
		s.ok(db.QueryRowContext(t.Context(), "SELECT count(*) FROM search_left").Scan(&left))
		if left != 0 {
			t.Errorf("%d tables are left", left)
		}
	})
}

func TestANewTitleTakesThePlaceOfTheLast(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		made, _, err := s.r.CreateSession(t.Context(), as(s.alice), hub.SessionDraft{ID: hub.SessionID(hub.NewID()), Title: "ＡＢＣ"})
		s.ok(err)
		for _, title := range []string{"Ｇｈｉ", "Ｊｋｌ", "mno"} {
			_, _, err = s.r.UpdateSession(t.Context(), as(s.alice), made.ID, hub.SessionPatch{Title: &title})
			s.ok(err)
			if len(s.finds("abc")) != 0 || len(s.finds("ｏ")) != strings.Count(title, "o") {
				t.Errorf("as %s it is found by its last title", title)
			}
		}
		title := "Ｇｈｉ"
		_, _, err = s.r.RetitleSession(t.Context(), as(s.alice), made.ID, "mno", title)
		s.ok(err)
		if len(s.finds("GHI")) != 1 || len(s.finds("mno")) != 0 {
			t.Error("a title that was made is not found")
		}
	})
}

func TestWhatIsDeletedIsNotFound(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		q := s.question("title")
		asked := s.ask(q)
		s.end(asked, "ＡＢＣ")
		_, err := s.r.DeleteMessage(t.Context(), as(s.alice), q.Session, asked.Answer.ID)
		s.ok(err)
		if len(s.finds("abc")) != 0 {
			t.Error("a deleted answer is found")
		}
		s.ok(func() error { _, err := s.r.DeleteSession(t.Context(), as(s.alice), q.Session); return err }())
	})
}

// TestSignsOfPatternsAreText holds for texts with a form of their own, and those
// without.
func TestSignsOfPatternsAreText(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		s.end(s.ask(s.question("plain")), `it's 100% "sure_" a\b ?0 $1`)
		s.end(s.ask(s.question("plain")), `ＩＴ’Ｓ it's 100% "sure_" a\b ?0 $1`)
		for _, text := range []string{"it's", "100%", `"sure_"`, `a\b`, "%", "_", `\`, `'`, `"`, "?0", "$1", "％", "＿", "＼", `＂ｓｕｒｅ`} {
			if n := len(s.finds(text)); n != 2 {
				t.Errorf("%q finds %d sessions", text, n)
			}
		}
		for _, text := range []string{"1%0", "sur_", "a%b", `100\%`, `\_`, "it''s", "％ｓ"} {
			if n := len(s.finds(text)); n != 0 {
				t.Errorf("%q finds %d sessions", text, n)
			}
		}
	})
}
