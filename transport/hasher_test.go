package transport

import (
	"strings"
	"testing"
)

func TestPasswordsCostWhatOWASPSays(t *testing.T) {
	s := New(nil, nil, Options{})
	defer s.Shutdown(t.Context())
	h := s.people.hasher
	const parameters = "$argon2id$v=19$m=19456,t=2,p=1$"
	hash, err := h.hash(t.Context(), "correct horse")
	if err != nil || !strings.HasPrefix(hash, parameters) || !strings.HasPrefix(h.dummy, parameters) {
		t.Errorf("hash %s, for nobody %s, %v", hash, h.dummy, err)
	}
	if ok, old, err := h.check(t.Context(), "correct horse", hash); !ok || old || err != nil {
		t.Errorf("the password: ok %v, old %v, %v", ok, old, err)
	}
	if ok, _, err := h.check(t.Context(), "correct house", hash); ok || err != nil {
		t.Errorf("another password: ok %v, %v", ok, err)
	}
}

func TestHashOfOtherParametersIsOld(t *testing.T) {
	now, before := newHasher(argonCost{memory: 16, time: 1, threads: 1}), newHasher(argonCost{memory: 8, time: 2, threads: 1})
	hash, err := before.hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if ok, old, err := now.check(t.Context(), "correct horse", hash); !ok || !old || err != nil {
		t.Errorf("the password: ok %v, old %v, %v", ok, old, err)
	}
	if ok, old, err := now.check(t.Context(), "correct house", hash); ok || old || err != nil {
		t.Errorf("another password: ok %v, old %v, %v", ok, old, err)
	}
	for _, broken := range []string{"", "$argon2id$", "$argon2i$v=19$m=8,t=1,p=1$AA$AA", "$argon2id$v=19$m=x$AA$AA", "$argon2id$v=19$m=8,t=1,p=1$!$AA", "$argon2id$v=19$m=8,t=1,p=1$AA$!"} {
		if ok, _, err := now.check(t.Context(), "x", broken); ok || err == nil {
			t.Errorf("hash %q: ok %v, %v", broken, ok, err)
		}
	}
}
