package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// try makes a request that may be refused, and returns the status and the
// problem's code and field.
func (c *client) try(method, path string, body any) (status int, code, field string) {
	c.s.t.Helper()
	res, err := http.DefaultClient.Do(c.request(c.s.t.Context(), method, path, body))
	if err != nil {
		c.s.t.Fatal(err)
	}
	var p struct{ Code, Field string }
	_ = decodeBody(res, &p) // a success has another body, or none
	return res.StatusCode, p.Code, p.Field
}

func TestWhatWasDeletedIsNotBroughtBackByARepeat(t *testing.T) {
	provider := fake.New(map[string]fake.Script{
		"m": {Tokens: fake.Numbered(5)}, "slow": {Tokens: fake.Numbered(1000), Every: 10 * time.Millisecond},
	})
	defer provider.Close()
	s := startServer(t, provider, nil)
	c := s.user("ann")
	ask := func(session, model string) map[string]any {
		return map[string]any{"session_id": session, "content": "go", "model": "openai/" + model, "message_id": hub.NewID(), "answer_id": hub.NewID()}
	}
	refused := func(when string, body map[string]any) {
		t.Helper()
		if status, code, _ := c.try(http.MethodPost, "/chat/stream", body); status != http.StatusConflict || code != string(hub.CodeIDConflict) {
			t.Errorf("%s: asked again: %d %s", when, status, code)
		}
	}
	session := c.session()
	for _, model := range []string{"m", "slow"} {
		body := ask(session, model)
		path := "/sessions/" + session + "/messages/" + body["message_id"].(string)
		if model == "m" {
			c.ask(body)
		} else {
			res, err := c.sse(soon(t), http.MethodPost, "/chat/stream", body)
			if err != nil {
				t.Fatal(err)
			}
			v := newViewer()
			if err := v.follow(res.Body, func() bool { return v.seq > 3 }); err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
		c.call(http.MethodDelete, path, nil, nil)
		refused(model+" of a deleted message", body)
		if status, _, _ := c.try(http.MethodDelete, path, nil); status != http.StatusNotFound {
			t.Errorf("deleted twice: %d", status)
		}
	}
	// The session went with its tombstones: the ids are free, and nothing breaks.
	body := ask(session, "m")
	c.ask(body)
	c.call(http.MethodDelete, "/sessions/"+session, nil, nil)
	if status, _, _ := c.try(http.MethodGet, "/chat/stream/"+body["answer_id"].(string), nil); status != http.StatusNotFound {
		t.Errorf("the stream of a deleted session: %d", status)
	}
	body["session_id"] = c.session()
	same(t, "in another session", c.ask(body), strings.Join(fake.Numbered(5), ""))
	c.call(http.MethodDelete, "/sessions/"+body["session_id"].(string)+"/messages/"+body["message_id"].(string), nil, nil)
	if status, _, _ := c.try(http.MethodGet, "/readyz", nil); status != http.StatusOK {
		t.Errorf("not ready: %d", status)
	}
}

func TestKnownPositionGetsOneMergedDelta(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(20)}})
	defer provider.Close()
	c := startServer(t, provider, nil).user("ann")
	session, ctx := c.session(), soon(t)
	asker := c.ask(map[string]any{"session_id": session, "content": "go", "model": "openai/m"})
	w, err := c.socket(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.conn.CloseNow()
	if err := w.send(ctx, map[string]any{"type": "subscribe", "ref": 1, "session_id": session, "positions": map[string]int64{asker.id: 3}}); err != nil {
		t.Fatal(err)
	}
	e, err := w.until(ctx, "delta")
	if err != nil || e.From == nil || *e.From != 3 || e.Seq != 20 || e.Text != strings.Join(fake.Numbered(20)[3:], "") {
		t.Errorf("over the WebSocket: %+v, %v", e, err)
	}
	if e, err = w.next(ctx); err != nil || e.Type != "finish" {
		t.Errorf("then %+v, %v", e, err)
	}
	res, err := c.sse(ctx, http.MethodGet, "/chat/stream/"+asker.id+"?after=3", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	v := &viewer{id: asker.id, seq: 3}
	events := 0
	if err := v.follow(res.Body, func() bool { events++; return false }); err != nil || events != 2 || v.end == nil || v.text() != e.Text && v.text() != strings.Join(fake.Numbered(20)[3:], "") {
		t.Errorf("over SSE: %d events, %q, %v", events, v.text(), err)
	}
}

func TestParentSaysWhichSession(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(2)}})
	defer provider.Close()
	s := startServer(t, provider, nil)
	ann, bob := s.user("ann"), s.user("bob")
	session := ann.session()
	first := ann.ask(map[string]any{"session_id": session, "content": "go", "model": "openai/m"})
	body := map[string]any{"parent_id": first.id, "content": "go on", "model": "openai/m"}
	second := ann.ask(body)
	if m := ann.message(session, second.id); string(m.SessionID) != session {
		t.Errorf("answered in %s", m.SessionID)
	}
	if status, code, field := bob.try(http.MethodPost, "/chat/stream", body); status != http.StatusNotFound || code != string(hub.CodeNotFound) || field != "parent_id" {
		t.Errorf("somebody else's parent: %d %s %s", status, code, field)
	}
}
