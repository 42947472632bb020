package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// job does what a sub-command is for, once its flags are read.
type job func(ctx context.Context, l *lab) ([]*report, error)

// command is a sub-command.
type command struct {
	name, about string
	define      func(*flag.FlagSet) job
}

var commands = []command{
	{"fanout", "brings the tokens of streams to many viewers, beside the floors", fanOutCommand},
	{"chat", "asks questions as users do, and reads the answers over SSE", chatCommand},
	{"replicas", "has the viewers on other replicas than the answer's owner", replicasCommand},
	{"growth", "raises one number at a time, to show how cost grows with it", growthCommand},
	{"smoke", "checks that everything arrives, with few viewers, in seconds", smokeCommand},
}

// settings are the flags that all sub-commands have.
type settings struct {
	server, against string
	postgresURL     string
	env             list
	rounds          int
	json            bool
	limit           time.Duration
	progress        io.Writer
}

// say tells what is under way.
func (s *settings) say(format string, a ...any) {
	fmt.Fprintf(s.progress, "%6.1f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, a...))
}

func (s *settings) define(flags *flag.FlagSet) {
	flags.StringVar(&s.server, "server", "bin/omnichat", "the OmniChat to measure")
	flags.StringVar(&s.against, "against", "", "another build of it, to compare with")
	flags.StringVar(&s.postgresURL, "postgres", "", "URL of a PostgreSQL where databases may be made; one is started if empty")
	flags.Var(&s.env, "env", "a setting for OmniChat, as OMNICHAT_X=1; may be repeated")
	flags.IntVar(&s.rounds, "rounds", 3, "how often everything is measured")
	flags.BoolVar(&s.json, "json", false, "print JSON instead of tables")
	flags.DurationVar(&s.limit, "timeout", time.Hour, "how long all may take")
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "omnibench:", err)
		os.Exit(1)
	}
}

// bench runs a sub-command: tables go to out, what is under way to progress.
func bench(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) > 0 && args[0] == "floor" {
		return serveFloor(ctx, args[1:], out)
	}
	name := ""
	if len(args) > 0 {
		name = strings.TrimLeft(args[0], "-")
	}
	for _, c := range commands {
		if c.name == name {
			return c.run(ctx, args[1:], out, progress)
		}
	}
	usage(progress)
	if name == "" || name == "help" || name == "h" {
		return flag.ErrHelp
	}
	return fmt.Errorf("unknown sub-command %q", args[0])
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "omnibench measures OmniChat beside bare servers and older builds. Usage: omnibench COMMAND [flags]")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.about)
	}
	fmt.Fprintln(w, "omnibench COMMAND -help lists the flags.")
}

func (c command) run(ctx context.Context, args []string, out, progress io.Writer) error {
	l := &lab{settings: settings{progress: progress}}
	flags := flag.NewFlagSet("omnibench "+c.name, flag.ContinueOnError)
	flags.SetOutput(progress)
	l.define(flags)
	do := c.define(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || l.rounds < 1 {
		return fmt.Errorf("unknown argument %q, or no -rounds; -help lists the flags", flags.Arg(0))
	}
	if err := raiseFiles(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.limit, errors.New("the -timeout is over"))
	defer cancel()
	defer l.close()
	reports, err := do(ctx, l)
	if l.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		err = errors.Join(err, enc.Encode(reports))
	}
	exact := true
	for _, r := range reports {
		if !l.json {
			err = errors.Join(err, r.print(out))
		}
		exact = exact && r.exact()
	}
	if err == nil && !exact {
		err = errInexact
	}
	return err
}

// raiseFiles lets this program and its children open as many sockets as they may.
func raiseFiles() error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return err
	}
	r.Cur = r.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r)
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(v string) error {
	*l = append(*l, v)
	return nil
}

// split reads a list with commas.
func split(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
}
