package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/providertest/fake"
	"github.com/omnichat/omnichat/repo/pgtest"
)

// upload attaches bytes.
func (c *client) upload(name string, data []byte) hub.File {
	c.s.t.Helper()
	req := c.request(c.s.t.Context(), http.MethodPost, "/attachments?name="+url.QueryEscape(name), nil)
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.s.t.Fatal(err)
	}
	var f hub.File
	if err := decodeBody(res, &f); err != nil || res.StatusCode != http.StatusCreated {
		c.s.t.Fatalf("upload: %s, %v", res.Status, err)
	}
	return f
}

// usage sums up what the user has used.
func (c *client) usage(by string) []hub.UsageSum {
	c.s.t.Helper()
	var out struct{ Items []hub.UsageSum }
	c.call(http.MethodGet, "/usage?days=2&by="+by, nil, &out)
	return out.Items
}

// lastTurns are the roles and texts of the newest request to a fake.
func lastTurns(t *testing.T, f *fake.Server) (roles, texts []string) {
	t.Helper()
	bodies := f.Bodies()
	var req struct {
		Messages []struct {
			Role    string
			Content json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(bodies[len(bodies)-1]), &req); err != nil {
		t.Fatal(err)
	}
	for _, m := range req.Messages {
		roles = append(roles, m.Role)
		texts = append(texts, string(m.Content))
	}
	return roles, texts
}

// pixel is a PNG of one pixel.
var pixel = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89" +
	"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82")

func TestEveryVendorAnswersThroughTheServer(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Reasoning: []string{"let me ", "see"}, Tokens: fake.Numbered(50), Usage: true}})
	defer provider.Close()
	s := startServer(t, provider, map[string]string{
		"ANTHROPIC_BASE_URL": provider.URL, "ANTHROPIC_API_KEY": "k", "GEMINI_BASE_URL": provider.URL, "GEMINI_API_KEY": "k",
		"OLLAMA_HOST": provider.URL, "OMNICHAT_ENDPOINTS": "groq=" + provider.BaseURL(), "OMNICHAT_ENDPOINT_GROQ_KEY": "k",
	})
	c := s.user("ann")
	var models struct{ Items []hub.Model }
	c.call(http.MethodGet, "/models", nil, &models)
	for _, vendor := range []string{"openai", "anthropic", "gemini", "ollama", "groq"} {
		t.Run(vendor, func(t *testing.T) {
			if !slices.ContainsFunc(models.Items, func(m hub.Model) bool { return m.ID == vendor+"/m" && m.Provider == vendor }) {
				t.Errorf("%s/m is not listed in %v", vendor, models.Items)
			}
			session := c.session()
			v := c.ask(map[string]any{"session_id": session, "content": "go", "model": vendor + "/m"})
			same(t, vendor, v, strings.Join(fake.Numbered(50), ""))
			m := c.message(session, v.id)
			if m.Reasoning != "let me see" || m.Usage == nil || m.Usage.Estimated || m.Usage.OutputTokens == 0 || m.Provider != vendor || m.ThinkingMS == 0 {
				t.Errorf("stored: reasoning %q, usage %+v, provider %s, thinking %d ms", m.Reasoning, m.Usage, m.Provider, m.ThinkingMS)
			}
		})
	}
}

type endpoints []hub.Endpoint

func (e *endpoints) Endpoints(context.Context, hub.Access) ([]hub.Endpoint, error) { return *e, nil }

