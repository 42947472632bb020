package hub

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub/background"
	"github.com/omnichat/omnichat/hub/eventlog"
)

// shares is what a hub with a bus does for the other replicas.
func (h *Hub) shares() *sharing { return h.peers.(*sharing) }

func TestIDsAreUUIDs(t *testing.T) {
	id := NewID()
	if got, ok := ParseID(strings.ToUpper(id)); !ok || got != id || id[14] != '7' {
		t.Errorf("ParseID(%q) = %q, %v", id, got, ok)
	}
	for _, bad := range []string{"", "x", id + "0", strings.ReplaceAll(id, "-", ""), "g" + id[1:], "{" + id[1:]} {
		if got, ok := ParseID(bad); ok {
			t.Errorf("ParseID(%q) = %q", bad, got)
		}
	}
}

// TestImportsPointTheRightWay holds the layout: siblings never import each
// other, and hub imports the standard library and its own rooms alone.
func TestImportsPointTheRightWay(t *testing.T) {
	const module = "github.com/omnichat/omnichat"
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+"/hub").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(out)) {
		if path = strings.TrimSpace(path); path != module+"/hub" && !strings.HasPrefix(path, module+"/hub/") {
			t.Errorf("hub imports %s", path)
		}
	}
	allowed := map[string][]string{"transport": {"hub"}, "repo": {"hub"}, "providers": {"hub"}, "web": nil}
	for folder, may := range allowed {
		out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}", module+"/"+folder+"/...").Output()
		if err != nil {
			t.Fatal(err)
		}
		for path := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
			rest, ours := strings.CutPrefix(path, module+"/")
			top, _, _ := strings.Cut(rest, "/")
			if ours && top != folder && (len(may) == 0 || top != may[0]) {
				t.Errorf("%s imports %s", folder, rest)
			}
		}
	}
}

// BenchmarkAppend is one token to a stream with so many viewers, each of which
// is woken and takes it.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{0, 1, 1000} {
		b.Run(fmt.Sprint(n, " cursors"), func(b *testing.B) {
			h := New(nil, nil, nil, Options{})
			f := newFeed(Topic{Session: "s"}, newFlusher())
			l := newLog(Message{ID: "m", SessionID: "s"})
			f.streams["m"] = l
			for range n {
				v := h.newViewer(as("u"), eventlog.Lines)
				v.sink = &testSink{write: func([]byte) error { return nil }}
				s := &sub{viewer: v, places: []place{{log: l}}}
				f.enter(s)
				v.subs = []*sub{s}
			}
			b.ReportAllocs()
			for b.Loop() {
				f.mu.Lock()
				l.Append(eventlog.Delta{Text: " token"})
				f.mu.Unlock()
				for _, s := range f.lend() {
					s.viewer.flush(s)
				}
			}
		})
	}
}

// quietly is the background of a test that needs no log.
func quietly() *background.Group { return background.NewGroup(slog.New(slog.DiscardHandler)) }

// pause waits, and says whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
