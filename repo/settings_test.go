package repo_test

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/repo"
)

func TestUserSettingsAreChangedOneByOne(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		ctx := t.Context()
		is := func(user hub.UserID, want hub.UserSettings) {
			t.Helper()
			if got, err := s.r.UserSettings(ctx, as(user)); got != want || err != nil {
				t.Errorf("settings %+v, %v, want %+v", got, err, want)
			}
		}
		change := func(p hub.UserSettingsPatch, want hub.UserSettings) {
			t.Helper()
			if got, err := s.r.UpdateUserSettings(ctx, as(s.alice), p); got != want || err != nil {
				t.Errorf("changed to %+v, %v, want %+v", got, err, want)
			}
			is(s.alice, want)
		}
		is(s.alice, hub.UserSettings{})
		prompt, model, none := "Be brief: it's \\ '?0'", "fake/m", ""
		change(hub.UserSettingsPatch{FallbackModel: &model}, hub.UserSettings{FallbackModel: model})
		change(hub.UserSettingsPatch{SystemPrompt: &prompt}, hub.UserSettings{SystemPrompt: prompt, FallbackModel: model})
		change(hub.UserSettingsPatch{FallbackModel: &none}, hub.UserSettings{SystemPrompt: prompt})
		change(hub.UserSettingsPatch{}, hub.UserSettings{SystemPrompt: prompt})
		is(s.bob, hub.UserSettings{})
	})
}

// secret is a key to seal keys with.
func secret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func (s *suite) endpoints(user hub.UserID) []hub.Endpoint {
	s.t.Helper()
	list, err := s.r.Endpoints(s.t.Context(), as(user))
	s.ok(err)
	return list
}

func TestEndpointsAreEveryonesOrOnesOwn(t *testing.T) {
	bothWith(t, repo.Options{SealKey: secret(1)}, func(t *testing.T, s *suite) {
		ctx := t.Context()
		shared := hub.Endpoint{Name: "groq", Kind: "openai", BaseURL: "https://api.groq.example/v1", APIKey: "key-of-all"}
		own := hub.Endpoint{Name: "groq", Kind: "anthropic", APIKey: "key-of-alice", Owner: s.alice}
		s.ok(s.r.PutEndpoint(ctx, shared))
		s.ok(s.r.PutEndpoint(ctx, own))
		is := func(user hub.UserID, want ...hub.Endpoint) {
			t.Helper()
			got := s.endpoints(user)
			for i := range got {
				if got[i].UpdatedAt.IsZero() {
					t.Errorf("%s has no time", got[i].Name)
				}
				if i < len(want) {
					want[i].UpdatedAt = got[i].UpdatedAt
				}
				if len(got) != len(want) || got[i] != want[i] {
					t.Errorf("there are %+v, want %+v", got, want)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d endpoints, want %d", len(got), len(want))
			}
		}
		is(s.alice, shared, own)
		is(s.bob, shared)
		is("", shared)
		s.code(s.r.DeleteEndpoint(ctx, s.bob, "groq"), hub.CodeNotFound)
		s.ok(s.r.DeleteEndpoint(ctx, s.alice, "groq"))
		s.code(s.r.DeleteEndpoint(ctx, s.alice, "groq"), hub.CodeNotFound)
		is(s.alice, shared)
		s.ok(s.r.DeleteEndpoint(ctx, "", "groq"))
		is(s.alice)
	})
}

func TestEndpointKeepsItsKeyOnlyForItsAddress(t *testing.T) {
	bothWith(t, repo.Options{SealKey: secret(1)}, func(t *testing.T, s *suite) {
		for name, tt := range map[string]struct {
			change func(e *hub.Endpoint)
			want   string
		}{
			"the same":        {func(e *hub.Endpoint) {}, "sk-1"},
			"another address": {func(e *hub.Endpoint) { e.BaseURL = "https://evil.example" }, ""},
			"another kind":    {func(e *hub.Endpoint) { e.Kind = "gemini" }, ""},
			"another key":     {func(e *hub.Endpoint) { e.APIKey = "sk-2" }, "sk-2"},
			"all of it":       {func(e *hub.Endpoint) { e.BaseURL, e.Kind, e.APIKey = "", "ollama", "sk-3" }, "sk-3"},
		} {
			e := hub.Endpoint{Name: "own", Kind: "openai", BaseURL: "https://one.example", APIKey: "sk-1", Owner: s.alice}
			s.ok(s.r.PutEndpoint(t.Context(), e))
			before := s.endpoints(s.alice)[0]
			e.APIKey = ""
			tt.change(&e)
			s.ok(s.r.PutEndpoint(t.Context(), e))
			got := s.endpoints(s.alice)[0]
			if got.APIKey != tt.want || got.BaseURL != e.BaseURL || got.Kind != e.Kind || !got.UpdatedAt.After(before.UpdatedAt) {
				t.Errorf("%s: it is %+v", name, got)
			}
		}
	})
}

func TestUserHasALimitOfEndpoints(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		put := func(owner hub.UserID, i int) error {
			return s.r.PutEndpoint(t.Context(), hub.Endpoint{Name: fmt.Sprint("own-", i), Kind: "openai", Owner: owner})
		}
		var refused atomic.Int32
		var all sync.WaitGroup
		for i := range hub.EndpointsMax + 5 {
			all.Go(func() {
				err := put(s.alice, i)
				if err == nil {
					return
				}
				var e *hub.Error
				if !errors.As(err, &e) || e.Code != hub.CodeInvalid || e.Field != "name" {
					t.Errorf("one too many: %v", err)
				}
				refused.Add(1)
			})
		}
		all.Wait()
		have := s.endpoints(s.alice)
		if len(have) != hub.EndpointsMax || refused.Load() != 5 {
			t.Fatalf("there are %d, and %d were refused", len(have), refused.Load())
		}
		s.ok(s.r.PutEndpoint(t.Context(), hub.Endpoint{Name: have[7].Name, Kind: "gemini", Owner: s.alice}))
		s.ok(put(s.bob, 0))
		for i := range hub.EndpointsMax + 1 {
			s.ok(put("", i)) // an admin's
		}
		s.ok(s.r.DeleteEndpoint(t.Context(), s.alice, have[0].Name))
		s.ok(put(s.alice, 100))
		s.code(put(s.alice, 101), hub.CodeInvalid)
	})
}

