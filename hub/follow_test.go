package hub

import "context"

// testSink is a client that takes all at once, until write refuses.
type testSink struct {
	write func(batch []byte) error
	done  chan struct{} // closed when nothing more comes
	gone  bool
}

func (s *testSink) Write(batch []byte) bool {
	if s.write(batch) == nil {
		return true
	}
	if !s.gone {
		s.gone = true
		close(s.done)
	}
	return false
}

func (s *testSink) End() { close(s.done) }

// follow has a viewer write until ctx ends, the stream does, or write refuses.
func follow(ctx context.Context, v *Viewer, write func(batch []byte) error) {
	watch(ctx, v, write)
	v.Close()
}

// watch is follow without leaving.
func watch(ctx context.Context, v *Viewer, write func(batch []byte) error) {
	s := &testSink{write: write, done: make(chan struct{})}
	v.Start(s)
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}

// as is the access of a user who has logged in.
func as(user UserID) Access { return Login(user, "login") }
