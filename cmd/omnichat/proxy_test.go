package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v4"

	"github.com/omnichat/omnichat/providers/providertest/fake"
	"github.com/omnichat/omnichat/repo/pgtest"
	"github.com/omnichat/omnichat/repo/redistest"
)

// compose is what the tests read of compose.yaml.
type compose struct {
	Services map[string]service
}

type service struct {
	Image, Build, User string
	PullPolicy         string `yaml:"pull_policy"`
	Environment        map[string]string
	EnvFile            []struct {
		Path     string
		Required bool
	} `yaml:"env_file"`
	Ports, Volumes, Tmpfs []string
	ReadOnly              bool     `yaml:"read_only"`
	CapDrop               []string `yaml:"cap_drop"`
	SecurityOpt           []string `yaml:"security_opt"`
	MemLimit              string   `yaml:"mem_limit"`
	Logging               struct{ Options map[string]string }
}

func readCompose(t *testing.T) (c compose) {
	t.Helper()
	file, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(file, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComposePassesTheSettingsOn(t *testing.T) {
	replica := readCompose(t).Services["omnichat-1"]
	// What .env has is passed on, too, but a variable of the shell only by name.
	if len(replica.EnvFile) != 1 || replica.EnvFile[0].Path != ".env" || replica.EnvFile[0].Required {
		t.Errorf("env_file is %+v, not an optional .env", replica.EnvFile)
	}
	env := replica.Environment
	for f := range reflect.TypeFor[Config]().Fields() {
		name := f.Tag.Get("env")
		if _, ok := env[name]; !ok && (!strings.HasPrefix(name, "OMNICHAT_") || strings.HasSuffix(name, "_SECRET")) {
			t.Errorf("%s is not passed on", name)
		}
	}
	// A password is no part of a URL, where it had to be escaped.
	const password = "p@ss:w/or%d?#&"
	t.Setenv("PGPASSWORD", password)
	if cfg, err := pgx.ParseConfig(env["DATABASE_URL"]); err != nil || cfg.Password != password || cfg.Host != "postgres" {
		t.Errorf("DATABASE_URL with that password: %+v, %v", cfg, err)
	}
}

func TestComposeKeepsServicesSmallAndApart(t *testing.T) {
	builds := 0
	version := regexp.MustCompile(`:\d+\.\d+(\.\d+)?$`)
	for name, s := range readCompose(t).Services {
		switch {
		case s.Image != "omnichat":
			if !version.MatchString(s.Image) {
				t.Errorf("%s: the image %s has no version", name, s.Image)
			}
		case s.Build != "":
			builds++
		case s.PullPolicy != "never":
			t.Errorf("%s: the image that another service builds is looked for in a registry", name)
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.MemLimit == "" {
			t.Errorf("%s may do more than it needs: %+v", name, s)
		}
		if s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
			t.Errorf("%s: its log grows for ever", name)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "${OMNICHAT_BIND:-127.0.0.1}:") {
				t.Errorf("%s: the port %s is open to all by default", name, p)
			}
		}
	}
	if builds != 1 {
		t.Errorf("%d services build the image", builds)
	}
}

// startProxy runs the proxy of compose.yaml, with the configuration that
// stands there, before the replicas.
func startProxy(t *testing.T, replicas []*server) *server {
	t.Helper()
	caddyfile := strings.ReplaceAll(readCompose(t).Services["proxy"].Environment["CADDYFILE"], "$$", "$") // as Compose does
	dir := t.TempDir()
	path := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := redistest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	addr := "127.0.0.1:" + port
	var upstreams []string
	for _, s := range replicas {
		upstreams = append(upstreams, strings.TrimPrefix(s.base, "http://"))
	}
	cmd := exec.Command("caddy", "run", "--config", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = []string{"HOME=" + dir, "OMNICHAT_SITE=http://" + addr, "OMNICHAT_UPSTREAMS=" + strings.Join(upstreams, " ")}
	s := &server{t: t, base: "http://" + addr, cmd: cmd, logs: new(logs)}
	cmd.Stderr = s.logs
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the proxy (Debian: apt-get install caddy): %v", err)
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the proxy's log:\n%s", s.logs)
		}
	})
	ctx := soon(t)
	for {
		res, err := http.Get(s.base + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return s
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("the proxy does not come up: %v", err)
		}
		pauseFor(ctx, 20*time.Millisecond)
	}
}

