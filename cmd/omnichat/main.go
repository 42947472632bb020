// Command omnichat is the OmniChat server: chat with many AI providers whose
// answers are live objects.
//
// config.go reads the settings, run.go wires hub, repo, providers and transport and shuts
// them down again, vendors.go makes the providers, secret.go and trim.go keep the secret
// and the memory, healthcheck.go asks a running server. Its tests run the whole program.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	args, job := os.Args[1:], func(cfg Config) error {
		for _, w := range cfg.warnings() {
			fmt.Fprintln(os.Stderr, "omnichat: warning:", w)
		}
		return run(ctx, cfg, os.Stdout)
	}
	if len(args) == 1 && args[0] == "healthcheck" {
		args, job = nil, func(cfg Config) error { return healthcheck(ctx, cfg.Addr) }
	}
	cfg, err := parseConfig(args, os.Stdout)
	if err == nil {
		err = job(cfg)
	}
	if err != nil && !errors.Is(err, errHelp) {
		fmt.Fprintln(os.Stderr, "omnichat:", oneLine(err))
		os.Exit(1)
	}
}