func TestProviderLivesAsLongAsItsEndpoint(t *testing.T) {
	stored := &endpoints{{Name: "a", Kind: "openai", BaseURL: "http://x"}, {Owner: "ann", Name: "a", Kind: "openai", BaseURL: "http://y"}, {Name: "b", Kind: "openai", BaseURL: "http://z"}}
	v := newVendors(Config{}, nil)
	v.added = stored
	at := func() map[string]hub.Vendor {
		all, err := v.For(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	first, second := at(), at()
	if len(first) != 2 || !maps.Equal(first, second) || first["a"].Provider != v.made["ann"]["a"].provider {
		t.Errorf("%v, then %v; ann's own go first", first, second)
	}
	(*stored)[2].UpdatedAt = time.Now()
	if changed := at(); changed["b"] == first["b"] || changed["a"] != first["a"] {
		t.Error("a changed endpoint keeps its provider, or another one loses its own")
	}
	*stored = (*stored)[:1]
	if left := at(); len(left) != 1 || left["a"] == first["a"] {
		t.Errorf("without ann's own: %v", left)
	}
	*stored = nil
	if left := at(); len(left) != 0 || len(v.made) != 0 {
		t.Errorf("%v, and %v are kept for nothing", left, v.made)
	}
}

func TestLongConversationsAreCutToTheModel(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"gpt-4": {Tokens: []string{"ok"}}}) // 8,192 tokens
	defer provider.Close()
	c := startServer(t, provider, nil).user("ann")
	session := c.session()
	long := strings.Repeat("word ", 2000)
	var v *viewer
	for _, mark := range []string{"first", "second", "third", "fourth"} {
		v = c.ask(map[string]any{"session_id": session, "content": mark + " " + long, "model": "openai/gpt-4"})
	}
	roles, texts := lastTurns(t, provider)
	whole := strings.Join(texts, "")
	if strings.Contains(whole, "first") || !strings.Contains(whole, "fourth") || roles[0] != "user" {
		t.Errorf("asked with %v that begin with %.20q", roles, texts[0])
	}
	m := c.message(session, v.id)
	if len(m.Notices) != 1 || m.Notices[0].Code != hub.NoticeContextCut || !slices.Equal(v.end.Notices, m.Notices) {
		t.Errorf("notices %v, in the finish %v", m.Notices, v.end.Notices)
	}
}

func TestPromptHasWhatWasSet(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: []string{"ok"}}})
	defer provider.Close()
	c := startServer(t, provider, nil).user("ann")
	c.call(http.MethodPatch, "/users/me/settings", map[string]any{"system_prompt": "mine for all"}, nil)
	session := c.session()
	ask := map[string]any{"session_id": session, "content": "go", "model": "openai/m"}
	c.ask(ask)
	if roles, texts := lastTurns(t, provider); roles[0] != "system" || texts[0] != `"mine for all"` {
		t.Errorf("%v %v", roles, texts)
	}
	c.call(http.MethodPatch, "/sessions/"+session, map[string]any{"system_prompt": "of this one", "temperature": 0.5, "max_tokens": 77, "reasoning_effort": "low"}, nil)
	ask["temperature"] = 0
	c.ask(ask)
	var req struct {
		Temperature     *float64
		MaxTokens       int    `json:"max_tokens"`
		ReasoningEffort string `json:"reasoning_effort"`
	}
	bodies := provider.Bodies()
	if err := json.Unmarshal([]byte(bodies[len(bodies)-1]), &req); err != nil {
		t.Fatal(err)
	}
	if _, texts := lastTurns(t, provider); texts[0] != `"of this one"` || req.Temperature == nil || *req.Temperature != 0 || req.MaxTokens != 77 || req.ReasoningEffort != "low" {
		t.Errorf("system %s, %+v", texts[0], req)
	}
	c.call(http.MethodPatch, "/sessions/"+session, map[string]any{"temperature": nil, "max_tokens": nil}, nil)
	var back hub.Session
	c.call(http.MethodGet, "/sessions/"+session, nil, &back)
	if back.Temperature != nil || back.MaxTokens != nil || back.ReasoningEffort != "low" {
		t.Errorf("after null: %+v", back.Parameters)
	}
}

