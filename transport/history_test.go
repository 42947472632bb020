package transport_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
)

const longPart = 200_000 // bytes of each message of a long chat

// longChat fills a new chat of ann's with questions and answers, and returns it
// with the ids in their order.
func (s *site) longChat(questions int) (user hub.UserID, session hub.SessionID, ids []string) {
	s.t.Helper()
	user = hub.UserID(s.do("GET", "/users/me", s.ann, nil, 200)["id"].(string))
	text := strings.Repeat("<long> ", longPart/7)
	q := hub.StoredQuestion{Who: hub.Login(user, "login"), Owner: "nobody", Session: hub.SessionID(hub.NewID()), NewSession: true, Model: "fake/echo", Content: &text}
	for range questions {
		q.MessageID, q.AnswerID = hub.MessageID(hub.NewID()), hub.MessageID(hub.NewID())
		a, err := s.db.Ask(s.t.Context(), q)
		if err != nil {
			s.t.Fatal(err)
		}
		_, err = s.db.EndAnswer(s.t.Context(), hub.AnswerEnd{Session: q.Session, ID: a.Answer.ID, Epoch: a.Answer.Epoch, Said: hub.Said{Content: text}, Reason: hub.ReasonStop, User: user, At: time.Now()})
		if err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, string(q.MessageID), string(q.AnswerID))
		q.NewSession = false
	}
	return user, q.Session, ids
}

// slowly returns a client for which little is on its way to it.
func slowly(t *testing.T) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return conn, err
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// begin asks for the messages of a chat and reads the first bytes of the answer.
func (s *site) begin(client *http.Client, session hub.SessionID) (body io.ReadCloser, first []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+"/sessions/"+string(session)+"/messages", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.ann)
	res, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	first = make([]byte, 10)
	if _, err := io.ReadFull(res.Body, first); err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
		s.t.Fatalf("%s %v", res.Status, err)
	}
	return res.Body, first
}

// TestUnreadHistoriesTakeLittleMemory holds that the server has some of what a
// client does not read, and not all.
func TestUnreadHistoriesTakeLittleMemory(t *testing.T) {
	s := open(t, transportDefaults).users()
	_, session, ids := s.longChat(50)
	client := slowly(t)
	before := heap()
	const readers = 10
	var body io.Reader
	var first []byte
	for range readers {
		body, first = s.begin(client, session)
	}
	if grown, all := heap()-before, int64(readers*len(ids)*longPart); grown > all/4 {
		t.Errorf("the heap has grown by %d bytes for %d unread ones", grown, all)
	}
	s.do("GET", "/sessions", s.bob, nil, 200)
	rest, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	var got hub.MessageChanges
	if err := json.Unmarshal(append(first, rest...), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Items) != len(ids) || got.Deleted == nil || got.Version == 0 || got.Items[0].Content != got.Items[1].Content {
		t.Fatalf("%d messages of %d at version %d", len(got.Items), len(ids), got.Version)
	}
	for i, m := range got.Items {
		if string(m.ID) != ids[i] {
			t.Errorf("message %d is %s, want %s", i, m.ID, ids[i])
		}
	}
}

// TestHistoryThatFailsBreaksOff holds that a part is not taken for the whole.
func TestHistoryThatFailsBreaksOff(t *testing.T) {
	s := open(t, transportDefaults).users()
	user, session, _ := s.longChat(50)
	body, _ := s.begin(slowly(t), session)
	if _, err := s.db.DeleteSession(t.Context(), hub.Login(user, "login"), session); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, body); err == nil {
		t.Errorf("%d bytes ended well", n)
	}
	s.do("GET", "/sessions/"+string(session)+"/messages", s.ann, nil, 404)
}

// TestUsersHeavyCallsWaitForEachOther holds that a user who searches much keeps
// only that user waiting, and is refused in the end.
func TestUsersHeavyCallsWaitForEachOther(t *testing.T) {
	s := open(t, transportDefaults).users()
	_, session, _ := s.ask(s.ann, map[string]any{"content": "hello"})
	ann := hub.UserID(s.do("GET", "/users/me", s.ann, nil, 200)["id"].(string))
	leave, err := s.server.Occupy(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	const waiting = 32
	codes := make(chan int, waiting)
	token := s.ann
	for i := range waiting {
		path := []string{"/sessions?q=hello", "/sessions/" + session + "/messages"}[i%2]
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
			req.Header.Set("Authorization", "Bearer "+token)
			res, err := s.client.Do(req)
			if err != nil {
				codes <- 0
				return
			}
			defer res.Body.Close()
			_, _ = io.Copy(io.Discard, res.Body)
			codes <- res.StatusCode
		}()
	}
	for s.server.Waiting(ann) <= waiting {
		s.do("GET", "/sessions?q=hello", s.bob, nil, 200)
	}
	if len(codes) != 0 {
		t.Errorf("a call that should wait got %d", <-codes)
	}
	for _, path := range []string{"/sessions?q=hello", "/sessions/" + session + "/messages"} {
		res := s.send("GET", path, s.ann, "", nil)
		if p := s.read(res, 429); p["code"] != "rate_limited" || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s got %v, Retry-After %q", path, p, res.Header.Get("Retry-After"))
		}
	}
	s.do("GET", "/sessions", s.ann, nil, 200)
	leave()
	for range waiting {
		if code := <-codes; code != 200 {
			t.Errorf("a call that waited got %d", code)
		}
	}
	if n := s.server.Waiting(ann); n != 0 {
		t.Errorf("%d are waiting still", n)
	}
}

func TestTurnIsGivenUpWithItsRequest(t *testing.T) {
	s := open(t, transportDefaults)
	leave, err := s.server.Occupy(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.server.Occupy(ctx, "ann"); err == nil {
		t.Error("it has its turn beside another")
	}
	leave()
	leave, err = s.server.Occupy(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	leave()
}
