package fake

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// Dialect is a vendor's wire format.
type Dialect interface {
	// Path is what a base URL has after the server's address.
	Path() string
	// Error is the body of a failure in the vendor's own words; "" if the vendor
	// knows no such failure.
	Error(status int, kind Kind) string
	// Frame is an error's body as an event of a stream.
	Frame(body string) string
	// Chunk is an event with text.
	Chunk(text string) string
	// Whole is a script's answer to a request for no stream.
	Whole(sc Script) string
	// Zeros is an event that counts nothing used, as some servers end with.
	Zeros() string
	// Finishes are the vendor's reasons to end: their meaning, by their names.
	Finishes() map[string]string
	// Signed is what must be replayed after a script's answer: what each
	// signature was sent with.
	Signed(sc Script) map[string]string

	parse(r *http.Request, body []byte) (Request, error)
	encode(sc Script, req Request) encoder
}

// Kind is a failure that has no HTTP status of its own.
type Kind string

// What vendors refuse with words.
const (
	QuotaUsedUp    Kind = "quota"
	ContextTooLong Kind = "context"
	Filtered       Kind = "filter"
)

// Request is a question in whatever dialect.
type Request struct {
	Model       string
	System      string
	Turns       []Turn
	Temperature *float64
	TopP        *float64
	MaxTokens   int
	Effort      string // as the vendor is told it: a word, or a number of tokens
	Key         string

	Header http.Header
	URL    string
	Body   string

	wantsUsage bool
}

// Turn is a message of it.
type Turn struct {
	Role   string // user or assistant
	Text   string
	Images []Image
	Signed map[string]string // what was replayed, by its signature
}

// Image is a picture in it.
type Image struct {
	MediaType string
	Data      []byte
}

func (t *Turn) sign(signature, of string) {
	if t.Signed == nil {
		t.Signed = map[string]string{}
	}
	t.Signed[signature] = of
}

// image reads base64.
func image(mediaType, data string) Image {
	b, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		b = []byte("not base64: " + data)
	}
	return Image{MediaType: mediaType, Data: b}
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// event is a data line.
func event(v any) string { return "data: " + text(v) + "\n\n" }

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // ours alone
	}
	return string(b)
}

func join(tokens []string) string { return strings.Join(tokens, "") }

type object = map[string]any