func TestFallbackAnswersBeforeTheFirstToken(t *testing.T) {
	provider := fake.New(map[string]fake.Script{
		"bad": {Status: http.StatusUnauthorized}, "good": {Tokens: []string{"here"}, Usage: true},
		"torn": {Tokens: fake.Numbered(9), BreakAfter: 3}, "worse": {Status: http.StatusForbidden},
	})
	defer provider.Close()
	c := startServer(t, provider, nil).user("ann")
	session := c.session()
	ask := func(model, fallback string) (*viewer, hub.Message) {
		c.call(http.MethodPatch, "/users/me/settings", map[string]any{"fallback_model": fallback}, nil)
		v := c.ask(map[string]any{"session_id": session, "content": "go", "model": "openai/" + model})
		return v, c.message(session, v.id)
	}
	v, m := ask("bad", "openai/good")
	if v.text() != "here" || v.end.Reason != "stop" || v.end.Model != "openai/good" || m.Model != "openai/good" || len(m.Notices) != 1 || m.Notices[0].Code != hub.NoticeFallback {
		t.Errorf("%q, finish %+v, stored %s %v", v.text(), v.end, m.Model, m.Notices)
	}
	v, m = ask("torn", "openai/good")
	if v.end.Reason != "error" || v.end.Error.Code != hub.CodeProviderTruncated || m.Model != "openai/torn" || m.Content != "t0 t1 t2 " {
		t.Errorf("after the first token: %+v, stored %s %q", v.end, m.Model, m.Content)
	}
	v, m = ask("bad", "openai/worse")
	if v.end.Error == nil || v.end.Error.Code != hub.CodeProviderAuth || m.Model != "openai/bad" || len(m.Notices) != 1 || m.Notices[0].Code != hub.NoticeFallbackFail {
		t.Errorf("both fail: %+v, stored %s %v", v.end, m.Model, m.Notices)
	}
	if status, _, field := c.try(http.MethodPatch, "/users/me/settings", map[string]any{"fallback_model": "nobody/x"}); status != http.StatusBadRequest || field != "fallback_model" {
		t.Errorf("an unknown fallback: %d %s", status, field)
	}
}

func TestErrorsSayHowLongToWait(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Status: http.StatusTooManyRequests, RetryAfter: 40 * time.Second}})
	defer provider.Close()
	c := startServer(t, provider, nil).user("ann")
	session := c.session()
	v := c.ask(map[string]any{"session_id": session, "content": "go", "model": "openai/m"})
	if m := c.message(session, v.id); m.Error == nil || m.Error.RetryAfter != 40 || *v.end.Error != *m.Error || m.Usage != nil {
		t.Errorf("error %+v, in the finish %+v, usage %+v", m.Error, v.end.Error, m.Usage)
	}
}

