package transport

import (
	"net"
	"sync"
	"time"
)

// link is a network of one's own: a listener whose connections live in memory,
// so that servers and clients of net/http run in a synctest bubble.
type link struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	speed int // bytes a second that clients read; 0: no limit
	holds int // bytes that the network holds on their way to a client
}

func newLink() *link { return &link{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *link) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *link) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *link) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// dial returns the client's end of a new connection.
func (l *link) dial() net.Conn {
	client, server := net.Pipe()
	if l.speed > 0 {
		client = l.slow(client)
	}
	l.conns <- server
	return client
}

// slow reads a connection as fast as the link is, into what it holds.
func (l *link) slow(from net.Conn) net.Conn {
	s := &slowConn{Conn: from, in: make(chan []byte, max(0, l.holds>>10)), closed: make(chan struct{})}
	go func() {
		defer close(s.in)
		for {
			b := make([]byte, 1<<10)
			n, err := from.Read(b)
			if n > 0 {
				select {
				case s.in <- b[:n]:
				case <-s.closed:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	s.pause = func(n int) { time.Sleep(time.Duration(n) * time.Second / time.Duration(l.speed)) }
	return s
}

type slowConn struct {
	net.Conn
	in     chan []byte
	left   []byte
	pause  func(n int)
	once   sync.Once
	closed chan struct{}
}

func (s *slowConn) Read(b []byte) (int, error) {
	if len(s.left) == 0 {
		var ok bool
		if s.left, ok = <-s.in; !ok {
			return 0, net.ErrClosed
		}
		s.pause(len(s.left))
	}
	n := copy(b, s.left)
	s.left = s.left[n:]
	return n, nil
}

func (s *slowConn) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}
