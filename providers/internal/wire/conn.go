package wire

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// conn is a connection that can be hushed: what comes then wakes nobody, until
// there is much of it, the connection ends or somebody reads and finds nothing.
// Of a crowd of answers each token would else wake the runtime, for no reader.
type conn struct {
	*net.TCPConn
	raw    syscall.RawConn
	hushed bool // it is read by one goroutine at a time
	dry    func()

	// Of the read under way, on Linux; try is fetch, made once.
	try func(fd uintptr) (done bool)
	buf []byte
	n   int
	err error
}

// dialing is the dialer's DialContext with such connections.
func dialing(d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialed, err := d.DialContext(ctx, network, addr)
		tcp, ok := dialed.(*net.TCPConn)
		if err != nil || !ok {
			return dialed, err
		}
		raw, err := tcp.SyscallConn()
		if err != nil {
			return nil, errors.Join(err, tcp.Close())
		}
		return &conn{TCPConn: tcp, raw: raw}, nil
	}
}
