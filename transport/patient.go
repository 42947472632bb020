package transport

import (
	"net/http"
	"slices"
	"time"
)

// replyTimeout is how long a client may take for a chunk of a response. It is
// long: what the system holds for a client, megabytes of it, goes first.
const replyTimeout = time.Minute

// patient is a response that waits for its client as long as that takes
// something: one that reads nothing would be kept in memory for ever.
type patient struct {
	http.ResponseWriter
	rc *http.ResponseController
}

// patiently makes a response wait. What net/http writes by itself, such as 100
// Continue, has a deadline from here on, too: that of an earlier response on the
// connection is over.
func patiently(w http.ResponseWriter) patient {
	p := patient{w, http.NewResponseController(w)}
	p.renew()
	return p
}

// impatient is a response without that, for who has deadlines of its own.
func impatient(w http.ResponseWriter) http.ResponseWriter {
	if p, ok := w.(patient); ok {
		return p.ResponseWriter
	}
	return w
}

func (p patient) renew() {
	_ = p.rc.SetWriteDeadline(time.Now().Add(replyTimeout)) // a writer without one has no slow peer
}

// Unwrap is for http.ResponseController.
func (p patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// WriteHeader is http.ResponseWriter's.
func (p patient) WriteHeader(status int) {
	p.renew()
	p.ResponseWriter.WriteHeader(status)
}

// Write is http.ResponseWriter's.
func (p patient) Write(b []byte) (n int, err error) {
	for part := range slices.Chunk(b, chunk) {
		p.renew()
		m, err := p.ResponseWriter.Write(part)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
