package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// errCut ends an answer that the handler broke off.
var errCut = errors.New("the answer was cut off")

// inProcess is a transport that calls a handler, in a goroutine that ends when the
// handler does; the answer streams through a pipe.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	in := req.Clone(req.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI = in.URL.RequestURI()
	in.RemoteAddr = "local"
	read, write := io.Pipe()
	w := &localWriter{header: http.Header{}, body: write, ready: make(chan struct{})}
	go t.serve(w, in)
	select {
	case <-w.ready:
	case <-req.Context().Done():
		// The handler sees the same context and ends soon; its answer goes nowhere.
		_ = read.CloseWithError(req.Context().Err())
		return nil, req.Context().Err()
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: read, ContentLength: -1, Request: req,
	}, nil
}

func (t inProcess) serve(w *localWriter, req *http.Request) {
	defer req.Body.Close()
	defer func() {
		// A handler that panics must not take the command with it: net/http's server
		// would break the connection, and so does this.
		if p := recover(); p != nil {
			w.WriteHeader(http.StatusInternalServerError)
			_ = w.body.CloseWithError(inventory.Errorf(inventory.ErrUnavailable, "%s %s: %w", req.Method, req.URL.Path, errCut))
			return
		}
		w.WriteHeader(http.StatusOK)
		_ = w.body.Close()
	}()
	t.handler.ServeHTTP(w, req)
}

type localWriter struct {
	header http.Header
	body   *io.PipeWriter
	once   sync.Once
	ready  chan struct{} // closed when status and sent are set
	status int
	sent   http.Header
}

func (w *localWriter) Header() http.Header { return w.header }

func (w *localWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.ready)
	})
}

func (w *localWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush does nothing: nothing is held back.
func (w *localWriter) Flush() { w.WriteHeader(http.StatusOK) }
