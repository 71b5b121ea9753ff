package main

import (
	"io"
	"net/http"
	"time"
)

// How long a caller may take to send a body, and to take what one write sends. The work
// in between may take as long as it takes: the deletion of years of data, or a list of
// a million images, is no fault.
const (
	bodyTime  = 5 * time.Minute
	writeTime = time.Minute
)

// timely lets nobody hold a connection by sending or reading a byte now and then.
func timely(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Time{}) // that of the request before, on the same connection
		if r.Body != nil && r.Body != http.NoBody {
			_ = control.SetReadDeadline(time.Now().Add(bodyTime))
			r.Body = &timelyBody{r.Body, control}
		}
		h.ServeHTTP(&timelyWriter{w, control}, r)
	})
}

// timelyBody lifts the limit when the body is read: from then on the server only
// listens for the caller to go away.
type timelyBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timelyBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

type timelyWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (w *timelyWriter) Write(p []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(writeTime))
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *timelyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
