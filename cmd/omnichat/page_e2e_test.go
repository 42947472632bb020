//go:build e2e

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// TestPageThroughTheProxy runs the page's tests of replicas in a real browser,
// which reaches three of them through the proxy while they are replaced.
func TestPageThroughTheProxy(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(1500), Every: 10 * time.Millisecond}})
	defer provider.Close()
	c := startCluster(t, provider, 3, map[string]string{"OMNICHAT_DRAIN": "60s", "OMNICHAT_LOG_LEVEL": "debug"})
	proxy := startProxy(t, c.replicas)
	cmd := exec.CommandContext(t.Context(), "npx", "playwright", "test", "--config", "playwright.replicas.ts")
	cmd.Dir = "../../web"
	cmd.Env = append(os.Environ(), "OMNICHAT_URL="+proxy.base)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for n := 0; ; n++ {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
			if n < 3 {
				t.Errorf("%d replicas only were replaced", n)
			}
			return
		default:
		}
		s := c.replicas[n%3]
		if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("a replica ended with %v", err)
		}
		before := len(s.logs.String())
		s.start()
		// The next goes once the proxy sends requests to this one: it has looked, and
		// looks again.
		for ctx := soon(t); strings.Count(s.logs.String()[before:], "path=/readyz") < 2; {
			if ctx.Err() != nil {
				t.Fatal("the proxy does not look at a replica that came back")
			}
			pauseFor(ctx, 20*time.Millisecond)
		}
	}
}
