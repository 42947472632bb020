package main

import "math/bits"

const (
	stepBits = 6 // 64 steps in each doubling: a value is known to 1.6 %
	steps    = 1 << stepBits
)

// histogram counts microseconds.
type histogram struct {
	counts [steps * 40]uint64
	n      uint64
	top    int64
}

func (h *histogram) add(v int64) {
	v = max(0, v)
	h.n++
	h.top = max(h.top, v)
	h.counts[min(slot(uint64(v)), len(h.counts)-1)]++
}

// slot is exact below steps; above, it keeps the first stepBits+1 bits.
func slot(v uint64) int {
	if v < steps {
		return int(v)
	}
	shift := bits.Len64(v) - stepBits - 1
	return shift*steps + int(v>>shift)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.n += o.n
	h.top = max(h.top, o.top)
}

// quantile returns the value that the share q of all are at or below, in ms.
func (h *histogram) quantile(q float64) float64 {
	rank := uint64(q * float64(h.n))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen > rank {
			return float64(min(value(i), h.top)) / 1000
		}
	}
	return float64(h.top) / 1000
}

// value is the least of a slot.
func value(slot int) int64 {
	if slot < 2*steps {
		return int64(slot)
	}
	shift := slot/steps - 1
	return int64(slot-shift*steps) << shift
}