// raw opens the database beside the repo, which is closed.
func (s *suite) raw() *sql.DB {
	s.t.Helper()
	driver, dsn := "sqlite", filepath.Join(s.opt.DataDir, "omnichat.db")
	if s.opt.DatabaseURL != "" {
		driver, dsn = "pgx", s.opt.DatabaseURL
	}
	db, err := sql.Open(driver, dsn)
	s.ok(err)
	s.t.Cleanup(func() { s.ok(db.Close()) })
	return db
}

func (s *suite) exec(db *sql.DB, query string, args ...any) {
	s.t.Helper()
	if _, err := db.ExecContext(s.t.Context(), query, args...); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
}

func TestKeysAreSealed(t *testing.T) {
	var log lines
	opt := repo.Options{SealKey: secret(1), Logger: slog.New(slog.NewTextHandler(&log, nil))}
	bothWith(t, opt, func(t *testing.T, s *suite) {
		log.reset()
		const key = "sk-very-secret-key"
		for _, e := range []hub.Endpoint{
			{Name: "one", Kind: "openai", BaseURL: "https://a.example", APIKey: key},
			{Name: "two", Kind: "openai", BaseURL: "https://b.example", APIKey: key, Owner: s.alice},
			{Name: "two", Kind: "openai", BaseURL: "https://b.example", APIKey: key + "-of-bob", Owner: s.bob},
			{Name: "three", Kind: "ollama", BaseURL: "http://c.example"},
		} {
			s.ok(s.r.PutEndpoint(t.Context(), e))
		}
		s.ok(s.r.Close())
		db := s.raw()
		rows, err := db.Query("SELECT name, sealed_key FROM endpoints")
		s.ok(err)
		seen := map[string]bool{}
		for rows.Next() {
			var name string
			var sealed []byte
			s.ok(rows.Scan(&name, &sealed))
			if bytes.Contains(sealed, []byte(key)) || seen[string(sealed)] || (name == "three") != (sealed == nil) {
				t.Errorf("%s is kept as %x", name, sealed)
			}
			seen[string(sealed)] = true
		}
		s.ok(errors.Join(rows.Err(), rows.Close()))
		if s.opt.DatabaseURL != "" {
			var found int
			s.ok(db.QueryRow("SELECT count(*) FROM endpoints AS e WHERE e::text LIKE $1 OR e::text LIKE $2", "%"+key+"%", "%"+hex.EncodeToString([]byte(key))+"%").Scan(&found))
			if found > 0 {
				t.Error("the table has the key in clear text")
			}
		} else {
			files, err := os.ReadDir(s.opt.DataDir)
			s.ok(err)
			for _, f := range files {
				content, err := os.ReadFile(filepath.Join(s.opt.DataDir, f.Name()))
				s.ok(err)
				if bytes.Contains(content, []byte(key)) {
					t.Errorf("%s has the key in clear text", f.Name())
				}
			}
		}

		keys := func() (out []string) {
			s.open()
			for range 2 {
				out = nil
				for _, e := range s.endpoints(s.alice) {
					out = append(out, e.APIKey)
				}
			}
			s.ok(s.r.Close())
			return out
		}
		for name, tt := range map[string]struct {
			key  []byte
			want string
			logs int // each once, however often they are read
		}{
			"the same secret":    {secret(1), key + "||" + key, 0}, // one, three, alice's two
			"another secret":     {secret(2), "||", 2},
			"no secret any more": {nil, "||", 2},
		} {
			log.reset()
			s.opt.SealKey = tt.key
			if got := strings.Join(keys(), "|"); got != tt.want || log.count() != tt.logs {
				t.Errorf("%s: keys %q, %d lines logged", name, got, log.count())
			}
		}
		s.opt.SealKey = secret(1)
		// A row that was tampered with gives no key to where it leads now.
		s.exec(db, "UPDATE endpoints SET base_url = 'https://evil.example' WHERE name = 'one'")
		if s.opt.DatabaseURL != "" {
			s.exec(db, "UPDATE endpoints SET sealed_key = (SELECT sealed_key FROM endpoints WHERE owner = $1) WHERE owner = $2", string(s.bob), string(s.alice))
		} else {
			s.exec(db, "UPDATE endpoints SET sealed_key = (SELECT sealed_key FROM endpoints WHERE owner = ?) WHERE owner = ?", string(s.bob), string(s.alice))
		}
		if got := strings.Join(keys(), "|"); got != "||" {
			t.Errorf("tampered rows give %q", got)
		}
		s.exec(db, "UPDATE endpoints SET sealed_key = NULL WHERE owner <> ''")
		s.exec(db, `UPDATE endpoints SET sealed_key = CAST('x' AS `+map[bool]string{true: "BYTEA", false: "BLOB"}[s.opt.DatabaseURL != ""]+`) WHERE name = 'one'`)
		if got := strings.Join(keys(), "|"); got != "||" {
			t.Errorf("broken rows give %q", got)
		}
		if log.has(key) {
			t.Error("the log has the key")
		}
		s.open()
	})
}

