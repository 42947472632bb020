// Package fake serves a provider's real wire format over HTTP, by script: what
// models answer, and every way in which servers fail.
package fake

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Script is what one model does when it is asked. The zero value answers
// nothing and finishes with "stop".
type Script struct {
	Reasoning []string // thinking, before the text
	ThinkKey  string   // its field; reasoning_content if empty
	Tokens    []string
	Finish    string // finish_reason; "stop" if empty
	Usage     bool   // reported if the request asks for it

	Every time.Duration   // between tokens
	Gate  <-chan struct{} // if set, each token waits for one receive; closed: none waits

	Status     int           // an error instead of an answer
	Body       string        // its body; an OpenAI error object if empty
	RetryAfter time.Duration // its header
	FailFirst  int           // only so many calls get Status; all if 0

	Before     string // written before the first chunk, as it is
	BreakAfter int    // the connection is cut after so many tokens; never if 0
	StallAfter int    // silence after so many tokens, until the client leaves; never if 0
	Silent     bool   // no byte at all until the client leaves
	Inject     string // written as it is after BreakAfter or StallAfter tokens, or after all; then the stream ends as Open says
	Open       bool   // after Inject the connection stays open
	NoFinish   bool   // the answer ends without finish_reason
	NoDone     bool   // the answer ends without [DONE]
	NoNewline  bool   // the last line has no end
	Bytewise   bool   // every byte is a write of its own
}

// Numbered is n tokens that can be told apart.
func Numbered(n int) []string {
	t := make([]string, n)
	for i := range t {
		t[i] = "t" + strconv.Itoa(i) + " "
	}
	return t
}

// Server is a provider.
type Server struct {
	*httptest.Server

	mu      sync.Mutex // guards the rest
	scripts map[string]Script
	calls   map[string]int
	bodies  []string
	left    chan string
}

// New starts a server whose models are the names of the scripts. Close ends it.
func New(scripts map[string]Script) *Server {
	s := &Server{scripts: scripts, calls: map[string]int{}, left: make(chan string, 1024)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", s.models)
	mux.HandleFunc("POST /v1/chat/completions", s.chat)
	s.Server = httptest.NewServer(mux)
	return s
}

// BaseURL is what an OpenAI client is given.
func (s *Server) BaseURL() string { return s.URL + "/v1" }

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

// Bodies are the requests so far.
func (s *Server) Bodies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.bodies...)
}

// Left names the model whenever a client hangs up on an answer.
func (s *Server) Left() <-chan string { return s.left }

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := []map[string]string{}
	for name := range s.scripts {
		data = append(data, map[string]string{"id": name, "object": "model"})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": data}) // the client may be gone
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req struct {
		Model         string `json:"model"`
		StreamOptions struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	if err != nil || json.Unmarshal(body, &req) != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	sc, ok := s.scripts[req.Model]
	s.calls[req.Model]++
	call := s.calls[req.Model]
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	switch {
	case !ok:
		sc = Script{Status: http.StatusNotFound, Body: `{"error":{"message":"The model does not exist","type":"invalid_request_error","code":"model_not_found"}}`}
	case sc.FailFirst > 0 && call > sc.FailFirst:
		sc.Status = 0
	}
	if sc.Status != 0 {
		fail(w, sc)
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
	out := &writer{rc: http.NewResponseController(w), w: bufio.NewWriterSize(w, 32<<10), r: r, sc: sc}
	out.answer(req.StreamOptions.IncludeUsage)
}

func fail(w http.ResponseWriter, sc Script) {
	if sc.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(sc.RetryAfter/time.Second)))
	}
	if sc.Body == "" {
		sc.Body = fmt.Sprintf(`{"error":{"message":"scripted failure %d","type":"error"}}`, sc.Status)
	}
	w.WriteHeader(sc.Status)
	_, _ = io.WriteString(w, sc.Body) // the client may be gone
}

