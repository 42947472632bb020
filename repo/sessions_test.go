package repo

import (
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// FuzzParseCursor holds that what is taken is what could have been given out.
func FuzzParseCursor(f *testing.F) {
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(1767323045, 123456000), time.Unix(-1<<36, 0), time.Unix(1<<38, 0)} {
		f.Add(cursorAt(at, hub.NewID()))
	}
	f.Add("")
	f.Add("nonsense\n")
	f.Fuzz(func(t *testing.T, s string) {
		at, id, ok := parseCursor(s)
		if !ok {
			return
		}
		if _, valid := hub.ParseID(id); !valid || at.Year() < 1 || at.Year() > 9999 || cursorAt(at, id) != s {
			t.Errorf("%q was taken: %s %q", s, at, id)
		}
	})
}
