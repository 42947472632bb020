package transport

import (
	"errors"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
)

func TestEasyPasswordsAreRefused(t *testing.T) {
	for password, why := range map[string]string{
		"short": "at least 8", "1234567": "at least 8", "ééééééé": "at least 8", strings.Repeat("x7", 513): "at most 1024",
		"password": "common", "12345678": "common", "PASSWORD": "common", "iloveyou": "common", "qwertyuiop": "common",
		"password123": "common", "Password1!": "common", "P@ssw0rd": "common", "p4ssw0rd": "common", "Summer2026": "common",
		"monkey123!": "common", "ｐａｓｓｗｏｒｄ": "", "11111111": "common", "87654321": "easy", "aaaaaaaaaaaa": "easy",
		strings.Repeat("a", 1000): "easy", "drowssap": "common", "abcdefgh": "easy", "michelle": "easy", "elizabeth": "easy",
		"margaret_w": "username", "Margaret_W": "username", "margaret_w1": "username", "margaret_w2026!": "username", "Margaret Weiss": "username",
		"w_teragram": "easy", "omnichat": "site", "OmniChat": "site", "omnichat1": "site", "OmniChat2026!": "site",
		"correct horse": "-", "long enough": "-", "tiger-river-42": "-", "correct horse battery staple": "-", "x9!kQ2#v": "-",
		"Zwölf Boxkämpfer": "-", "пароль из слов": "-", "密码是很长的一句话": "-", strings.Repeat("many words ", 93): "-",
		"password of a poet": "-", "omnichat is where I talk": "-", "margaret_w has a cat": "-",
	} {
		err := checkPassword(password, "margaret_w", "Margaret Weiss")
		var e *hub.Error
		switch {
		case why == "":
		case why == "-":
			if err != nil {
				t.Errorf("%.40q is refused: %v", password, err)
			}
		case !errors.As(err, &e) || e.Code != hub.CodeInvalid || e.Field != "password" || !strings.Contains(e.Msg, why):
			t.Errorf("%.40q: %v, want one that says %s", password, err, why)
		case password != "password" && strings.Contains(e.Msg, password):
			t.Errorf("%q is repeated: %v", password, err)
		}
	}
	if err := checkPassword("annabell", "annabell@example.org"); err == nil {
		t.Error("the first part of an address is taken for a password")
	}
}

// TestPasswordIsTheSameHoweverItIsTyped holds that letters made of several
// characters and spaces of other widths are no other password, and that whoever
// has a hash of such characters as they were typed still gets in.
func TestPasswordIsTheSameHoweverItIsTyped(t *testing.T) {
	h := newHasher(argonCost{memory: 8, time: 1, threads: 1})
	const composed, apart = "caf\u00e9 au lait", "cafe\u0301 au\u2003lait"
	raw, err := h.hash(t.Context(), apart)
	if err != nil {
		t.Fatal(err)
	}
	now, err := h.hash(t.Context(), normal(apart))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		password, hash string
		ok, old        bool
	}{
		"as the hash has it":            {composed, now, true, false},
		"in other characters":           {apart, now, true, false},
		"hashed as it was typed":        {apart, raw, true, true},
		"another password":              {"cafe au lait", now, false, false},
		"hashed otherwise, in one way":  {composed, raw, false, false},
		"no password by the RFC's word": {"bell\a rings", now, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			ok, old, err := h.check(t.Context(), tt.password, tt.hash)
			if ok != tt.ok || old != tt.old || err != nil {
				t.Errorf("ok %v, old %v, %v", ok, old, err)
			}
		})
	}
}

func FuzzCheckPassword(f *testing.F) {
	for _, p := range []string{"correct horse", "12/12/2012", "\xff\xfe12345678", "aaaa4444@@@@", "\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b"} {
		f.Add(p, "ann")
	}
	f.Fuzz(func(t *testing.T, password, name string) {
		err := checkPassword(password, name)
		if err != nil && hub.CodeOf(err) != hub.CodeInvalid {
			t.Error(err)
		}
		if normal(normal(password)) != normal(password) {
			t.Errorf("%q is made normal twice", password)
		}
	})
}
