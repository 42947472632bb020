package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain is the floor itself when a measurement starts it as a process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestSmoke has every kind of run bring everything to its viewers, over real
// sockets, from the server as it is built now.
func TestSmoke(t *testing.T) {
	server := filepath.Join(t.TempDir(), "omnichat")
	if out, err := exec.Command("go", "build", "-o", server, "../omnichat").CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var tables, progress strings.Builder
	err := bench(ctx, []string{"smoke", "-server", server}, &tables, &progress)
	t.Logf("%s\n%s", progress.String(), tables.String())
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(tables.String(), "missing"); n != 5 {
		t.Errorf("%d tables, want 5", n)
	}
}

func TestUnknownArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"nothing"}, {"fanout", "more"}, {"fanout", "-streams", "0"}, {"chat", "-tokens", "-1"}, {"growth", "-what", "beards"},
		{"fanout", "-targets", "beard", "-rounds", "1"}, {"chat", "-db", "oracle", "-rounds", "1", "-server", os.Args[0]}} {
		if err := bench(t.Context(), args, &strings.Builder{}, &strings.Builder{}); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
