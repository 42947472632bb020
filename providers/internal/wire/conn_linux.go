package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// muchBytes is how much wakes a reader all the same; Linux lets it come
// without a larger buffer.
const muchBytes = 16 << 10

// hush is called by who reads, before a pause. If after it nothing is there to be
// read, dry is called before the wait for more.
func (c *conn) hush(dry func()) {
	if c.try == nil {
		c.try = c.fetch
	}
	if !c.hushed {
		c.hushed = c.lowWater(muchBytes) == nil
	}
	c.dry = dry
}

// lowWater sets how many bytes make the socket readable to the poller; a read
// that does not wait returns any (socket(7), SO_RCVLOWAT).
func (c *conn) lowWater(n int) (err error) {
	failed := c.raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, n) })
	return errors.Join(failed, err)
}

// Read is net.Conn's.
func (c *conn) Read(b []byte) (int, error) {
	if !c.hushed {
		return c.TCPConn.Read(b)
	}
	c.buf = b
	failed := c.raw.Read(c.try)
	c.buf = nil
	switch {
	case failed != nil:
		return 0, failed
	case errors.Is(c.err, syscall.EAGAIN): // what has come since is found by the read below
		c.hushed = false
		c.dry()
		if err := c.lowWater(1); err != nil {
			return 0, err
		}
		return c.TCPConn.Read(b)
	case c.err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", c.err)}
	case c.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return c.n, nil
}

// fetch reads what is there.
func (c *conn) fetch(fd uintptr) (done bool) {
	for {
		if c.n, c.err = readNow(fd, c.buf); !errors.Is(c.err, syscall.EINTR) {
			return true
		}
	}
}

// readNow is read(2) of what does not block, so that the runtime need not lend
// the processor to somebody else meanwhile.
func readNow(fd uintptr, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
