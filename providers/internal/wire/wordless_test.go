package wire

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub"
)

// words is a Decoder of words that say what an event has.
type words struct{ usage *hub.Usage }

func (d *words) Event(e Event, t *Teller) (bool, error) {
	switch word := string(e.Data); word {
	case "nothing":
	case "thought":
		t.Think("hm")
	case "call":
		t.Call(hub.ToolDelta{Index: 0, ID: "1", Name: "look"})
	case "arguments":
		t.Call(hub.ToolDelta{Index: 0, Arguments: "{"})
	case "count":
		if d.usage == nil {
			d.usage = new(hub.Usage)
		}
		d.usage.OutputTokens++
	case "same count":
		d.usage = &hub.Usage{OutputTokens: 7}
	case "stop":
		t.Finish("stop")
	default:
		t.Text(word)
	}
	return false, nil
}

func (*words) End(*Teller) {}

func (d *words) Usage() *hub.Usage { return d.usage }

// said is a transport whose response is written line by line, one a second: each
// line as often as it is told.
type said []struct {
	line  string
	times int
}

func (s said) RoundTrip(req *http.Request) (*http.Response, error) {
	r, w := io.Pipe()
	go func() {
		for _, l := range s {
			for range l.times {
				select {
				case <-req.Context().Done():
					_ = w.CloseWithError(req.Context().Err())
					return
				case <-time.After(time.Second):
				}
				if _, err := io.WriteString(w, l.line+"\n\n"); err != nil {
					return
				}
			}
		}
		_ = w.Close()
	}()
	return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: r, Request: req}, nil
}

func TestAnswerThatSaysNothingMoreIsEnded(t *testing.T) {
	const ever, minute = 10_000, 60
	tests := map[string]struct {
		says said
		code hub.Code
		in   time.Duration // in which it has ended, within 2 s
	}{
		"nothing but empty deltas":            {said{{"data: nothing", ever}}, hub.CodeProviderTimeout, 301 * time.Second},
		"empty deltas after a word":           {said{{"data: word", 1}, {"data: nothing", ever}}, hub.CodeProviderTimeout, 301 * time.Second},
		"comments after a word":               {said{{"data: word", 1}, {": still here", ever}}, hub.CodeProviderTimeout, 301 * time.Second},
		"pings after a word":                  {said{{"data: word", 1}, {"event: ping\ndata: {}", ever}}, hub.CodeProviderTimeout, 301 * time.Second},
		"a call's name again and again":       {said{{"data: call", ever}}, hub.CodeProviderTimeout, 301 * time.Second},
		"one count again and again":           {said{{"data: same count", ever}}, hub.CodeProviderTimeout, 301 * time.Second},
		"empty deltas after the reason":       {said{{"data: word", 1}, {"data: stop", 1}, {"data: nothing", ever}}, "", 12 * time.Second},
		"the reason again and again":          {said{{"data: word", 1}, {"data: stop", ever}}, "", 12 * time.Second},
		"thinking in secret for minutes":      {said{{"data: nothing", 4 * minute}, {"data: word", 1}, {"data: nothing", 4 * minute}, {"data: stop", 1}}, "", 482 * time.Second},
		"comments until the model is there":   {said{{": loading", 10 * minute}, {"data: word", 1}, {"data: stop", 1}}, "", 602 * time.Second},
		"pings until the model is there":      {said{{"data: ping", 10 * minute}, {"data: word", 1}, {"data: stop", 1}}, "", 602 * time.Second},
		"thoughts for minutes":                {said{{"data: thought", 10 * minute}, {"data: word", 1}, {"data: stop", 1}}, "", 602 * time.Second},
		"a call's arguments for minutes":      {said{{"data: call", 1}, {"data: arguments", 10 * minute}, {"data: stop", 1}}, "", 602 * time.Second},
		"empty deltas that count for minutes": {said{{"data: count", 10 * minute}, {"data: word", 1}, {"data: stop", 1}}, "", 602 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := NewClient(Options{BaseURL: "https://example.com"})
				c.http = &http.Client{Transport: tt.says}
				began := time.Now()
				var last error
				var text strings.Builder
				for d, err := range c.Answer(t.Context(), "/", http.Header{}, nil, func() Decoder { return &words{} }) {
					text.WriteString(d.Text)
					last = err
				}
				if took := time.Since(began); hub.CodeOf(last) != tt.code || (took-tt.in).Abs() > 2*time.Second {
					t.Errorf("ended with %v after %s, want %q after %s", last, took, tt.code, tt.in)
				}
				if strings.Contains(tt.says[0].line, "word") && text.String() != "word" {
					t.Errorf("it said %q", text.String())
				}
			})
		})
	}
}