func TestProxyPassesEveryTokenAtOnce(t *testing.T) {
	gate := make(chan struct{})
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(50), Gate: gate}})
	defer provider.Close()
	c := startCluster(t, provider, 3, nil)
	ann := startProxy(t, c.replicas).user("ann")
	session, ctx := ann.session(), soon(t)
	live := newViewer()
	w, err := ann.socket(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.conn.CloseNow()
	if err := w.send(ctx, map[string]any{"type": "subscribe", "ref": 1, "session_id": session}); err != nil {
		t.Fatal(err)
	}
	res, asker, err := ann.begin(ctx, session, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for seq := int64(1); seq <= 50; seq++ { // the next token is sent once both have seen this one
		gate <- struct{}{}
		if err := asker.follow(res.Body, func() bool { return asker.seq >= seq }); err != nil {
			t.Fatal(err)
		}
		for live.seq < seq {
			e, err := w.next(ctx)
			if err == nil {
				err = live.apply(e)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	close(gate)
	if err := asker.follow(res.Body, nil); err != nil || asker.text() != strings.Join(fake.Numbered(50), "") {
		t.Errorf("the asker holds %d bytes, %v", len(asker.text()), err)
	}
}

func TestProxyStopsWithAnOpenStream(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(5), Gate: gate}})
	defer provider.Close()
	c := startCluster(t, provider, 1, nil)
	proxy := startProxy(t, c.replicas)
	ann, ctx := proxy.user("ann"), soon(t)
	w, err := ann.socket(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.conn.CloseNow()
	res, _, err := ann.begin(ctx, ann.session(), "m")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := proxy.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(30*time.Second, func() { _ = proxy.cmd.Process.Kill() })
	defer stuck.Stop()
	if err := proxy.cmd.Wait(); err != nil {
		t.Errorf("the proxy did not stop by itself: %v", err)
	}
}

func TestProxyKeepsTheMetricsPrivateAndHeadersShort(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(1)}})
	defer provider.Close()
	c := startCluster(t, provider, 1, nil)
	proxy := startProxy(t, c.replicas)
	for _, path := range []string{"/metrics", "/metrics/", "/metrics?x=1", "/%6detrics", "//metrics", "/METRICS"} {
		res, err := http.Get(proxy.base + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode == http.StatusOK && strings.Contains(string(body), "omnichat_") {
			t.Errorf("GET %s through the proxy: %s, %v\n%.200s", path, res.Status, err, body)
		}
	}
	// Headers are held until all have come, and anybody may send them.
	for _, base := range []string{proxy.base, c.replicas[0].base} {
		for size, want := range map[int]int{32 << 10: http.StatusOK, 128 << 10: http.StatusRequestHeaderFieldsTooLarge} {
			req, err := http.NewRequestWithContext(t.Context(), "GET", base+"/healthz", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Long", strings.Repeat("x", size))
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%s with %d bytes of headers: %s, want %d", base, size, res.Status, want)
			}
		}
	}
}

func TestProxyFindsAReplicaThatLives(t *testing.T) {
	tokens := fake.Numbered(20)
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens}})
	defer provider.Close()
	c := startCluster(t, provider, 3, nil)
	ann := startProxy(t, c.replicas).user("ann")
	session := ann.session()
	c.replicas[0].kill()
	c.replicas[1].kill()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for n := 0; n < 10; {
		res, v, err := ann.begin(ctx, session, "m")
		if err != nil { // until the proxy has seen that two are gone
			if ctx.Err() != nil {
				t.Fatal(err)
			}
			pauseFor(ctx, 50*time.Millisecond)
			continue
		}
		err = v.follow(res.Body, nil)
		res.Body.Close()
		if err != nil || v.text() != strings.Join(tokens, "") {
			t.Fatal(fmt.Errorf("%d bytes: %w", len(v.text()), err))
		}
		n++
	}
	c.replicas[2].kill()
	unavailable(t, "without any replica", ann.request(ctx, http.MethodGet, "/sessions", nil))
}

// TestProxyBlamesNoReplicaForABrokenRequest holds that whoever breaks their own
// requests off takes no replica from the others.
func TestProxyBlamesNoReplicaForABrokenRequest(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(1)}})
	defer provider.Close()
	proxy := startProxy(t, startCluster(t, provider, 2, nil).replicas)
	addr := strings.TrimPrefix(proxy.base, "http://")
	broken := map[string]string{
		"a chunk that is none":   "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"a body that breaks off": "Content-Length: 5000\r\n\r\n{",
	}
	for name, rest := range broken {
		for range 4 { // each replica more than once
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintf(conn, "POST /users HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s", addr, rest); err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(rest, "{") {
				if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			conn.Close()
		}
		began := time.Now()
		res, err := http.Get(proxy.base + "/config.json")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		// Without a replica to ask it would wait for one for 5 s.
		if took := time.Since(began); res.StatusCode != http.StatusOK || took > 4*time.Second {
			t.Errorf("after %s: %s in %s", name, res.Status, took)
		}
	}
}

// unavailable expects a request to be refused for now, as clients understand it.
func unavailable(t *testing.T, when string, r *http.Request) {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Errorf("%s: %v", when, err)
		return
	}
	var p struct {
		Status int
		Code   string
	}
	err = decodeBody(res, &p)
	if h := res.Header; err != nil || res.StatusCode != http.StatusServiceUnavailable || p.Status != res.StatusCode || p.Code != "unavailable" ||
		h.Get("Retry-After") == "" || h.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %s, %v, %+v, %v", when, res.Status, h, p, err)
	}
}

