package transport

import (
	"net/http"
	"slices"
	"time"

	"github.com/omnichat/omnichat/transport/outlet"
)

// replyTimeout is how long a client may take to receive a chunk of a response. It is long,
// as megabytes that the system has buffered for the client are sent before it.
const replyTimeout = time.Minute

// A patientWriter waits for a slow client for as long as that reads something. The response
// of a client that reads nothing at all would be kept in memory for ever.
type patientWriter struct {
	http.ResponseWriter
	rc *http.ResponseController
}

// waitForSlow makes a response a patientWriter. It sets the first deadline at once, as
// net/http writes by itself, too, such as 100 Continue, and the connection may have the
// deadline of an earlier response still.
func waitForSlow(w http.ResponseWriter) patientWriter {
	p := patientWriter{w, http.NewResponseController(w)}
	p.renew()
	return p
}

// withoutWaiting returns the response below a patientWriter, for handlers that have
// deadlines of their own.
func withoutWaiting(w http.ResponseWriter) http.ResponseWriter {
	if p, ok := w.(patientWriter); ok {
		return p.ResponseWriter
	}
	return w
}

func (p patientWriter) renew() {
	_ = p.rc.SetWriteDeadline(time.Now().Add(replyTimeout)) // a writer without one has no slow peer
}

// Unwrap is for http.ResponseController.
func (p patientWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// WriteHeader is http.ResponseWriter's.
func (p patientWriter) WriteHeader(status int) {
	p.renew()
	p.ResponseWriter.WriteHeader(status)
}

// Write is http.ResponseWriter's.
func (p patientWriter) Write(b []byte) (n int, err error) {
	for part := range slices.Chunk(b, outlet.Chunk) {
		p.renew()
		m, err := p.ResponseWriter.Write(part)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
