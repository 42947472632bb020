package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	model     = "openai/bench"
	chunkHead = `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"`
	chunkTail = `"},"finish_reason":null}]}` + "\n\n"
	lastChunk = `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` +
		"\n\ndata: [DONE]\n\n"
	answerHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)

// provider speaks OpenAI's wire, with one write for a token and nothing else on
// the way. What a question says names the stream that answers it.
type provider struct {
	listener net.Listener
	wg       sync.WaitGroup
	closed   chan struct{}

	mu      sync.Mutex
	streams map[string]*stream
	conns   map[net.Conn]struct{}
	serve   func(*source) // what is done with a question, until its source is done
}

func startProvider(serve func(*source)) (*provider, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &provider{listener: l, closed: make(chan struct{}), streams: map[string]*stream{}, conns: map[net.Conn]struct{}{}, serve: serve}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *provider) url() string { return "http://" + p.listener.Addr().String() + "/v1" }

// expect has the provider answer the question of a stream.
func (p *provider) expect(s *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams[question(s)] = s
}

// question is what a user asks for a stream.
func question(s *stream) string { return "stream " + strconv.Itoa(s.index) }

func (p *provider) close() {
	close(p.closed)
	p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *provider) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns[c] = struct{}{}
		p.mu.Unlock()
		p.wg.Go(func() {
			p.handle(c)
			p.mu.Lock()
			delete(p.conns, c)
			p.mu.Unlock()
			c.Close()
		})
	}
}

// handle answers the requests of one connection until it breaks.
func (p *provider) handle(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.Method == http.MethodGet {
			list := `{"object":"list","data":[{"id":"bench","object":"model"}]}`
			_, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(list), list)
		} else {
			err = p.answer(c, body)
		}
		if err != nil {
			return
		}
	}
}

func (p *provider) answer(c net.Conn, body []byte) error {
	var in struct {
		Messages []struct{ Content string }
	}
	if err := json.Unmarshal(body, &in); err != nil || len(in.Messages) == 0 {
		return fmt.Errorf("a question that cannot be read: %w", err)
	}
	asked := in.Messages[len(in.Messages)-1].Content
	p.mu.Lock()
	s := p.streams[asked]
	p.mu.Unlock()
	if s == nil {
		return fmt.Errorf("nobody expects %q", asked)
	}
	if _, err := io.WriteString(c, answerHead); err != nil {
		return err
	}
	src := &source{stream: s, conn: c, wire: openAIWire{}, done: make(chan struct{})}
	src.end = func() error {
		_, err := fmt.Fprintf(c, "%x\r\n%s\r\n0\r\n\r\n", len(lastChunk), lastChunk)
		return err
	}
	s.source = src
	s.arrived.Store(sinceStart())
	p.serve(src)
	select {
	case <-src.done:
		return src.err
	case <-p.closed: // it may never have been started
		return net.ErrClosed
	}
}

// openAIWire is one event, and one chunk of the response, for each token.
type openAIWire struct{}

var (
	eventSize  = len(chunkHead) + tokenSize + len(chunkTail)
	eventFront = strconv.FormatInt(int64(eventSize), 16) + "\r\n" + chunkHead
	eventBlank = eventFront + strings.Repeat(" ", tokenSize) + chunkTail + "\r\n"
)

func (openAIWire) appendToken(dst []byte, _ *stream, number, sent int64) []byte {
	n := len(dst)
	dst = append(dst, eventBlank...)
	putToken(dst[n+len(eventFront):], number, sent)
	return dst
}

// sources collects as many sources as there are streams, which wait to be
// started.
type sources chan *source

func (c sources) take(ctx context.Context, n int) ([]*source, error) {
	out := make([]*source, 0, n)
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for len(out) < n {
		select {
		case s := <-c:
			out = append(out, s)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-limit.C:
			return nil, fmt.Errorf("the provider was asked %d of %d questions", len(out), n)
		}
	}
	return out, nil
}