func TestProxyWithoutADatabase(t *testing.T) {
	tokens := fake.Numbered(2000)
	whole := strings.Join(tokens, "")
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Every: 5 * time.Millisecond}})
	defer provider.Close()
	c := startCluster(t, provider, 3, nil)
	ann := startProxy(t, c.replicas).user("ann")
	session, ctx := ann.session(), soon(t)
	res, asker, err := ann.begin(ctx, session, "m")
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Away(t)
	for _, s := range c.replicas {
		unavailable(t, "a replica", (&client{s: s}).request(ctx, http.MethodGet, "/readyz", nil))
	}
	// The answer goes on for so long that the proxy has looked at all replicas.
	at := asker.seq + 500
	if err := asker.follow(res.Body, func() bool { return asker.seq >= at }); err != nil || asker.seq < at {
		t.Fatalf("the answer ended at %d, %v", asker.seq, err)
	}
	var pages []int // of a replica and through the proxy; not found if the page is not built
	for _, s := range []*server{c.replicas[0], ann.s} {
		page, err := http.Get(s.base + "/")
		if err != nil {
			t.Fatal(err)
		}
		page.Body.Close()
		pages = append(pages, page.StatusCode)
	}
	if pages[0] != pages[1] || pages[0] >= 500 {
		t.Errorf("the page: %d, through the proxy %d", pages[0], pages[1])
	}
	unavailable(t, "a question", ann.request(ctx, http.MethodPost, "/chat/stream", map[string]any{"content": "x", "model": "openai/m"}))
	res.Body.Close()
	proxied := &cluster{t: t, replicas: []*server{ann.s}}
	resumed := false
	follow := func(until func() bool) {
		for ctx.Err() == nil && asker.end == nil && (until == nil || !until()) {
			res, err := ann.sse(ctx, http.MethodGet, fmt.Sprintf("/chat/stream/%s?after=%d", asker.id, asker.seq), nil)
			if err != nil { // a replica that does not have it cannot look it up
				pauseFor(ctx, 20*time.Millisecond)
				continue
			}
			resumed = true
			if err := asker.follow(res.Body, until); err != nil {
				t.Error(err)
			}
			res.Body.Close()
		}
	}
	at = asker.seq + 100
	follow(func() bool { return asker.seq >= at })
	if !resumed || asker.end != nil {
		t.Errorf("it was not resumed without the database: at %d, %v", asker.seq, asker.end)
	}
	pgtest.Back(t)
	follow(nil)
	late, err := proxied.patient(ctx, ann, 0, asker.id, nil)
	if err != nil {
		t.Error(err)
	}
	for who, v := range map[string]*viewer{"asker": asker, "late viewer": late} {
		same(t, who, v, whole)
		if v.end != nil && v.end.Reason != "stop" {
			t.Errorf("%s: %s", who, v.end.Reason)
		}
	}
}

func TestReplicaThatDrainsIsSentNoRequests(t *testing.T) {
	gate := make(chan struct{})
	tokens := fake.Numbered(20)
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Gate: gate}})
	defer provider.Close()
	c := startCluster(t, provider, 2, map[string]string{"OMNICHAT_DRAIN": "60s"})
	ann := startProxy(t, c.replicas).user("ann")
	ctx := soon(t)
	res, v, err := ann.at(c.replicas[0]).begin(ctx, ann.session(), "m")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := c.replicas[0].cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	status := func(path string) int {
		res, err := http.Get(c.replicas[0].base + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for status("/readyz?for=proxy") != http.StatusServiceUnavailable {
		if ctx.Err() != nil {
			t.Fatal("a replica that drains says that it takes requests")
		}
		pauseFor(ctx, 10*time.Millisecond)
	}
	if got := status("/healthz"); got != http.StatusOK {
		t.Errorf("it does not live: %d", got)
	}
	close(gate)
	if err := v.follow(res.Body, nil); err != nil {
		t.Error(err)
	}
	same(t, "asker", v, strings.Join(tokens, ""))
	if err := c.replicas[0].cmd.Wait(); err != nil {
		t.Error(err)
	}
	ann.call(http.MethodGet, "/sessions", nil, nil)
}
