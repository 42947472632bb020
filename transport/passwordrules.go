package transport

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn"
	"github.com/trustelem/zxcvbn/frequency"
	"golang.org/x/text/secure/precis"

	"github.com/omnichat/omnichat/hub"
)

// What a new password must be like.
const (
	passwordMin = 8    // characters
	passwordMax = 1024 // bytes
	guessesMin  = 10_000
	guessed     = 32 // characters that guesses are counted for, which takes long for long ones
	trimmedMax  = 5  // digits and such around a common word that make it no better
)

// siteName is what nobody's password may be.
const siteName = "omnichat"

// common is the passwords that are used most, in small letters.
var common = sync.OnceValue(func() map[string]bool {
	list := map[string]bool{}
	for _, p := range frequency.FrequencyLists["passwords"] {
		list[p] = true
	}
	return list
})

// normal is a password as it is hashed: the same however a keyboard makes its
// letters (RFC 8265, OpaqueString). What the RFC takes for no password stays as
// it is.
func normal(password string) string {
	if p, err := precis.OpaqueString.String(password); err == nil {
		return p
	}
	return password
}

// checkPassword refuses a new password that is too short or too long, or that
// others would try early. The names are what the account is called.
func checkPassword(password string, names ...string) error {
	bad := func(msg string) error { return hub.Invalid("password", msg) }
	if len(password) > passwordMax {
		return bad("must have at most 1024 bytes")
	}
	password = normal(password)
	if utf8.RuneCountInString(password) < passwordMin {
		return bad("must have at least 8 characters")
	}
	whole := strings.ToLower(password)
	word := core(whole)
	like := func(name string) bool {
		name = strings.ToLower(name)
		return name != "" && (name == whole || core(name) != "" && core(name) == word)
	}
	var inputs []string
	for _, name := range names {
		local, _, _ := strings.Cut(name, "@")
		inputs = append(inputs, name, local)
	}
	switch {
	case like(siteName):
		return bad("must not be the name of this site")
	case slices.ContainsFunc(inputs, like):
		return bad("must not be the username or the display name, nor one of them with some digits")
	case common()[whole], common()[plain(whole)], common()[word], common()[plain(word)]:
		return bad("is one of the most common passwords, or one with some digits; choose another")
	case zxcvbn.PasswordStrength(first(password, guessed), append(inputs, siteName)).Guesses < guessesMin:
		return bad("is easy to guess; choose a longer one, such as some words")
	}
	return nil
}

// core is a text without the few digits and signs that people put around a word.
func core(text string) string {
	word := strings.TrimFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
	if utf8.RuneCountInString(text)-utf8.RuneCountInString(word) > trimmedMax {
		return text
	}
	return word
}

// plain is a text with letters for the digits and signs that look like them.
func plain(text string) string {
	return strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i").Replace(text)
}

// first is the first characters of a text.
func first(text string, most int) string {
	for i := range text {
		if most--; most < 0 {
			return text[:i]
		}
	}
	return text
}