func TestTitleArrivesLiveUnlessAPersonWasFaster(t *testing.T) {
	gate := make(chan struct{})
	provider := fake.New(map[string]fake.Script{
		"m": {Tokens: []string{"ok"}}, "small": {Tokens: []string{"\"Two ", "Words\""}, Usage: true, Gate: gate},
	})
	defer provider.Close()
	c := startServer(t, provider, map[string]string{"OMNICHAT_TITLE_MODEL": "openai/small"}).user("ann")
	ctx := soon(t)
	w, err := c.socket(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.conn.CloseNow()
	title := func(want string) hub.Session {
		t.Helper()
		for {
			e, err := w.until(ctx, "session")
			if err != nil {
				t.Fatalf("waiting for the title %q: %v", want, err)
			}
			if e.Session.Title == want {
				return *e.Session
			}
		}
	}
	c.ask(map[string]any{"content": "tell me something", "model": "openai/m"})
	title("tell me something")
	gate <- struct{}{}
	gate <- struct{}{}
	title("Two Words")

	c.ask(map[string]any{"content": "another one", "model": "openai/m"})
	renamed := title("another one")
	c.call(http.MethodPatch, "/sessions/"+string(renamed.ID), map[string]any{"title": "My own"}, nil)
	close(gate)
	titles := func() (n, answers int64) {
		for _, sum := range c.usage("model") {
			n, answers = n+sum.Titles, answers+sum.Answers
		}
		return n, answers
	}
	for n, answers := titles(); n < 2 || answers != 2; n, answers = titles() { // the books have the second title's cost, too
		if ctx.Err() != nil {
			t.Fatalf("usage %+v", c.usage("model"))
		}
		pauseFor(ctx, 20*time.Millisecond)
	}
	var s hub.Session
	c.call(http.MethodGet, "/sessions/"+string(renamed.ID), nil, &s)
	if s.Title != "My own" {
		t.Errorf("the title is %q", s.Title)
	}
}

func TestUsageIsCountedOnceHoweverAnAnswerEnds(t *testing.T) {
	for _, database := range []string{"sqlite", "postgres"} {
		t.Run(database, func(t *testing.T) {
			gate := make(chan struct{})
			provider := fake.New(map[string]fake.Script{
				"gpt-4o": {Tokens: fake.Numbered(10), Usage: true}, "gpt-4.1": {Tokens: fake.Numbered(10), Gate: gate},
			})
			defer provider.Close()
			env := map[string]string{}
			if database == "postgres" {
				env["DATABASE_URL"] = pgtest.Start(t)
			}
			s := startServer(t, provider, env)
			c := s.user("ann")
			c.call(http.MethodPut, "/prices/gpt-4", map[string]any{"input": 2.5, "cached_input": 1.25, "output": 10}, nil) // the catalog's count at OpenAI's own address alone
			session, ctx := c.session(), soon(t)
			ids := map[string]any{"session_id": session, "content": "go", "model": "openai/gpt-4o", "message_id": hub.NewID(), "answer_id": hub.NewID()}
			for range 3 {
				c.ask(ids)
			}
			m := c.message(session, ids["answer_id"].(string))
			// 7 tokens in, 3 of them cached, and 10 out at 2.50, 1.25 and 10 dollars a million.
			if m.Usage == nil || m.Usage.Estimated || m.Usage.Cost == nil || *m.Usage.Cost != hub.Money(4*2500+3*1250+10*10000) {
				t.Errorf("usage %+v", m.Usage)
			}
			hangUp := func(id string, n int) *viewer {
				res, err := c.sse(ctx, http.MethodPost, "/chat/stream", map[string]any{"session_id": session, "content": "slow", "model": "openai/gpt-4.1", "answer_id": id})
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				v := newViewer()
				go func() {
					for range n {
						gate <- struct{}{}
					}
				}()
				if err := v.follow(res.Body, func() bool { return v.seq >= int64(n) }); err != nil {
					t.Fatal(err)
				}
				return v
			}
			stopped := hub.NewID()
			hangUp(stopped, 4)
			c.call(http.MethodDelete, "/chat/stream/"+stopped, nil, nil)
			c.settled(ctx, session, stopped)
			died := hub.NewID()
			hangUp(died, 3)
			s.kill()
			s.start()
			c.settled(ctx, session, died)
			for _, id := range []string{stopped, died} {
				if m := c.message(session, id); m.Usage == nil || !m.Usage.Estimated || m.Usage.InputTokens == 0 || m.Usage.OutputTokens == 0 || m.Usage.Cost == nil {
					t.Errorf("%s: usage %+v", m.Status, m.Usage)
				}
			}
			by := map[string]hub.UsageSum{}
			for _, group := range []string{"day", "model", "session"} {
				for _, u := range c.usage(group) {
					by[u.Key] = u
				}
			}
			a, b, all := by["openai/gpt-4o"], by["openai/gpt-4.1"], by[session]
			if a.Answers != 1 || a.Estimated != 0 || b.Answers != 2 || b.Estimated != 2 || all.Answers != 3 || all.Cost != a.Cost+b.Cost {
				t.Errorf("by model %+v and %+v, by session %+v", a, b, all)
			}
		})
	}
}

// settled waits until an answer has ended.
func (c *client) settled(ctx context.Context, session, id string) {
	c.s.t.Helper()
	for c.message(session, id).Status == hub.StatusStreaming {
		if ctx.Err() != nil {
			c.s.t.Fatalf("answer %s does not end", id)
		}
		pauseFor(ctx, 20*time.Millisecond)
	}
}

func TestDailyLimitRefusesClearly(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(10), Usage: true}})
	defer provider.Close()
	s := startServer(t, provider, map[string]string{"OMNICHAT_DAILY_TOKENS": "20"})
	c := s.user("ann")
	session := c.session()
	first := map[string]any{"session_id": session, "content": "go", "model": "openai/m", "message_id": hub.NewID()}
	again := map[string]any{"session_id": session, "content": "go on", "model": "openai/m"}
	c.ask(first)
	c.ask(again)
	if status, code, _ := c.try(http.MethodPost, "/chat/stream", again); status != http.StatusTooManyRequests || code != string(hub.CodeDailyLimit) {
		t.Errorf("over the limit: %d %s", status, code)
	}
	same(t, "what was asked before", c.ask(first), strings.Join(fake.Numbered(10), ""))
	var l hub.Limits
	c.call(http.MethodGet, "/limits", nil, &l)
	if l.DailyTokens != 20 || l.UsedTokens != 34 {
		t.Errorf("limits %+v", l)
	}
	s.user("bob").ask(map[string]any{"content": "mine", "model": "openai/m"})
}

