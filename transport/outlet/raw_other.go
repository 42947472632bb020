//go:build unix && !linux

package outlet

import "syscall"

func write(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }
