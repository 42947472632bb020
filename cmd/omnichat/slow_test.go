package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// resident is the process's memory, in MiB.
func (s *server) resident() int {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		s.t.Fatal(err)
	}
	return kb >> 10
}

// stuck attaches to a stream with a small receive buffer and reads nothing but
// the head of the response.
func (c *client) stuck(ctx context.Context, id string) (net.Conn, error) {
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(c.s.base, "http://"))
	if err != nil {
		return nil, err
	}
	req := c.request(ctx, http.MethodGet, "/chat/stream/"+id, nil)
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	status, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
	if err == nil && !strings.Contains(status, "200") {
		err = fmt.Errorf("attach: %s", status)
	}
	return conn, err
}

// exact follows a stream that must say what is wanted, and keeps nothing of it:
// 200 copies of the text would be a test of this process's memory.
func exact(r io.Reader, want string) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 64<<20)
	off := 0
	for sc.Scan() {
		line := sc.Bytes()
		if bytes.Contains(line, []byte(`"type":"finish"`)) {
			if off != len(want) {
				return fmt.Errorf("finish after %d bytes of %d: %s", off, len(want), line)
			}
			return nil
		}
		if bytes.Contains(line, []byte(`"type":"snapshot"`)) {
			off = 0
		}
		_, rest, ok := bytes.Cut(line, []byte(`"text":"`))
		if !ok {
			continue
		}
		text, _, ok := bytes.Cut(rest, []byte{'"'})
		if !ok {
			break // the stream was cut in the middle of a line
		}
		if !strings.HasPrefix(want[off:], string(text)) {
			return fmt.Errorf("other text after %d bytes", off)
		}
		off += len(text)
	}
	return fmt.Errorf("no finish after %d bytes: %w", off, sc.Err())
}

// TestStuckViewerDelaysNobody runs 200 viewers on one answer of 16 MB, with and
// without one among them that never reads. It may cost neither the others time
// nor the server memory: a machine that is busy elsewhere gets three tries.
func TestStuckViewerDelaysNobody(t *testing.T) {
	size, count := 16<<20, 200
	switch {
	case testing.Short():
		size, count = 1<<20, 20
	case raced(): // which makes 3 GB too much to look at
		size = 2 << 20
	}
	var slower, larger float64
	for range 3 {
		alone, memory := watched(t, size, count, false)
		beside, memoryBeside := watched(t, size, count, true)
		slower, larger = float64(beside)/float64(alone), float64(memoryBeside)/float64(memory)
		if slower <= 2 && larger <= 2 || t.Failed() {
			return
		}
	}
	t.Errorf("beside a stuck viewer the others took %.1f times as long, the server %.1f times the memory; want at most twice", slower, larger)
}

// raced says whether the race detector watches this process.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// watched has an answer watched by many at once, and returns how long 99 of 100
// took at most and what the server holds in MiB, which stays far below what
// copies of the answer would be.
func watched(t *testing.T, size, count int, stuck bool) (p99 time.Duration, resident int) {
	t.Helper()
	token := strings.Repeat("0123456789abcdef", 64) // 1 KiB
	tokens := slices.Repeat([]string{token}, size/len(token))
	whole := strings.Join(tokens, "")
	gate := make(chan struct{})
	provider := fake.New(map[string]fake.Script{"m": {Tokens: tokens, Gate: gate}})
	defer provider.Close()
	s := startServer(t, provider, map[string]string{"OMNICHAT_IDLE_TIMEOUT": "2m", "OMNICHAT_FIRST_BYTE_TIMEOUT": "2m"})
	c := s.user("ann")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // 3 GB under the race detector, on a machine that may be busy
	defer cancel()
	w, err := c.socket(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.send(ctx, map[string]any{"type": "send", "ref": 1, "content": "go", "model": "openai/m"}); err != nil {
		t.Fatal(err)
	}
	ack, err := w.until(ctx, "ack")
	if err != nil {
		t.Fatal(err)
	}
	w.conn.CloseNow()
	var conn net.Conn
	if stuck {
		if conn, err = c.stuck(ctx, ack.AnswerID); err != nil {
			t.Fatal(err)
		}
	}
	var wg, ready sync.WaitGroup
	took := make([]time.Duration, count)
	ready.Add(count)
	var began time.Time
	start := make(chan struct{})
	for i := range count {
		wg.Go(func() {
			res, err := c.sse(ctx, http.MethodGet, "/chat/stream/"+ack.AnswerID, nil)
			ready.Done()
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			<-start
			if err := exact(res.Body, whole); err != nil {
				t.Errorf("viewer %d: %v", i, err)
			}
			took[i] = time.Since(began)
		})
	}
	ready.Wait()
	began = time.Now()
	close(start)
	close(gate)
	wg.Wait()
	if stuck {
		// It blocked: what the kernel took is far from all of it.
		_ = conn.SetReadDeadline(time.Now())
		if blocked := queued(t, conn); blocked >= size/2 {
			t.Errorf("the stuck viewer took %d bytes", blocked)
		}
		conn.Close()
	}
	if m := c.message(ack.SessionID, ack.AnswerID); m.Content != whole || m.Status != hub.StatusComplete {
		t.Errorf("stored %d bytes, %s", len(m.Content), m.Status)
	}
	slices.Sort(took)
	p99, resident = took[count*99/100], s.resident()
	t.Logf("stuck viewer %v: %d viewers, %d MB: p50 %s, p99 %s, resident %d MiB", stuck, count, size>>20, took[count/2], p99, resident)
	if most := max(512, count*(size>>20)/4); resident > most {
		t.Errorf("the server holds %d MiB, want at most %d", resident, most)
	}
	s.kill()
	return p99, resident
}

// queued counts what the kernel holds for a connection that nobody read.
func queued(t *testing.T, conn net.Conn) int {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	err = raw.Read(func(fd uintptr) bool {
		buf := make([]byte, 64<<10)
		for {
			n, err := syscall.Read(int(fd), buf)
			if n <= 0 || err != nil {
				return true
			}
			total += n
		}
	})
	if err != nil && !os.IsTimeout(err) {
		t.Fatal(err)
	}
	return total
}
