package main

import (
	"errors"
	"syscall"
)

// A reader reads many sockets, with one system call to wait for all of them.
type reader struct {
	crowd *crowd
	epoll int
	buf   []byte
	at    int64 // the time, or 0 if nobody has asked since the last read

	// Since they were last added to the crowd's.
	delivered, messages, reads int64
	delays                     histogram
}

func newReader(c *crowd) (*reader, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	return &reader{crowd: c, epoll: fd, buf: make([]byte, 256<<10)}, err
}

// watch has the reader read a viewer, the crowd's nth.
func (r *reader) watch(n int, v *viewer) error {
	return syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_ADD, v.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(n)})
}

// run reads until the crowd is dismissed.
func (r *reader) run() {
	defer func() { _ = syscall.Close(r.epoll) }()
	events := make([]syscall.EpollEvent, 256)
	for !r.crowd.dismissed.Load() {
		n, err := syscall.EpollWait(r.epoll, events, 50)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			r.crowd.broken.Store(&err)
			return
		}
		for _, e := range events[:max(0, n)] {
			if v := &r.crowd.viewers[e.Fd]; v.ready.Load() {
				r.read(v)
			}
		}
		r.crowd.delivered.Add(r.delivered)
		r.crowd.messages.Add(r.messages)
		r.crowd.reads.Add(r.reads)
		r.delivered, r.messages, r.reads = 0, 0, 0
	}
}

// now is the time of the read.
func (r *reader) now() int64 {
	if r.at == 0 {
		r.at = sinceStart()
	}
	return r.at
}

func (r *reader) read(v *viewer) {
	if v.gone { // before it was watched
		r.forget(v)
		return
	}
	n, err := syscall.Read(v.fd, r.buf)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
	case err != nil, n == 0:
		r.leave(v, err)
	default:
		r.at = 0
		r.reads++
		v.take(r, r.buf[:n])
	}
}

// forget stops watching a viewer. Not to watch it is no error.
func (r *reader) forget(v *viewer) { _ = syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_DEL, v.fd, nil) }

// leave ends a viewer whose connection or response has ended. Its socket is
// closed later, so that its number is not used again meanwhile.
func (r *reader) leave(v *viewer, err error) {
	if v.gone {
		return
	}
	v.gone = true
	if !v.joined {
		r.crowd.refused.Add(1)
	}
	if !v.ended {
		v.fail(errors.Join(errors.New("the connection ended before the answer"), err))
	}
	r.forget(v)
	_ = syscall.Shutdown(v.fd, syscall.SHUT_RDWR) // the other side may have
	r.crowd.gone.Add(1)
	if v.over != nil {
		close(v.over)
	}
}

// write sends a control frame. It fits into an empty socket; a full one is of a
// server that does not read, which the run's end will show.
func (r *reader) write(v *viewer, b []byte) { _, _ = syscall.Write(v.fd, b) }
