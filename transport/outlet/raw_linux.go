package outlet

import (
	"syscall"
	"unsafe"
)

// write is write(2) of what does not block, so that the runtime need not lend the
// processor to somebody else meanwhile: a twentieth of a delivery.
func write(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
