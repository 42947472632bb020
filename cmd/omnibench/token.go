package main

import "time"

// tokenSize is the size of a token: six hex digits of its number, nine of the
// time when it was sent, and a space. Nothing in it is escaped in JSON.
const tokenSize = 16

const (
	numberDigits = 6
	timeDigits   = 9
	tokensMax    = 1 << (4 * numberDigits) // of one answer
)

var began = time.Now()

// sinceStart is the clock of tokens: microseconds since the program began.
func sinceStart() int64 { return int64(time.Since(began) / time.Microsecond) }

// putToken writes a token to the first bytes of dst.
func putToken(dst []byte, number, sent int64) {
	putHex(dst[:numberDigits], number)
	putHex(dst[numberDigits:numberDigits+timeDigits], sent)
	dst[tokenSize-1] = ' '
}

func putHex(dst []byte, v int64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = "0123456789abcdef"[v&15]
		v >>= 4
	}
}

// hexDigits has the value of each digit, and -1 for what is none.
var hexDigits = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for v, c := range "0123456789abcdef" {
		t[c] = int8(v)
	}
	return t
}()

// readHex returns a value below 0 for what is not hex.
func readHex[T string | []byte](b T) int64 {
	var v, bad int64
	for i := range len(b) {
		d := int64(hexDigits[b[i]])
		bad |= d
		v = v<<4 | d
	}
	if bad < 0 {
		return -1
	}
	return v
}

// tokenNumber is the number of the token at the beginning of b.
func tokenNumber[T string | []byte](b T) int64 { return readHex(b[:numberDigits]) }

// tokenTime is when it was sent.
func tokenTime[T string | []byte](b T) int64 {
	return readHex(b[numberDigits : numberDigits+timeDigits])
}
