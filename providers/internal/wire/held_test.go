package wire

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
)

// TestLargeEventsShareABound holds that many answers whose events do not end hold
// no more together than a few, and give it back.
func TestLargeEventsShareABound(t *testing.T) {
	p := &pool{by: map[any]int64{}}
	h := &held{p, "ann"}
	large := func() (*Reader, error) {
		r := NewReader(strings.NewReader("data: " + strings.Repeat("x", eventMax-100)))
		r.held = h
		_, err := r.Next()
		return r, err
	}
	var readers []*Reader
	refused := 0
	for range 20 {
		r, err := large()
		if errors.Is(err, errTooMany) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, r)
	}
	if passed := 20 - refused; passed < 1 || passed > heldEach/eventMax {
		t.Errorf("%d events of 8 MB were held at once", passed)
	}
	small := NewReader(strings.NewReader("data: x\n\n"))
	small.held = h
	if e, err := small.Next(); err != nil || string(e.Data) != "x" {
		t.Errorf("a small event beside them: %q, %v", e.Data, err)
	}
	for _, r := range readers {
		r.release()
	}
	if len(p.by) != 0 || p.all != 0 {
		t.Errorf("%v of %d bytes were not given back", p.by, p.all)
	}
	if _, err := large(); err != nil {
		t.Errorf("once they are gone: %v", err)
	}
}

// TestLargeEventsOfSomeLeaveRoomForOthers holds that users who take all they can,
// by as many providers as they like, do not end the answers of the others.
func TestLargeEventsOfSomeLeaveRoomForOthers(t *testing.T) {
	p := &pool{by: map[any]int64{}}
	for _, owner := range []string{"ann", "bob", "cid"} {
		for range 1000 {
			if p.add(owner, 1<<20) != nil {
				_ = p.add(owner, -1<<20) // its answer ends
			}
		}
	}
	if got := p.by["ann"]; got != heldEach {
		t.Errorf("the first one holds %d bytes, want %d", got, heldEach)
	}
	if err := p.add("dan", 4<<20); err != nil {
		t.Errorf("%v beside %d bytes of others", err, p.all)
	}
	if a, b := newHeld("ann"), newHeld("ann"); *a != *b {
		t.Error("two providers of a user do not share a bound")
	}
	if a, b := newHeld(""), newHeld(""); *a == *b {
		t.Error("two providers of everyone's share a bound")
	}
}

// TestAnswersHoldNothingAfterTheirEnd holds that what a large event took is given
// back with its answer, and that endless headers are not read.
func TestAnswersHoldNothingAfterTheirEnd(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/header" {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		}
		_, _ = w.Write([]byte("data: " + strings.Repeat("x", 1<<20) + "\n\n"))
	}))
	defer srv.Close()
	c := NewClient(Options{BaseURL: srv.URL})
	own := func() int64 {
		large.mu.Lock()
		defer large.mu.Unlock()
		return large.by[c.events.owner]
	}
	ask := func(path string) error {
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.stream(t.Context(), req, func(e Event) (bool, error) {
			if got := own(); got < 1<<20 {
				t.Errorf("%d bytes count of an event of a megabyte", got)
			}
			return false, nil
		})
	}
	if err := ask("/"); err != nil {
		t.Error(err)
	}
	if got := own(); got != 0 {
		t.Errorf("%d bytes are held after the end", got)
	}
	if err := ask("/header"); hub.CodeOf(err) != hub.CodeProviderNetwork {
		t.Errorf("a header of a megabyte: %v", err)
	}
}

// TestListsOfTinyObjectsAreRefused holds that a list which would take many times
// its size is not taken apart.
func TestListsOfTinyObjectsAreRefused(t *testing.T) {
	entry := `{"id":"a"}`
	for n, want := range map[int]int{1000: 1000, 2 * ListMax: ListMax, partsMax: 0} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"data":[` + strings.Repeat(entry+",", n-1) + entry + `]}`))
		}))
		list, _, err := NewClient(Options{BaseURL: srv.URL}).List(t.Context(), "/models", http.Header{}, "data")
		if len(list) != want || (err == nil) != (want > 0) {
			t.Errorf("of %d models %d are read, %v", n, len(list), err)
		}
		srv.Close()
	}
}
