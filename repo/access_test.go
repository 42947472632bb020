package repo_test

import (
	"testing"

	"github.com/omnichat/omnichat/hub"
)

// TestAnAccessFindsItsSessionAlone makes every call of the store that takes an access, by one
// of a single session, about that session and about another of the same user.
func TestAnAccessFindsItsSessionAlone(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		bound, foreign, unbound := s.file("here"), s.file("there"), s.file("nowhere yet")
		here, there, gone := with(s.question("here"), bound), with(s.question("there"), foreign), s.question("gone")
		for _, q := range []hub.StoredQuestion{here, there, gone} {
			s.end(s.ask(q), "text")
		}
		_, err := s.r.DeleteSession(t.Context(), as(s.alice), gone.Session)
		s.ok(err)
		who := hub.Access{User: s.alice, By: hub.ByLink, Scopes: hub.AllScopes, Session: here.Session}
		before := s.changes(there.Session, 0)
		title := "there, too"
		for name, call := range map[string]func(q hub.StoredQuestion) error{
			"Session": func(q hub.StoredQuestion) error { _, err := s.r.Session(t.Context(), who, q.Session); return err },
			"UpdateSession": func(q hub.StoredQuestion) error {
				_, _, err := s.r.UpdateSession(t.Context(), who, q.Session, hub.SessionPatch{Model: &title})
				return err
			},
			"RetitleSession": func(q hub.StoredQuestion) error {
				_, _, err := s.r.RetitleSession(t.Context(), who, q.Session, q.Title, q.Title)
				return err
			},
			"Message": func(q hub.StoredQuestion) error { _, err := s.r.Message(t.Context(), who, q.AnswerID); return err },
			"MessageChanges": func(q hub.StoredQuestion) error {
				_, err := s.r.MessageChanges(t.Context(), who, q.Session, 0)
				return err
			},
			"MessagePage": func(q hub.StoredQuestion) error {
				_, err := s.r.MessagePage(t.Context(), who, q.Session, hub.MessagePage{First: 1, Last: 9})
				return err
			},
			"Branch": func(q hub.StoredQuestion) error {
				_, _, err := s.r.Branch(t.Context(), who, q.AnswerID, 1000)
				return err
			},
			"RequestStop": func(q hub.StoredQuestion) error { _, err := s.r.RequestStop(t.Context(), who, q.AnswerID); return err },
			"File":        func(q hub.StoredQuestion) error { _, _, err := s.r.File(t.Context(), who, q.Files[0]); return err },
			"Ask": func(q hub.StoredQuestion) error {
				next := s.follow(q, "and now")
				next.Who, next.FindOnly = who, true
				_, err := s.r.Ask(t.Context(), next)
				return err
			},
		} {
			if err := call(here); err != nil {
				t.Errorf("%s of its session: %v", name, err)
			}
			if err := call(there); hub.CodeOf(err) != hub.CodeNotFound {
				t.Errorf("%s of another session: %v", name, err)
			}
		}
		page, err := s.r.Sessions(t.Context(), who, hub.SessionQuery{Limit: 10})
		if s.ok(err); len(page.Items) != 1 || page.Items[0].ID != here.Session {
			t.Errorf("it lists %v", page.Items)
		}
		page, err = s.r.Sessions(t.Context(), who, hub.SessionQuery{Limit: 10, Text: "there"})
		if s.ok(err); len(page.Items) > 0 {
			t.Errorf("it searches in %v", page.Items)
		}
		changes, err := s.r.SessionChanges(t.Context(), who, 1)
		if s.ok(err); len(changes.Items) != 1 || len(changes.Deleted) > 0 {
			t.Errorf("it is told of %+v", changes)
		}
		files, err := s.r.Files(t.Context(), who, []hub.FileID{bound.ID, foreign.ID, unbound.ID})
		if s.ok(err); len(files) != 1 || files[0].ID != bound.ID {
			t.Errorf("it finds the files %v", files)
		}
		s.code(s.r.DeleteFile(t.Context(), who, unbound.ID), hub.CodeNotFound)
		for _, f := range []hub.File{foreign, unbound} {
			q := with(s.follow(here, "with what is not there"), f)
			q.Who = who
			_, err := s.r.Ask(t.Context(), q)
			noAttachment(t, err)
		}
		again := there // the ids of another session's question
		again.Who, again.Session, again.NewSession, again.Files = who, here.Session, false, nil
		_, err = s.r.Ask(t.Context(), again)
		s.code(err, hub.CodeIDConflict)
		_, err = s.r.DeleteMessage(t.Context(), who, there.Session, there.AnswerID)
		s.code(err, hub.CodeNotFound)
		_, err = s.r.DeleteSession(t.Context(), who, there.Session)
		s.code(err, hub.CodeNotFound)
		if after := s.changes(there.Session, 0); after.Version != before.Version || len(after.Items) != len(before.Items) {
			t.Errorf("another session became %+v of %+v", after, before)
		}
		if !s.has(unbound) || !s.has(foreign) {
			t.Error("files have gone")
		}
		_, err = s.r.DeleteMessage(t.Context(), who, here.Session, here.AnswerID)
		s.ok(err)
		_, err = s.r.DeleteSession(t.Context(), who, here.Session)
		s.ok(err)
	})
}