func TestFilesReachModelsThatCanRead(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"in the database": {}, "in a folder": {"OMNICHAT_FILES_DIR": filepath.Join(t.TempDir(), "files")}, "in PostgreSQL": {"DATABASE_URL": pgtest.Start(t)},
	} {
		t.Run(name, func(t *testing.T) {
			provider := fake.New(map[string]fake.Script{"gpt-4o": {Tokens: []string{"seen"}}, "o1-mini": {Tokens: []string{"no"}}})
			defer provider.Close()
			s := startServer(t, provider, env)
			ann, bob := s.user("ann"), s.user("bob")
			image, text := ann.upload("cat.txt", pixel), ann.upload("notes.md", []byte("remember ```the milk```"))
			if image.MediaType != "image/png" || text.MediaType != "text/plain" {
				t.Errorf("taken for %s and %s", image.MediaType, text.MediaType)
			}
			session := ann.session()
			ask := map[string]any{"session_id": session, "content": "look", "model": "openai/o1-mini", "attachments": []hub.FileID{image.ID, text.ID}}
			if status, code, field := ann.try(http.MethodPost, "/chat/stream", ask); status != http.StatusBadRequest || code != string(hub.CodeNoVision) || field != "attachments" {
				t.Errorf("a model that cannot see: %d %s %s", status, code, field)
			}
			stolen := map[string]any{"content": "look", "model": "openai/gpt-4o", "attachments": []hub.FileID{image.ID}}
			if status, code, field := bob.try(http.MethodPost, "/chat/stream", stolen); status != http.StatusNotFound || code != string(hub.CodeNotFound) || field != "attachments" {
				t.Errorf("somebody else's file: %d %s %s", status, code, field)
			}
			ask["model"] = "openai/gpt-4o"
			v := ann.ask(ask)
			_, texts := lastTurns(t, provider)
			if !strings.Contains(texts[0], "data:image/png;base64,iVBOR") || !strings.Contains(texts[0], "remember ```the milk```") {
				t.Errorf("asked with %.300s", texts[0])
			}
			m := ann.message(session, string(*ann.message(session, v.id).ParentID))
			if !slices.Equal(m.Files, []hub.File{image, text}) {
				t.Errorf("stored with %v", m.Files)
			}
			ask["model"] = "openai/o1-mini"
			delete(ask, "attachments")
			v = ann.ask(ask)
			if len(v.end.Notices) != 1 || v.end.Notices[0].Code != hub.NoticeImagesLeft {
				t.Errorf("notices %v", v.end.Notices)
			}
			path := "/attachments/" + string(image.ID)
			if status, _, _ := ann.try(http.MethodGet, path, nil); status != http.StatusOK {
				t.Errorf("her own: %d", status)
			}
			for _, p := range []string{path, "/attachments/" + hub.NewID()} {
				if status, code, _ := bob.try(http.MethodGet, p, nil); status != http.StatusNotFound || code != string(hub.CodeNotFound) {
					t.Errorf("%s for bob: %d %s", p, status, code)
				}
			}
			ann.call(http.MethodDelete, "/sessions/"+session, nil, nil)
			if status, _, _ := ann.try(http.MethodGet, path, nil); status != http.StatusNotFound {
				t.Errorf("after the session was deleted: %d", status)
			}
			if dir := env["OMNICHAT_FILES_DIR"]; dir != "" {
				left := 0
				err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
					if err == nil && !d.IsDir() && !strings.HasPrefix(d.Name(), "database-") { // whose folder it is
						left++
					}
					return err
				})
				if err != nil || left != 0 {
					t.Errorf("%d files are left in the folder, %v", left, err)
				}
			}
		})
	}
}

