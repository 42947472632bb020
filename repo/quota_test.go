package repo_test

import (
	"strings"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
)

func TestStoredBytesFollowWhatIsAddedAndDeleted(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx := t.Context()
		stored := func(when string, want int) {
			t.Helper()
			if got, err := s.r.StoredBytes(ctx, as(s.alice)); got != int64(want) || err != nil {
				t.Errorf("%s: %d bytes are stored, want %d; %v", when, got, want, err)
			}
		}
		stored("at first", 0)
		bound, loose := s.file("12345"), s.file("678")
		stored("two files", 8)
		q := with(s.question("ä?"), bound)
		first := s.ask(q)
		s.ask(q) // again
		stored("a question that binds a file", 11)
		e := hub.AnswerEnd{
			Session: first.Session.ID, ID: first.Answer.ID, Epoch: first.Answer.Epoch, Said: hub.Said{Content: strings.Repeat("é", 5000), Reasoning: "hm"}, Reason: hub.ReasonStop, At: time.Now(),
		}
		_, err := s.r.EndAnswer(ctx, e)
		s.ok(err)
		stored("the end of its answer", 10013)
		if _, err = s.r.EndAnswer(ctx, e); err == nil {
			t.Error("the answer ends twice")
		}
		second := s.ask(s.follow(q, "more"))
		s.end(second, "words")
		other := s.ask(s.question("elsewhere"))
		stored("three questions", 10013+9+9)
		s.ok(s.r.DeleteFile(ctx, as(s.alice), loose.ID))
		stored("a file was deleted", 10010+9+9)
		_, err = s.r.DeleteMessage(ctx, as(s.alice), first.Session.ID, second.Question.ID)
		s.ok(err)
		stored("a question was deleted with its answer", 10010+9)
		s.end(s.ask(s.follow(q, "again")), "x")
		stored("one was asked after that", 10010+9+6)
		_, err = s.r.DeleteMessage(ctx, as(s.alice), first.Session.ID, first.Question.ID)
		s.ok(err)
		stored("all of the chat's messages were deleted, with the file", 9)
		_, err = s.r.DeleteSession(ctx, as(s.alice), other.Session.ID)
		s.ok(err)
		stored("the other chat was deleted", 0)
		if got, err := s.r.StoredBytes(ctx, as(s.bob)); got != 0 || err != nil {
			t.Errorf("bob has %d bytes, %v", got, err)
		}
	})
}
