package repo

import (
	"context"
	"slices"
	"sync"
)

// passMax is how many urgent writers go before one that waits: a crowd of
// prompts may not hold up the answers under way.
const passMax = 2

// gate lets one writer in at a time, urgent ones before others.
type gate struct {
	mu     sync.Mutex
	busy   bool
	urgent []chan struct{}
	others []chan struct{}
	passed int // urgent ones since others began to wait
}

func newGate() *gate { return &gate{} }

// enter waits for its turn. It returns ctx's error if that ends first.
func (g *gate) enter(ctx context.Context, urgent bool) error {
	g.mu.Lock()
	if !g.busy {
		g.busy = true
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	line := &g.others
	if urgent {
		line = &g.urgent
	}
	*line = append(*line, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	i := slices.Index(*line, turn)
	if i >= 0 {
		*line = slices.Delete(*line, i, i+1)
	}
	g.mu.Unlock()
	if i < 0 { // its turn came meanwhile
		g.leave()
	}
	return context.Cause(ctx)
}

// leave lets the next one in.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	line := &g.urgent
	if g.passed++; len(g.others) == 0 {
		g.passed = 0
	} else if len(g.urgent) == 0 || g.passed > passMax {
		line, g.passed = &g.others, 0
	}
	if g.busy = len(*line) > 0; g.busy {
		close((*line)[0])
		*line = slices.Delete(*line, 0, 1)
	}
}