func TestKeysAddedInThePage(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: []string{"ok"}}})
	defer provider.Close()
	s := startServer(t, provider, nil)
	admin, bob := s.user("ann"), s.user("bob")
	put := map[string]any{"kind": "openai", "base_url": provider.BaseURL(), "api_key": "very-secret-key"}
	bob.call(http.MethodPut, "/providers/mine", put, nil)
	v := bob.ask(map[string]any{"content": "go", "model": "mine/m"})
	if v.end.Error == nil || v.end.Error.Code != hub.CodeProviderInvalid || provider.Calls("m") != 0 {
		t.Errorf("a user's own address on the server's network: %+v, %d calls", v.end.Error, provider.Calls("m"))
	}
	put["shared"] = true
	if status, code, _ := bob.try(http.MethodPut, "/providers/ours", put); status != http.StatusForbidden {
		t.Errorf("bob for everyone: %d %s", status, code)
	}
	admin.call(http.MethodPut, "/providers/ours", put, nil)
	for _, c := range []*client{admin, bob} {
		if v := c.ask(map[string]any{"content": "go", "model": "ours/m"}); v.text() != "ok" {
			t.Errorf("the admin's: %q, %+v", v.text(), v.end)
		}
	}
	if status, code, _ := admin.try(http.MethodPost, "/chat/stream", map[string]any{"content": "go", "model": "mine/m"}); status != http.StatusBadRequest {
		t.Errorf("bob's for ann: %d %s", status, code)
	}
	var list struct{ Items []hub.EndpointInfo }
	bob.call(http.MethodGet, "/providers", nil, &list)
	want := []hub.EndpointInfo{ // an address is for who has set it
		{Name: "openai", Kind: "openai", Source: hub.FromSettings},
		{Name: "ours", Kind: "openai", Source: hub.FromAdmin, HasKey: true},
		{Name: "mine", Kind: "openai", BaseURL: provider.BaseURL(), Source: hub.FromUser, HasKey: true},
	}
	for i := range list.Items {
		list.Items[i].Error = nil // of his own, which may not lead there
	}
	for _, w := range want {
		if !slices.Contains(list.Items, w) {
			t.Errorf("%+v is not in %+v", w, list.Items)
		}
	}
	s.kill()
	s.start() // the key is sealed on the disk, and opened again
	if v := bob.ask(map[string]any{"content": "go", "model": "ours/m"}); v.text() != "ok" {
		t.Errorf("after a restart: %q, %+v", v.text(), v.end)
	}
	files, err := filepath.Glob(filepath.Join(s.env["OMNICHAT_DATA_DIR"], "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err != nil || bytes.Contains(b, []byte("very-secret-key")) {
			t.Errorf("%s: the key is there in clear text, or %v", f, err)
		}
	}
	if strings.Contains(s.logs.String(), "very-secret-key") {
		t.Error("the key is in the log")
	}
}

func TestThinkingIsReplayedToItsProvider(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Reasoning: []string{"hm ", "yes"}, Tokens: []string{"ok"}, Signature: "sealed-thought"}})
	defer provider.Close()
	s := startServer(t, provider, map[string]string{"ANTHROPIC_BASE_URL": provider.URL, "ANTHROPIC_API_KEY": "k", "GEMINI_BASE_URL": provider.URL, "GEMINI_API_KEY": "k"})
	c := s.user("ann")
	for _, vendor := range []string{"anthropic", "gemini"} {
		t.Run(vendor, func(t *testing.T) {
			session := c.session()
			ask := map[string]any{"session_id": session, "content": "go", "model": vendor + "/m"}
			c.ask(ask)
			s.kill()
			s.start()
			c.ask(ask)
			bodies := provider.Bodies()
			if !strings.Contains(bodies[len(bodies)-1], "sealed-thought") {
				t.Errorf("asked again without the signature: %s", bodies[len(bodies)-1])
			}
			ask["model"] = "openai/m"
			c.ask(ask)
			bodies = provider.Bodies()
			if strings.Contains(bodies[len(bodies)-1], "sealed-thought") {
				t.Error("another provider was told the signature")
			}
		})
	}
}
