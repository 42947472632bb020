package hub

import (
	"cmp"
	"log/slog"
	"time"
)

// Options has what a [Hub] can be told; the zero value works.
type Options struct {
	Replica          string         // this process; a fresh UUID if empty
	DefaultModel     string         // "provider/model"; the first one listed if empty
	MaxRunning       int            // answers of one user at a time; 256 if 0
	Keep             time.Duration  // how long a log is kept after its end; a minute if 0
	FileBytes        int64          // of one attached file; 10 MiB if 0
	FilesPerPrompt   int            // attached to one question; 8 if 0
	DailyTokens      int64          // of one user, UTC; no limit if 0
	DailyCost        Money          // of one user, UTC; no limit if 0
	UserBytes        int64          // of one user's files and messages; no limit if 0
	AnswerBytes      int64          // of one answer at most, thinking and all; 4 MiB if 0
	PromptImageBytes int64          // of the images of one prompt, the newest; 20 MiB if 0
	TitleModel       string         // "provider/model" that makes titles; or [TitleAuto]; none if empty
	Builtin          []EndpointInfo // the providers of the settings

	Bus      Bus           // nil for a single replica
	Leases   Leases        // goes with Bus
	LeaseTTL time.Duration // how long a replica may be silent before its answers are settled; 6 s if 0
	Logger   *slog.Logger  // slog.Default() if nil
}

// withDefaults fills in what is not set.
func (o Options) withDefaults() Options {
	if o.Replica == "" {
		o.Replica = NewID()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.MaxRunning = cmp.Or(o.MaxRunning, 256)
	o.Keep = cmp.Or(o.Keep, time.Minute)
	o.FileBytes = cmp.Or(o.FileBytes, 10<<20)
	o.FilesPerPrompt = cmp.Or(o.FilesPerPrompt, 8)
	o.PromptImageBytes = cmp.Or(o.PromptImageBytes, 20<<20)
	o.AnswerBytes = cmp.Or(o.AnswerBytes, 4<<20)
	o.LeaseTTL = cmp.Or(o.LeaseTTL, 6*time.Second)
	return o
}
