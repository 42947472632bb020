package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Opcodes of WebSocket frames (RFC 6455, section 5.2).
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
	final   = 0x80
	masked  = 0x80
)

// frames takes whole WebSocket frames from b and returns how much that was.
func (v *viewer) frames(r *reader, b []byte) (used int) {
	for {
		head, size, ok := frameHead(b[used:])
		if !ok || len(b)-used < head+size {
			return used
		}
		first, payload := b[used], b[used+head:used+head+size]
		used += head + size
		switch first {
		case final | opText:
			r.messages++
			for line := range bytes.SplitSeq(payload, []byte("\n")) {
				v.event(r, line)
			}
		case final | opPing:
			r.write(v, frame(opPong, payload))
		case final | opPong:
		case final | opClose:
			code := uint16(0)
			if size >= 2 {
				code = binary.BigEndian.Uint16(payload)
				payload = payload[2:]
			}
			v.fail(fmt.Errorf("the WebSocket was closed with %d %s", code, payload))
			r.leave(v, nil)
		default:
			v.fail(fmt.Errorf("a frame that begins with %#x", first))
		}
	}
}

// frameHead reads the size of a server's frame.
func frameHead(b []byte) (head, size int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	switch n := int(b[1]); {
	case n < 126:
		return 2, n, true
	case n == 126 && len(b) >= 4:
		return 4, int(binary.BigEndian.Uint16(b[2:])), true
	case n == 127 && len(b) >= 10:
		return 10, int(binary.BigEndian.Uint64(b[2:])), true
	}
	return 0, 0, false
}

// frame is a client's, whose mask is zero and so changes nothing.
func frame(op byte, payload []byte) []byte {
	b := []byte{final | op}
	if n := len(payload); n < 126 {
		b = append(b, masked|byte(n))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// serverFrame is the frame of a text message that a server sends.
func serverFrame(payload []byte) []byte {
	b := []byte{final | opText}
	if n := len(payload); n < 126 {
		b = append(b, byte(n))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	}
	return append(b, payload...)
}

var (
	eventEnd = []byte("\n\n")
	idHead   = []byte("id: ")
	dataHead = []byte("data: ")
)

// events takes whole events of an event stream from b and returns how much that
// was.
func (v *viewer) events(r *reader, b []byte) (used int) {
	for {
		size := bytes.Index(b[used:], eventEnd)
		if size < 0 {
			return used
		}
		e := b[used : used+size]
		used += size + len(eventEnd)
		r.messages++
		id := int64(-1)
		if rest, ok := bytes.CutPrefix(e, idHead); ok {
			id, rest = readNumber(rest)
			e = bytes.TrimPrefix(rest, []byte("\n"))
		}
		data, ok := bytes.CutPrefix(e, dataHead)
		if !ok {
			if len(e) > 0 && e[0] != ':' {
				v.fail(fmt.Errorf("an event that is %.100q", e))
			}
			continue
		}
		v.event(r, data)
		if id != v.seq {
			v.misplaced++
		}
	}
}

// chunks takes the chunked coding off a response (RFC 9112, section 7.1).
type chunks struct {
	left  int    // of the chunk's bytes
	ended bool   // the last chunk was seen
	size  []byte // digits of the next chunk's size
	plain []byte
}

func (c *chunks) decode(b []byte) {
	for len(b) > 0 {
		if c.left > 0 {
			n := min(c.left, len(b))
			c.plain = append(c.plain, b[:n]...)
			c.left -= n
			b = b[n:]
			continue
		}
		switch d := b[0]; {
		case d == '\n' && len(c.size) > 0:
			n, err := strconv.ParseUint(string(c.size), 16, 31)
			if err == nil {
				c.left, c.ended = int(n), n == 0
			}
			c.size = c.size[:0]
		case d != '\r' && d != '\n': // an empty line ends the chunk before
			c.size = append(c.size, d)
		}
		b = b[1:]
	}
}

// take gives a viewer what was read from its socket.
func (v *viewer) take(r *reader, b []byte) {
	if v.body != nil {
		v.body.decode(b)
		used := v.events(r, v.body.plain)
		v.body.plain = append(v.body.plain[:0], v.body.plain[used:]...)
	} else {
		if len(v.rest) > 0 {
			v.rest = append(v.rest, b...)
			b = v.rest
		}
		parse := v.frames
		if v.sse {
			parse = v.events
		}
		v.rest = append(v.rest[:0], b[parse(r, b):]...)
	}
	if each := v.stream.block; each > 0 {
		for ; v.blocks < v.next/each; v.blocks++ {
			v.stream.pass(v.blocks)
		}
	}
	if v.seen.Swap(v.next) != v.next {
		v.last = r.now()
	}
	if v.body != nil && v.body.ended {
		r.leave(v, nil)
	}
}
