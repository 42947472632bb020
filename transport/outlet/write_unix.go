//go:build unix

package outlet

import (
	"errors"
	"syscall"
)

// writeNow writes what the system has room for.
func writeNow(fd int, p []byte) (n int, err error) {
	for n < len(p) {
		m, err := write(fd, p[n:])
		switch {
		case err == nil:
			n += m
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return n, nil
		default:
			return n, err
		}
	}
	return n, nil
}

// readNow discards what has come, or some of much, and says whether more may
// come.
func readNow(fd int) (open bool) {
	var buf [512]byte
	for range 64 {
		n, err := syscall.Read(fd, buf[:])
		switch {
		case n > 0 || errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return true
		default:
			return false
		}
	}
	return true
}