// writer streams one answer.
type writer struct {
	rc *http.ResponseController
	w  *bufio.Writer
	r  *http.Request
	sc Script
}

// raw writes, and flushes unless tokens come as fast as they can.
func (o *writer) raw(s string, flush bool) bool {
	if o.sc.Bytewise {
		for i := range len(s) {
			_, _ = o.w.WriteString(s[i : i+1])
			_ = o.w.Flush()
			_ = o.rc.Flush()
		}
		return o.r.Context().Err() == nil
	}
	_, err := o.w.WriteString(s)
	if err == nil && flush {
		if err = o.w.Flush(); err == nil {
			err = o.rc.Flush()
		}
	}
	return err == nil && o.r.Context().Err() == nil
}

func (o *writer) chunk(delta map[string]string, finish string) string {
	choice := map[string]any{"index": 0, "delta": delta, "finish_reason": nil}
	if finish != "" {
		choice["finish_reason"] = finish
	}
	b, err := json.Marshal(map[string]any{"id": "c", "object": "chat.completion.chunk", "choices": []any{choice}})
	if err != nil {
		panic(err) // strings only
	}
	return "data: " + string(b) + "\n\n"
}

func (o *writer) answer(usage bool) {
	paced := o.sc.Every > 0 || o.sc.Gate != nil
	if !o.raw(o.sc.Before, true) {
		return
	}
	key := o.sc.ThinkKey
	if key == "" {
		key = "reasoning_content"
	}
	for _, t := range o.sc.Reasoning {
		if !o.raw(o.chunk(map[string]string{key: t}, ""), paced) {
			return
		}
	}
	for i, t := range o.sc.Tokens {
		if o.cut(i) || !o.wait() {
			return
		}
		if !o.raw(o.chunk(map[string]string{"content": t}, ""), paced || i == 0) {
			return
		}
	}
	if o.cut(len(o.sc.Tokens)) {
		return
	}
	o.end(usage)
}

// wait paces the tokens.
func (o *writer) wait() bool {
	if o.sc.Gate != nil {
		select {
		case <-o.sc.Gate:
		case <-o.r.Context().Done():
			return false
		}
	}
	if o.sc.Every > 0 {
		t := time.NewTimer(o.sc.Every)
		defer t.Stop()
		select {
		case <-t.C:
		case <-o.r.Context().Done():
			return false
		}
	}
	return true
}

// cut does what the script wants after n tokens, and says whether that was the
// end of the answer.
func (o *writer) cut(n int) bool {
	breaks, stalls := o.sc.BreakAfter > 0 && n == o.sc.BreakAfter, o.sc.StallAfter > 0 && n == o.sc.StallAfter
	atEnd := o.sc.Inject != "" && o.sc.BreakAfter == 0 && o.sc.StallAfter == 0 && n == len(o.sc.Tokens)
	if !breaks && !stalls && !atEnd {
		return false
	}
	o.raw(o.sc.Inject, true)
	switch {
	case stalls, o.sc.Open:
		<-o.r.Context().Done()
	case breaks && o.sc.Inject == "":
		_ = o.w.Flush()
		_ = o.rc.Flush()
		panic(http.ErrAbortHandler) // net/http cuts the connection
	}
	return true
}

func (o *writer) end(usage bool) {
	finish := o.sc.Finish
	if finish == "" {
		finish = "stop"
	}
	var tail strings.Builder
	if !o.sc.NoFinish {
		tail.WriteString(o.chunk(map[string]string{}, finish))
	}
	if o.sc.Usage && usage {
		fmt.Fprintf(&tail, `data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":%d}}}`+"\n\n",
			len(o.sc.Tokens), len(o.sc.Reasoning))
	}
	if !o.sc.NoDone {
		tail.WriteString("data: [DONE]\n\n")
	}
	text := tail.String()
	if o.sc.NoNewline {
		text = strings.TrimRight(text, "\n")
	}
	o.raw(text, true)
}
