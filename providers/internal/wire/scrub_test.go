package wire

import (
	"errors"
	"testing"

	"github.com/omnichat/omnichat/hub"
)

func TestKeysAreTakenOutOfErrors(t *testing.T) {
	tests := map[string]struct{ key, msg, want string }{
		"a key":                  {key: "very-secret-key", msg: "no such key: very-secret-key", want: "no such key: [key]"},
		"a word that stands for": {key: "none", msg: "none of the models fits", want: "none of the models fits"},
		"a letter":               {key: "k", msg: "broke off", want: "broke off"},
		"no key":                 {msg: "broke off", want: "broke off"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := &Client{opt: Options{APIKey: tt.key}}
			err := c.scrub(&hub.Error{Code: hub.CodeProviderError, Msg: tt.msg, Err: errors.New(tt.msg)})
			var e *hub.Error
			if !errors.As(err, &e) || e.Msg != tt.want || e.Err.Error() != tt.want {
				t.Errorf("scrub = %v, want %q", err, tt.want)
			}
		})
	}
}
