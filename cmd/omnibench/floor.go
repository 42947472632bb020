package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// floorTarget is a floor as something that is measured.
type floorTarget struct {
	server *process
	tokens net.Conn
}

func startFloor(ctx context.Context, mode string, streams int) (*floorTarget, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := serve(ctx, self, []string{"floor", "-mode", mode, "-streams", strconv.Itoa(streams)}, nil)
	if err != nil {
		return nil, err
	}
	return &floorTarget{server: p}, nil
}

func (f *floorTarget) processes() all { return all{f.server} }

func (f *floorTarget) finishes() bool { return false }

// begin opens the one connection that brings the tokens of all streams: the
// least that a server which is given tokens can have to read.
func (f *floorTarget) begin(ctx context.Context, streams []*stream) ([]*source, error) {
	conn, req, err := send(ctx, nil, http.MethodGet, f.server.base+"/tokens", "", "")
	if err != nil {
		return nil, err
	}
	f.tokens = conn
	res, err := http.ReadResponse(bufio.NewReader(conn), req) //nolint:bodyclose // it has none
	if err != nil || res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the floor takes no tokens: %w", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	all := make([]*source, len(streams))
	for i, s := range streams {
		all[i] = &source{stream: s, conn: conn, wire: floorWire{}, done: make(chan struct{})}
		s.source = all[i]
	}
	return all, nil
}

func (f *floorTarget) dial(ctx context.Context, v *viewer) (net.Conn, *http.Request, error) {
	v.atHead = true
	kind, head := "/ws/", handshake
	if v.sse {
		kind, head = "/sse/", ""
	}
	return send(ctx, nil, http.MethodGet, f.server.base+kind+strconv.Itoa(v.stream.index), head, "")
}

func (f *floorTarget) verify(context.Context, []*stream, int) faults { return faults{} }

func (f *floorTarget) counts(context.Context) (map[string]float64, error) { return nil, nil }

func (f *floorTarget) close() {
	if f.tokens != nil {
		f.tokens.Close()
	}
	f.server.kill()
}

// floorWire is a record for each token.
type floorWire struct{}

func (floorWire) appendToken(dst []byte, s *stream, number, sent int64) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(s.index))
	n := len(dst)
	dst = append(dst, make([]byte, tokenSize)...)
	putToken(dst[n:], number, sent)
	return dst
}
