//go:build e2e

package main

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// TestPageThroughTheProxy runs the page's tests of replicas in a real browser,
// which reaches three of them through the proxy while they are replaced.
func TestPageThroughTheProxy(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(1500), Every: 10 * time.Millisecond}})
	defer provider.Close()
	c := startCluster(t, provider, 3, map[string]string{"OMNICHAT_DRAIN": "20s"})
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
		case <-time.After(3 * time.Second):
		}
		s := c.replicas[n%3]
		if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("a replica ended with %v", err)
		}
		s.start()
	}
}
