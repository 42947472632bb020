// Package fake serves the real wire formats of all providers over HTTP, by one
// script: what models answer, and every way in which servers fail.
package fake

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Script is what one model does when it is asked. The zero value answers
// nothing and finishes with "stop".
type Script struct {
	Reasoning []string // thinking, before the text
	ThinkKey  string   // its field among compatible servers; reasoning_content if empty
	Signature string   // proves the thinking, and must come back
	Redacted  string   // thinking that nobody may read, and must come back
	Tokens    []string
	Tools     []Tool // calls, after the text
	Finish    string // stop, length, content_filter or tool_calls, or the vendor's own word; "stop" if empty
	Usage     bool   // reported if the request asks for it

	Every time.Duration   // between tokens
	Gate  <-chan struct{} // if set, each token waits for one receive; closed: none waits

	Status     int           // an error instead of an answer, or 200 for a body as it is
	Body       string        // its body; the vendor's error object if empty
	Header     http.Header   // with it
	RetryAfter time.Duration // its header
	FailFirst  int           // only so many calls get Status; all if 0

	Before     string // written before the first chunk, as it is
	BreakAfter int    // the connection is cut after so many tokens; never if 0
	StallAfter int    // silence after so many tokens, until the client leaves; never if 0
	Silent     bool   // no byte at all until the client leaves
	Inject     string // written as it is after BreakAfter or StallAfter tokens, or after all; then the stream ends as Open says
	Open       bool   // after Inject the connection stays open
	NoFinish   bool   // the answer ends without a reason
	NoDone     bool   // the answer ends without the vendor's last event
	NoNewline  bool   // the last line has no end
	Torn       bool   // the connection is cut after all that, in place of its end
	Bytewise   bool   // every byte is a write of its own
}

// Tool is a call that a model wants made.
type Tool struct {
	ID, Name  string
	Arguments []string // in pieces
}

// Numbered is n tokens that can be told apart.
func Numbered(n int) []string {
	t := make([]string, n)
	for i := range t {
		t[i] = "t" + strconv.Itoa(i) + " "
	}
	return t
}

// Server is a provider, of every [Dialect] at once.
type Server struct {
	*httptest.Server

	mu       sync.Mutex // guards the rest
	scripts  map[string]Script
	calls    map[string]int
	requests []Request
	conns    int
	left     chan string
}

// New starts a server whose models are the names of the scripts. Close ends it.
func New(scripts map[string]Script) *Server {
	s := &Server{scripts: scripts, calls: map[string]int{}, left: make(chan string, 1024)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Anthropic-Version") != "" {
			s.reply(w, anthropicModels(s.names(), r.URL.Query().Get("after_id")))
			return
		}
		s.reply(w, openAIModels(s.names()))
	})
	mux.HandleFunc("GET /v1beta/models", func(w http.ResponseWriter, r *http.Request) {
		s.reply(w, geminiModels(s.names(), r.URL.Query().Get("pageToken")))
	})
	mux.HandleFunc("GET /api/tags", func(w http.ResponseWriter, _ *http.Request) { s.reply(w, ollamaTags(s.names())) })
	mux.HandleFunc("POST /api/show", s.show)
	mux.HandleFunc("POST /v1/chat/completions", s.answer(OpenAI))
	mux.HandleFunc("POST /v1/messages", s.answer(Anthropic))
	mux.HandleFunc("POST /v1beta/models/{call}", s.answer(Gemini))
	s.Server = httptest.NewUnstartedServer(mux)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.conns++
		}
	}
	s.Start()
	return s
}

// Connections is how many clients have made.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// BaseURL is what an OpenAI client is given.
func (s *Server) BaseURL() string { return s.URL + OpenAI.Path() }

// Set changes what a model does from the next call on.
func (s *Server) Set(model string, sc Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[model] = sc
}

// Calls is how often a model was asked.
func (s *Server) Calls(model string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[model]
}

// Requests are the questions so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Bodies are the requests so far, as they came.
func (s *Server) Bodies() []string {
	var list []string
	for _, r := range s.Requests() {
		list = append(list, r.Body)
	}
	return list
}

// Left names the model whenever a client hangs up on an answer.
func (s *Server) Left() <-chan string { return s.left }

func (s *Server) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.scripts))
}

func (s *Server) reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// answer serves a dialect's questions.
func (s *Server) answer(d Dialect) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client is gone
		}
		req, err := d.parse(r, body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		req.Header, req.URL, req.Body = r.Header, r.URL.String(), string(body)
		s.mu.Lock()
		sc, ok := s.scripts[req.Model]
		s.calls[req.Model]++
		call := s.calls[req.Model]
		s.requests = append(s.requests, req)
		s.mu.Unlock()
		switch {
		case !ok:
			sc = Script{Status: http.StatusNotFound}
		case sc.FailFirst > 0 && call > sc.FailFirst:
			sc.Status = 0
		}
		if sc.Status != 0 {
			fail(w, d, sc)
			return
		}
		defer func() {
			if r.Context().Err() != nil {
				s.left <- req.Model
			}
		}()
		if sc.Silent {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		out := &writer{rc: http.NewResponseController(w), w: bufio.NewWriterSize(w, 32<<10), r: r, sc: sc, enc: d.encode(sc, req)}
		out.answer()
	}
}

func fail(w http.ResponseWriter, d Dialect, sc Script) {
	maps.Copy(w.Header(), sc.Header)
	if sc.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(sc.RetryAfter/time.Second)))
	}
	if sc.Body == "" {
		sc.Body = d.Error(sc.Status, "")
	}
	w.WriteHeader(sc.Status)
	_, _ = io.WriteString(w, sc.Body) // the client may be gone
}
