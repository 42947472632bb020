package hub

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Ids are UUIDs in their canonical lower-case text form. Order is never read
// from an id: clients may bring their own.
type (
	// UserID names a [User].
	UserID string
	// SessionID names a [Session].
	SessionID string
	// MessageID names a [Message] and the stream that is its live form.
	MessageID string
)

// NewID returns a fresh UUIDv7 (RFC 9562, section 5.7).
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli()))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return formatID(b)
}

// ParseID returns the canonical form of a UUID of any version, and whether s
// was one.
func ParseID(s string) (string, bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return "", false
	}
	var b [16]byte
	if n, err := hex.Decode(b[:], []byte(strings.ReplaceAll(s, "-", ""))); err != nil || n != 16 {
		return "", false
	}
	return formatID(b), true
}

func formatID(b [16]byte) string {
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// TimeOf is when an id was made that [NewID] has made, to the millisecond.
func TimeOf(id string) time.Time {
	digits := strings.ReplaceAll(id, "-", "")
	ms, err := strconv.ParseInt(digits[:min(12, len(digits))], 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
