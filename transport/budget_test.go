package transport_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestWhoHasNotLoggedInSendsLittle(t *testing.T) {
	s := open(t, transportDefaults).users()
	long := strings.Repeat("x", 20_000)
	for _, form := range []url.Values{{"username": {"ann"}, "password": {long}}, {"grant_type": {"refresh_token"}, "refresh_token": {long}}} {
		if p := s.token(form, 413); p["code"] != "too_large" {
			t.Errorf("refused with %v", p)
		}
	}
	s.read(s.send("POST", "/token/revoke", "", "application/x-www-form-urlencoded", strings.NewReader("token="+long)), 413)
	s.do("POST", "/users", "", map[string]string{"username": "eve", "password": long}, 413)
	s.do("POST", "/sessions", s.ann, map[string]string{"system_prompt": long}, 201)
}

// TestUnfinishedMessagesAreBounded holds that fragments which never end cost their
// sender the connections, and nobody else anything.
func TestUnfinishedMessagesAreBounded(t *testing.T) {
	s := open(t, transportDefaults).users()
	part := bytes.Repeat([]byte(" "), 3<<20)
	closed := make(chan websocket.StatusCode, 6)
	for range cap(closed) {
		conn := s.connect(s.ann)
		w, err := conn.Writer(t.Context(), websocket.MessageText)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(part) // it may be closed meanwhile
		go func() { closed <- s.closedWith(conn) }()
	}
	for range 4 {
		select {
		case code := <-closed:
			if code != 4429 && code != -1 { // what it has not read resets a connection
				t.Errorf("closed with %d", code)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("fragments are kept without end")
		}
	}
	if held := s.server.Held(); held > 16<<20 {
		t.Errorf("%d bytes are held of fragments", held)
	}
}

func TestUploadsInPartsAreWhole(t *testing.T) {
	s := open(t, transportDefaults).users()
	for _, size := range []int{1, 32<<10 - 1, 32 << 10, 32<<10 + 1, 5 << 20} {
		text := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		id := s.upload(s.ann, "long.txt", "text/plain", text)
		res := s.send("GET", "/attachments/"+id, s.ann, "", nil)
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(got) != text {
			t.Errorf("of %d bytes, %d came back, %v", size, len(got), err)
		}
	}
}

// TestUnreadFilesAreBounded holds that who does not read the files asked for is
// refused more of them, and nobody else is.
func TestUnreadFilesAreBounded(t *testing.T) {
	s := open(t, transportDefaults).users()
	const size = 9 << 20
	path := "/attachments/" + s.upload(s.ann, "long.txt", "text/plain", strings.Repeat("0123456789abcdef", size/16))
	var unread []*http.Response
	refused := 0
	for range 10 {
		res := s.send("GET", path, s.ann, "", nil)
		if unread = append(unread, res); res.StatusCode == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused == 0 || refused > 5 {
		t.Errorf("%d of 10 were refused", refused)
	}
	theirs := s.send("GET", "/attachments/"+s.upload(s.bob, "b.txt", "text/plain", "others go on"), s.bob, "", nil)
	theirs.Body.Close()
	if theirs.StatusCode != http.StatusOK {
		t.Errorf("another user's: %s", theirs.Status)
	}
	for _, res := range unread {
		res.Body.Close()
	}
}

// TestUnfinishedUploadsLieOnDisk holds that an upload that is under way takes a
// buffer's memory, whatever it says its length is.
func TestUnfinishedUploadsLieOnDisk(t *testing.T) {
	opt := transportDefaults
	opt.SpoolDir, opt.CallTimeout = t.TempDir(), time.Minute // a busy machine stores slowly
	s := open(t, opt).users()
	token := s.ann
	const uploads, size = 10, 5 << 20
	piece := bytes.Repeat([]byte("a"), 64<<10)
	client := &http.Client{Transport: &http.Transport{}} // the site's reads a body before it sends it
	defer client.CloseIdleConnections()
	before := heap()
	var all []*io.PipeWriter
	done := make(chan int, uploads)
	for range uploads {
		r, w := io.Pipe()
		all = append(all, w)
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", s.url+"/attachments?name=a.txt", r)
			req.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"text/plain"}}
			res, err := client.Do(req)
			if err != nil {
				done <- 0
				return
			}
			res.Body.Close()
			done <- res.StatusCode
		}()
		for range size / len(piece) {
			if _, err := w.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
	}
	if grown := heap() - before; grown > uploads*size/2 {
		t.Errorf("the heap has grown by %d bytes for %d unfinished uploads of %d", grown, uploads, size)
	}
	s.upload(s.bob, "b.txt", "text/plain", "others go on")
	for _, w := range all {
		w.Close()
	}
	for range uploads {
		if code := <-done; code != http.StatusCreated {
			t.Errorf("an upload ended with %d", code)
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
