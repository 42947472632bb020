package wire

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// lines is a Decoder of events that are text.
type lines struct{}

func (lines) Event(e Event, t *Teller) (bool, error) {
	t.Text(string(e.Data))
	return false, nil
}

func (lines) End(*Teller) {}

func (lines) Usage() *hub.Usage { return nil }

func TestAnswerThatNeverEndsIsEnded(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "data: more\n\n")
			_ = rc.Flush()
			time.Sleep(time.Millisecond)
		}
	}))
	defer srv.Close()
	c := NewClient(Options{BaseURL: srv.URL})
	c.run = 300 * time.Millisecond
	var last error
	for _, err := range c.Answer(t.Context(), "/", http.Header{}, nil, func() Decoder { return lines{} }) {
		last = err
	}
	if hub.CodeOf(last) != hub.CodeProviderTimeout || !errors.Is(last, errEndless) {
		t.Errorf("got %v", last)
	}
}

func TestRunLimitCountsRetries(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer srv.Close()
	c := NewClient(Options{BaseURL: srv.URL})
	c.run = 300 * time.Millisecond
	for _, err := range c.Answer(t.Context(), "/", http.Header{}, nil, func() Decoder { return lines{} }) {
		if hub.CodeOf(err) != hub.CodeProviderTimeout {
			t.Errorf("got %v", err)
		}
	}
}
