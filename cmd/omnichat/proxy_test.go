package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// startProxy runs the proxy of compose.yaml, with the configuration that
// stands there, before the replicas.
func startProxy(t *testing.T, replicas []*server) *server {
	t.Helper()
	file, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Configs map[string]struct{ Content string }
	}
	if err := yaml.Unmarshal(file, &compose); err != nil {
		t.Fatal(err)
	}
	caddyfile := strings.ReplaceAll(compose.Configs["caddyfile"].Content, "$$", "$") // as compose does
	dir := t.TempDir()
	path := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	var upstreams []string
	for _, s := range replicas {
		upstreams = append(upstreams, strings.TrimPrefix(s.base, "http://"))
	}
	cmd := exec.Command("caddy", "run", "--config", path, "--adapter", "caddyfile")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = []string{"HOME=" + dir, "OMNICHAT_SITE=http://" + addr, "OMNICHAT_UPSTREAMS=" + strings.Join(upstreams, " ")}
	s := &server{t: t, base: "http://" + addr, cmd: cmd, logs: new(bytes.Buffer)}
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
	c := startCluster(t, provider, 3, map[string]string{"OMNICHAT_IDLE_TIMEOUT": "60s", "OMNICHAT_FIRST_BYTE_TIMEOUT": "60s"})
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
}
