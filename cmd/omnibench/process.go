package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// process is a child that ends with this program.
type process struct {
	cmd  *exec.Cmd
	logs tail
	base string // http://host:port, of those that say it
}

// child is a program that has not been started. Nothing of this program's
// environment is passed on but what finds things.
func child(name string, args, env []string) *process {
	p := &process{cmd: exec.Command(name, args...)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}, env...)
	p.cmd.Stderr = &p.logs
	return p
}

// serve starts a server that says on its first line where it listens.
func serve(ctx context.Context, name string, args, env []string) (*process, error) {
	p := child(name, args, env)
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() }) // it may have ended
	defer stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(line), "http://")
	if err != nil || !ok {
		p.kill()
		return nil, fmt.Errorf("%s said %q: %w: %s", filepath.Base(name), line, err, p.logs.String())
	}
	p.base = "http://" + address
	return p, nil
}

// kill ends the process and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()         // it says that it was killed
}

// cpu is the CPU time that the process has used, user and system, in all of its
// threads: its CPU clock, see clock_getcpuclockid(3). /proc/…/stat has the same
// in hundredths of a second, which is too coarse for a light load.
func (p *process) cpu() (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	var t syscall.Timespec
	clock := ^uintptr(p.cmd.Process.Pid)<<3 | scheduled
	if _, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0); failed != 0 {
		return 0, fmt.Errorf("the CPU clock of process %d: %w", p.cmd.Process.Pid, failed)
	}
	return time.Duration(t.Nano()), nil
}

// memory is a field of /proc/…/status, in KB: VmRSS, or VmHWM for its peak.
func (p *process) memory(field string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), field+":")
	number, _, ok := strings.Cut(strings.TrimSpace(rest), " ")
	if !ok {
		return 0, fmt.Errorf("/proc/…/status has no %s", field)
	}
	return strconv.ParseFloat(number, 64)
}

// all is several processes as one.
type all []*process

func (a all) cpu() (sum time.Duration, err error) {
	for _, p := range a {
		t, failed := p.cpu()
		sum, err = sum+t, errors.Join(err, failed)
	}
	return sum, err
}

func (a all) memory(field string) (sum float64, err error) {
	for _, p := range a {
		kb, failed := p.memory(field)
		sum, err = sum+kb, errors.Join(err, failed)
	}
	return sum, err
}

// forgetPeak has VmHWM begin anew, see proc(5).
func (a all) forgetPeak() (err error) {
	for _, p := range a {
		err = errors.Join(err, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0))
	}
	return err
}

// settled waits until the resident memory has not changed by more than a
// hundredth for a quarter of limit, for as long as limit at most, and returns it.
func (a all) settled(ctx context.Context, limit time.Duration) (float64, error) {
	end := time.Now().Add(limit)
	last, err := a.memory("VmRSS")
	for since := time.Now(); err == nil && time.Since(since) < limit/4 && time.Now().Before(end); {
		if err = sleep(ctx, 200*time.Millisecond); err != nil {
			break
		}
		var kb float64
		kb, err = a.memory("VmRSS")
		if kb > last*1.01 || kb < last*0.99 {
			since, last = time.Now(), kb
		}
	}
	if err != nil {
		return 0, err
	}
	return a.memory("VmRSS")
}

func (a all) kill() {
	for _, p := range a {
		p.kill()
	}
}

// logs is the last of what the processes said.
func (a all) logs(w io.Writer) {
	for _, p := range a {
		if text := p.logs.String(); text != "" {
			fmt.Fprintf(w, "%s said:\n%s\n", filepath.Base(p.cmd.Path), text)
		}
	}
}

// tail keeps the last of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailMax = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - tailMax; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
