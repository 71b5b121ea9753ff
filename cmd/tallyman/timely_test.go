package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestTimely: one connection serves requests with and without a body, answers with and
// without one, and a stream that flushes.
func TestTimely(t *testing.T) {
	srv := httptest.NewServer(timely(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Errorf("the connection is out of reach: %v", err)
		}
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if _, err := w.Write(b); err != nil {
			t.Error(err)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			t.Error("the request ended before its answer")
		case <-time.After(10 * time.Millisecond):
		}
	})))
	defer srv.Close()
	for _, method := range []string{"POST", "DELETE", "GET", "POST"} {
		body := ""
		if method == "POST" {
			body = strings.Repeat("x", 100_000)
		}
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if err != nil || string(got) != body {
			t.Errorf("%s: %d bytes, %v; want %d", method, len(got), err, len(body))
		}
		res.Body.Close()
	}
}
