package eventlog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
)

// The first byte of an encoded batch says what it is.
const (
	KindBatch = 'b' // deltas
	KindOpen  = 'o' // a head before them: the beginning of a log
)

// A Batch is consecutive deltas of one stream, as replicas tell them to each other
// and as they lie in the log that they share.
type Batch struct {
	Head   []byte // JSON; nil but in a batch that begins a log
	Stream string
	Epoch  int64
	From   int64 // the seq before the first delta
	Deltas []Run
}

// Encode lays a batch out: the kind, with a head its length and JSON; the
// stream's id, epoch, from and the number of deltas; and of each its length,
// doubled, odd for reasoning, and its text. Numbers are uvarints.
func (b Batch) Encode() []byte {
	size := 64 + len(b.Head)
	for _, d := range b.Deltas {
		size += len(d.Text) + 3
	}
	dst := make([]byte, 0, size)
	if b.Head != nil {
		dst = append(dst, KindOpen)
		dst = binary.AppendUvarint(dst, uint64(len(b.Head)))
		dst = append(dst, b.Head...)
	} else {
		dst = append(dst, KindBatch)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.Stream)))
	dst = append(dst, b.Stream...)
	dst = binary.AppendUvarint(dst, uint64(b.Epoch))
	dst = binary.AppendUvarint(dst, uint64(b.From))
	dst = binary.AppendUvarint(dst, uint64(len(b.Deltas)))
	for _, d := range b.Deltas {
		n := uint64(len(d.Text)) << 1
		if d.Reasoning {
			n |= 1
		}
		dst = binary.AppendUvarint(dst, n)
		dst = append(dst, d.Text...)
	}
	return dst
}

var errBatch = errors.New("not a batch of deltas")

// DecodeBatch reads what [Batch.Encode] wrote.
func DecodeBatch(p []byte) (b Batch, err error) {
	if len(p) == 0 || p[0] != KindBatch && p[0] != KindOpen {
		return b, errBatch
	}
	open := p[0] == KindOpen
	p = p[1:]
	number := func() uint64 {
		v, n := binary.Uvarint(p)
		if n <= 0 || v > 1<<62 {
			err = errBatch
			return 0
		}
		p = p[n:]
		return v
	}
	text := func(n uint64) []byte {
		if err != nil || n > uint64(len(p)) {
			err = errBatch
			return nil
		}
		out := p[:n]
		p = p[n:]
		return out
	}
	if open {
		if b.Head = text(number()); err != nil || !json.Valid(b.Head) {
			return b, errBatch
		}
	}
	b.Stream = string(text(number()))
	b.Epoch, b.From = int64(number()), int64(number())
	count := number()
	if err != nil || count > uint64(len(p)) {
		return b, errBatch
	}
	b.Deltas = make([]Run, count)
	for i := range b.Deltas {
		n := number()
		b.Deltas[i] = Run{Text: string(text(n >> 1)), Reasoning: n&1 == 1}
	}
	if err != nil || len(p) > 0 {
		return b, errBatch
	}
	return b, nil
}
