package hub

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/omnichat/omnichat/hub/background"
)

// modelsFor is how long a list of models, or the table of prices, is good.
const modelsFor = time.Minute

// partFor is how long a list that could not be read is not read again, so that nobody waits
// for a provider that does not answer.
const partFor = 10 * time.Second

// listMax is how many lists and descriptions are kept.
const listMax = 1000

// listings keeps what providers have listed lately, for all users that may ask them. All
// methods may be called concurrently.
type listings struct {
	bg *background.Group

	mu sync.Mutex
	of map[listed]*listing
}

// listed is a provider, or one model of it that was described.
type listed struct {
	provider Provider
	model    string
}

// listing is what was read last, and the reading that is under way.
type listing struct {
	models []Model // of a reading that failed: those of the one before
	err    error
	until  time.Time
	busy   chan struct{} // closed when the reading has ended; nil if there is none
}

// lately returns what is known, and has it read anew first if that is too old. Callers that
// want the same at the same time wait for one reading. ctx ends the wait, not the reading.
func (l *listings) lately(ctx context.Context, of listed, read func(ctx context.Context) ([]Model, time.Duration, error)) ([]Model, error) {
	l.mu.Lock()
	e := l.of[of]
	if e == nil {
		if l.of == nil || len(l.of) >= listMax {
			l.of = map[listed]*listing{}
		}
		e = &listing{}
		l.of[of] = e
	}
	if time.Now().Before(e.until) {
		defer l.mu.Unlock()
		return e.models, e.err
	}
	if e.busy == nil {
		e.busy = make(chan struct{})
		l.bg.Go(func() { l.readList(e, read) })
	}
	busy := e.busy
	l.mu.Unlock()
	select {
	case <-busy:
	case <-ctx.Done():
		return nil, errUnlisted
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.models, e.err
}

// readList reads a list for all callers that wait for it.
func (l *listings) readList(e *listing, read func(ctx context.Context) ([]Model, time.Duration, error)) {
	var models []Model
	var goodFor time.Duration
	var err error
	defer func() {
		if r := recover(); r != nil {
			l.bg.Logger.Error("provider panicked", "panic", r, "stack", string(debug.Stack()))
			err = errUnlisted
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		close(e.busy)
		e.busy, e.err, e.until = nil, err, time.Now().Add(goodFor)
		if err == nil {
			e.models = models
		} else {
			e.until = time.Now().Add(partFor)
		}
	}()
	models, goodFor, err = read(l.bg.Context())
}

var errUnlisted = &Error{Code: CodeProviderTimeout, Msg: "The provider did not list its models in time."}

// list returns a provider's models, and why they were not read the last time.
func (l *listings) list(ctx context.Context, name string, v Vendor) ([]Model, error) {
	return l.lately(ctx, listed{provider: v.Provider}, func(ctx context.Context) ([]Model, time.Duration, error) {
		models, err := v.Models(ctx)
		if err != nil {
			l.bg.Logger.Warn("list models", "provider", name, "err", err)
		}
		return kept(models), modelsFor, err
	})
}

// What is kept of a provider's list, which is whatever a server says that a user
// names.
const (
	keptMax = 5000
	nameMax = 200 // bytes of a model's id or name
)

// kept is a list without models that cannot be asked and what is too long. It
// holds on to nothing of what it was read from.
func kept(models []Model) []Model {
	if models == nil {
		return nil
	}
	out := make([]Model, 0, min(len(models), keptMax))
	for _, m := range models {
		if len(out) == keptMax {
			break
		}
		if len(m.ID) > nameMax {
			continue
		}
		if len(m.Name) > nameMax {
			m.Name = ""
		}
		m.ID, m.Name = strings.Clone(m.ID), strings.Clone(m.Name)
		out = append(out, m)
	}
	return out
}

// listAll lists many providers at once.
func (l *listings) listAll(ctx context.Context, names []string, providers map[string]Vendor) ([][]Model, []error) {
	lists := make([][]Model, len(names))
	failed := make([]error, len(names))
	var asked sync.WaitGroup
	for i, name := range names {
		asked.Go(func() {
			failed[i] = background.Guarded(l.bg.Logger, "list of models", func() (err error) {
				lists[i], err = l.list(ctx, name, providers[name])
				return err
			})
		})
	}
	asked.Wait()
	return lists, failed
}

// describeFor is how long a provider may take to say what a model can do before it
// is asked, and describedFor how long that is good.
const (
	describeFor  = 3 * time.Second
	describedFor = 10 * time.Second
)

// describe has the provider describe one model, if it can.
func (l *listings) describe(ctx context.Context, v Vendor, name string) Model {
	d, ok := v.Provider.(Describer)
	if !ok {
		return Model{}
	}
	got, err := l.lately(ctx, listed{v.Provider, name}, func(ctx context.Context) ([]Model, time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, describeFor)
		defer cancel()
		m, err := d.Describe(ctx, name)
		if err != nil {
			l.bg.Logger.Warn("describe a model", "model", name, "err", err)
		}
		if m.Context == 0 && m.ID != "" { // known once the model is loaded
			return []Model{m}, 0, err
		}
		return []Model{m}, describedFor, err
	})
	if err != nil || len(got) == 0 {
		return Model{}
	}
	return got[0]
}

// toldPrice is what the provider itself has listed as a model's price, if it has.
func (l *listings) toldPrice(v Vendor, id string) *Price {
	_, name, _ := strings.Cut(id, "/")
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.of[listed{provider: v.Provider}]
	if e == nil {
		return nil
	}
	for _, m := range e.models {
		if m.ID == name {
			return m.Price
		}
	}
	return nil
}
