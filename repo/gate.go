package repo

import (
	"context"
	"slices"
	"sync"
)

// gate lets one writer in at a time, urgent ones before others.
type gate struct {
	mu     sync.Mutex
	busy   bool
	urgent []chan struct{}
	others []chan struct{}
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
	for _, line := range []*[]chan struct{}{&g.urgent, &g.others} {
		if len(*line) > 0 {
			close((*line)[0])
			*line = (*line)[1:]
			return
		}
	}
	g.busy = false
}
