package transport_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/transport"
)

// upload uploads a file and returns its id.
func (s *site) upload(token, name, media, data string) string {
	s.t.Helper()
	f := s.read(s.send("POST", "/attachments?name="+url.QueryEscape(name), token, media, strings.NewReader(data)), 201)
	return f["id"].(string)
}

func picture(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAttachmentIsServedAsWhatItIs(t *testing.T) {
	s := open(t, transportDefaults).users()
	for title, tt := range map[string]struct{ name, media, data, stored, as string }{
		"a picture":                   {name: "cat.png", media: "image/png", data: picture(t), stored: "cat.png", as: "image/png"},
		"a picture that claims to be": {name: "cat.html", media: "text/html", data: picture(t), stored: "cat.html", as: "image/png"},
		"a page":                      {name: "cat.png", media: "image/png", data: "<html><script>alert(1)</script>", stored: "cat.png", as: "text/plain; charset=utf-8"},
		"a picture with scripts":      {name: "cat.svg", media: "image/svg+xml", data: `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, stored: "cat.svg", as: "text/plain; charset=utf-8"},
		"JSON":                        {name: "a.json", media: "application/json", data: `{"a":1}`, stored: "a.json", as: "text/plain; charset=utf-8"},
		"no media type":               {name: "a", data: "text", stored: "a", as: "text/plain; charset=utf-8"},
		"a name of many tongues":      {name: `Grüße "日本"; a=b 50%.txt`, media: "application/octet-stream", data: "hello", stored: `Grüße "日本"; a=b 50%.txt`, as: "text/plain; charset=utf-8"},
		"a path":                      {name: `..\..\etc/passwd`, media: "text/plain", data: "root", stored: "passwd", as: "text/plain; charset=utf-8"},
	} {
		t.Run(title, func(t *testing.T) {
			f := s.read(s.send("POST", "/attachments?name="+url.QueryEscape(tt.name), s.ann, tt.media, strings.NewReader(tt.data)), 201)
			kind, _, _ := strings.Cut(tt.as, ";")
			if f["name"] != tt.stored || f["media_type"] != kind || f["size"] != float64(len(tt.data)) {
				t.Errorf("stored as %v", f)
			}
			res := s.send("GET", "/attachments/"+f["id"].(string), s.ann, "", nil)
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 200 || string(got) != tt.data {
				t.Errorf("served %q, %s, %v", got, res.Status, err)
			}
			for header, want := range map[string]string{
				"Content-Type": tt.as, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'",
				"Cache-Control": "no-store", "Vary": "Authorization, Cookie", // a browser must not have it after log-out or deletion
			} {
				if got := res.Header.Get(header); got != want {
					t.Errorf("%s: %q", header, got)
				}
			}
			shown, params, err := mime.ParseMediaType(res.Header.Get("Content-Disposition"))
			if err != nil || shown != "inline" || params["filename"] != tt.stored {
				t.Errorf("Content-Disposition %q: %v", res.Header.Get("Content-Disposition"), err)
			}
		})
	}
}

func TestUploadsThatAreRefused(t *testing.T) {
	s := open(t, transport.Options{FileLimit: 1000}, hub.Options{FileBytes: 1000}).users()
	s.refuses(map[string]refusal{
		"empty":            {path: "/attachments?name=a.txt", media: "text/plain", status: 400, code: "invalid", field: "file"},
		"neither":          {path: "/attachments?name=a.zip", media: "application/zip", body: "PK\x03\x04\x00\xff", status: 400, code: "invalid", field: "file"},
		"not quite text":   {path: "/attachments?name=a.txt", media: "text/plain", body: "a\xff", status: 400, code: "invalid", field: "file"},
		"a broken picture": {path: "/attachments?name=a.png", media: "image/png", body: picture(t)[:20], status: 400, code: "invalid", field: "file"},
		"no name":          {path: "/attachments", media: "text/plain", body: "a", status: 400, code: "invalid", field: "name"},
		"an empty name":    {path: "/attachments?name=", media: "text/plain", body: "a", status: 400, code: "invalid", field: "name"},
		"a folder's name":  {path: "/attachments?name=%2f", media: "text/plain", body: "a", status: 400, code: "invalid", field: "name"},
		"a long name":      {path: "/attachments?name=" + strings.Repeat("x", 201), media: "text/plain", body: "a", status: 400, code: "invalid", field: "name"},
		"a header's name":  {path: "/attachments?name=a%0d%0aSet-Cookie:%20x", media: "text/plain", body: "a", status: 400, code: "invalid", field: "name"},
		"NUL in the name":  {path: "/attachments?name=a%00b", media: "text/plain", body: "a", status: 400, code: "invalid", field: "name"},
		"a byte too many":  {path: "/attachments?name=a.txt", media: "text/plain", body: strings.Repeat("x", 1001), status: 413, code: "too_large", field: "file"},
		"nobody's":         {path: "/attachments?name=a.txt", media: "text/plain", body: "a", token: "x", status: 401, code: "unauthenticated"},
	})
	s.upload(s.ann, "a.txt", "text/plain", strings.Repeat("x", 1000))
}

// TestUploadOverTheLimitIsRefusedBeforeItIsRead sends no more than it must to
// be too large, and waits.
func TestUploadOverTheLimitIsRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	s := open(t, transport.Options{FileLimit: 1000}).users()
	for name, body := range map[string]string{
		"announced": "Content-Length: 1000000000\r\n\r\n",
		"chunked":   "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", 1001, strings.Repeat("x", 1001)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the server reads on for 5 s before it answers
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := fmt.Fprintf(conn, "POST /attachments?name=a.txt HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s", s.ann, body); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 413 || !strings.Contains(string(b), `"field":"file"`) || !res.Close {
				t.Errorf("%s, closed %v, %v: %s", res.Status, res.Close, err, b)
			}
		})
	}
}

func TestAttachmentGoesWithItsQuestion(t *testing.T) {
	s := open(t, transportDefaults, hub.Options{FilesPerPrompt: 2}).users()
	text, cat := s.upload(s.ann, "a.txt", "text/plain", "a"), s.upload(s.ann, "cat.png", "image/png", picture(t))
	foreign := s.upload(s.bob, "b.txt", "text/plain", "b")
	s.do("GET", "/models", s.ann, nil, 200) // says who is blind
	body := func(rest string) string { return `{"content":"see",` + rest + `}` }
	s.refuses(map[string]refusal{
		"foreign":      {body: body(`"attachments":["` + text + `","` + foreign + `"]`), status: 404, code: "not_found", field: "attachments"},
		"missing":      {body: body(`"attachments":["` + hub.NewID() + `"]`), status: 404, code: "not_found", field: "attachments"},
		"too many":     {body: body(`"attachments":["` + text + `","` + cat + `","` + foreign + `"]`), status: 400, code: "invalid", field: "attachments"},
		"to the blind": {body: body(`"model":"fake/blind","attachments":["` + cat + `"]`), status: 400, code: "no_vision", field: "attachments"},
	})
	_, session, _ := s.ask(s.ann, map[string]any{"content": "see", "model": "fake/echo", "attachments": []string{text, cat}})
	files := func(token, session string) string {
		messages := s.list("/sessions/"+session+"/messages", token)
		b, err := json.Marshal(messages[0]["attachments"])
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, part := range []string{`"id":"` + text + `"`, `"id":"` + cat + `"`, `"name":"cat.png"`, `"media_type":"image/png"`} {
		if got := files(s.ann, session); !strings.Contains(got, part) {
			t.Errorf("attachments %s, want %s", got, part)
		}
	}
	_, plain, answer := s.ask(s.ann, map[string]any{"content": "x"})
	if got := files(s.ann, plain); got != "[]" {
		t.Errorf("without attachments: %s", got)
	}
	s.refuses(map[string]refusal{
		"without content":      {body: `{"session_id":"` + plain + `","parent_id":"` + answer + `","attachments":["` + cat + `"]}`, status: 400, code: "invalid", field: "attachments"},
		"of another session":   {body: body(`"session_id":"` + plain + `","attachments":["` + cat + `"]`), status: 404, code: "not_found", field: "attachments"},
		"deleted from its own": {method: "DELETE", path: "/attachments/" + cat, status: 404, code: "not_found"},
	})
	conn := s.connect(s.bob)
	if e := s.tell(conn, `{"type":"send","ref":1,"content":"x","attachments":["`+cat+`"]}`); e["code"] != "not_found" {
		t.Errorf("a foreign attachment got %v", e)
	}
	s.answered(conn, `{"type":"send","ref":2,"content":"x","attachments":["`+foreign+`"]}`)
	s.do("GET", "/attachments/"+cat, s.ann, nil, 200)
	s.do("DELETE", "/sessions/"+session, s.ann, nil, 204)
	s.do("GET", "/attachments/"+cat, s.ann, nil, 404)
}

func TestDeletedAttachmentIsGone(t *testing.T) {
	s := open(t, transportDefaults).users()
	file := "/attachments/" + s.upload(s.ann, "a.txt", "text/plain", "a")
	s.do("DELETE", file, s.bob, nil, 404)
	s.do("GET", file, s.ann, nil, 200)
	s.do("DELETE", file, s.ann, nil, 204)
	s.do("DELETE", file, s.ann, nil, 404)
	s.do("GET", file, s.ann, nil, 404)
}

func TestUserHasALimitOfWaitingUploads(t *testing.T) {
	s := open(t, transportDefaults).users()
	for range 50 {
		s.upload(s.ann, "a.txt", "text/plain", "a")
	}
	res := s.send("POST", "/attachments?name=a.txt", s.ann, "text/plain", strings.NewReader("a"))
	if p := s.read(res, 429); p["code"] != "rate_limited" || res.Header.Get("Retry-After") == "" {
		t.Errorf("%v, Retry-After %q", p, res.Header.Get("Retry-After"))
	}
	s.upload(s.bob, "b.txt", "text/plain", "b")
}
