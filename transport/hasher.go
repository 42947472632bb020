package transport

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"
)

// argonCost is what argon2id is told to spend on a password.
type argonCost struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

// owasp is what OWASP's password storage cheat sheet has.
var owasp = argonCost{memory: 19456, time: 2, threads: 1}

// Bytes of a hash.
const (
	argonKey  = 32
	argonSalt = 16
)

// hasher hashes passwords, as many at a time as there are cores: each takes
// 19 MiB and tens of milliseconds.
type hasher struct {
	cost  argonCost
	slots chan struct{}
	dummy string // what the password of a user that is not there is held against
}

func newHasher(cost argonCost) *hasher {
	h := &hasher{cost: cost, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	h.dummy = cost.encode(make([]byte, argonSalt), make([]byte, argonKey))
	return h
}

func (h *hasher) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hash returns a password's hash in the PHC string format.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer func() { <-h.slots }()
	salt := make([]byte, argonSalt)
	rand.Read(salt) // never fails, see crypto/rand
	return h.cost.encode(salt, h.cost.key(password, salt, argonKey)), nil
}

func (c argonCost) key(password string, salt []byte, size int) []byte {
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.threads, uint32(size))
}

func (c argonCost) encode(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.time, c.threads,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// check says whether the password is the hash's, and whether the hash was made
// in another way than today's: with other parameters, or of the password as it
// was typed.
func (h *hasher) check(ctx context.Context, password, hash string) (ok, old bool, err error) {
	if err := h.enter(ctx); err != nil {
		return false, false, err
	}
	defer func() { <-h.slots }()
	k, err := parseHash(hash)
	if err != nil {
		return false, false, fmt.Errorf("a stored password hash: %w", err)
	}
	if p := normal(password); k.is(p) {
		return true, k.cost != h.cost, nil
	} else if p == password {
		return false, false, nil
	}
	ok = k.is(password)
	return ok, ok, nil
}

// key is a hash with what it was made with.
type key struct {
	cost      argonCost
	salt, sum []byte
}

func (k key) is(password string) bool {
	return subtle.ConstantTimeCompare(k.cost.key(password, k.salt, len(k.sum)), k.sum) == 1
}

// parseHash reads a hash in the PHC string format.
func parseHash(hash string) (k key, err error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return k, fmt.Errorf("it has an unknown form")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &k.cost.memory, &k.cost.time, &k.cost.threads); err != nil {
		return k, err
	}
	if k.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return k, err
	}
	k.sum, err = base64.RawStdEncoding.DecodeString(parts[5])
	return k, err
}