func TestWithoutSecretNoKeyIsKept(t *testing.T) {
	both(t, func(t *testing.T, s *suite) {
		e := hub.Endpoint{Name: "own", Kind: "openai", APIKey: "sk-1", Owner: s.alice}
		err := s.r.PutEndpoint(t.Context(), e)
		s.code(err, hub.CodeUnavailable)
		if err == nil || !strings.Contains(err.Error(), "OMNICHAT_KEY_SECRET") || strings.Contains(err.Error(), "sk-1") {
			t.Errorf("it says %v", err)
		}
		e.APIKey = ""
		s.ok(s.r.PutEndpoint(t.Context(), e))
		if got := s.endpoints(s.alice); len(got) != 1 || got[0].APIKey != "" {
			t.Errorf("there are %+v", got)
		}
	})
	if _, err := repo.Open(t.Context(), repo.Options{DataDir: t.TempDir(), SealKey: []byte("short")}); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a secret of another length: %v", err)
	}
}

// lines counts what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.text.Bytes(), []byte("\n"))
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text.Bytes(), []byte(s))
}

func TestAllGoesWithItsUser(t *testing.T) {
	bothWith(t, repo.Options{SealKey: secret(1)}, func(t *testing.T, s *suite) {
		ctx, prompt := t.Context(), "p"
		f := s.file("unbound")
		a := s.ask(with(s.question("x"), s.file("bound")))
		_, err := s.r.EndAnswer(ctx, s.ending(a, hub.Usage{InputTokens: 1}, a.Answer.CreatedAt))
		s.ok(err)
		_, err = s.r.UpdateUserSettings(ctx, as(s.alice), hub.UserSettingsPatch{SystemPrompt: &prompt})
		s.ok(err)
		s.ok(s.r.PutEndpoint(ctx, hub.Endpoint{Name: "own", Kind: "openai", APIKey: "k", Owner: s.alice}))
		s.ok(s.r.PutEndpoint(ctx, hub.Endpoint{Name: "all", Kind: "openai", APIKey: "k"}))
		s.ok(s.r.Close())
		db := s.raw()
		db.SetMaxOpenConns(1)
		if s.opt.DatabaseURL == "" {
			s.exec(db, "PRAGMA foreign_keys = ON")
		}
		s.exec(db, "DELETE FROM users WHERE id = $1", string(s.alice))
		for table, want := range map[string]int{"files": 0, "file_parts": 0, "spendings": 0, "user_settings": 0, "endpoints": 1, "messages": 0} {
			var n int
			s.ok(db.QueryRow("SELECT count(*) FROM " + table).Scan(&n))
			if n != want {
				t.Errorf("%d rows are left in %s, want %d", n, table, want)
			}
		}
		s.open()
		if s.has(f) {
			t.Error("the file is left")
		}
	})
}
