package eventlog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
)

// The first byte of an encoded batch says what it is. The layout that replicas have
// always read has text and thoughts alone.
const (
	plainBatch = 'b'
	plainOpen  = 'o' // a head before the deltas: the beginning of a log
	anyBatch   = 'B' // deltas of any kind
	anyOpen    = 'O'
)

// IsBatch says whether a message is an encoded batch, and whether it has a head.
func IsBatch(p []byte) (batch, open bool) {
	if len(p) == 0 {
		return false, false
	}
	open = p[0] == plainOpen || p[0] == anyOpen
	return open || p[0] == plainBatch || p[0] == anyBatch, open
}

// A Batch is consecutive deltas of one stream, as replicas tell them to each other
// and as they lie in the log that they share.
type Batch struct {
	Head   []byte // JSON; nil but in a batch that begins a log
	Stream string
	Epoch  int64
	From   int64 // the seq before the first delta
	Deltas []Delta
}

// plain says whether the batch has text and thoughts alone.
func (b Batch) plain() bool {
	return !slices.ContainsFunc(b.Deltas, func(d Delta) bool { return !d.Kind.Plain() })
}

// Encode lays a batch out: the kind, with a head its length and JSON; the
// stream's id, epoch, from and the number of deltas; and then the deltas. Of each
// a plain batch has the length of its text, doubled, odd for a thought, and the
// text; any other has the kind, the length of its call and the call, the length of
// its text and the text. Numbers are uvarints.
func (b Batch) Encode() []byte {
	size := 64 + len(b.Head)
	for _, d := range b.Deltas {
		size += len(d.Text) + len(d.Call) + 5
	}
	plain := b.plain()
	kind := byte(anyBatch)
	switch {
	case plain && b.Head != nil:
		kind = plainOpen
	case plain:
		kind = plainBatch
	case b.Head != nil:
		kind = anyOpen
	}
	dst := append(make([]byte, 0, size), kind)
	if b.Head != nil {
		dst = appendCounted(dst, b.Head)
	}
	dst = appendCounted(dst, b.Stream)
	dst = binary.AppendUvarint(dst, uint64(b.Epoch))
	dst = binary.AppendUvarint(dst, uint64(b.From))
	dst = binary.AppendUvarint(dst, uint64(len(b.Deltas)))
	for _, d := range b.Deltas {
		if plain {
			dst = binary.AppendUvarint(dst, uint64(len(d.Text))<<1|uint64(d.Kind))
			dst = append(dst, d.Text...)
			continue
		}
		dst = appendCounted(append(dst, byte(d.Kind)), d.Call)
		dst = appendCounted(dst, d.Text)
	}
	return dst
}

func appendCounted[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

var errBatch = errors.New("not a batch of deltas")

// DecodeBatch reads what [Batch.Encode] wrote.
func DecodeBatch(p []byte) (b Batch, err error) {
	batch, open := IsBatch(p)
	if !batch {
		return b, errBatch
	}
	plain := p[0] == plainBatch || p[0] == plainOpen
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
	b.Deltas = make([]Delta, count)
	for i := range b.Deltas {
		d := &b.Deltas[i]
		n := number()
		if plain {
			d.Text, d.Kind = string(text(n>>1)), Kind(n&1)
			continue
		}
		if n >= uint64(kinds) {
			return b, errBatch
		}
		d.Kind = Kind(n)
		d.Call = string(text(number()))
		d.Text = string(text(number()))
	}
	if err != nil || len(p) > 0 {
		return b, errBatch
	}
	return b, nil
}
