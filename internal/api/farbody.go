package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// readFar decodes the body of a far watcher into v: JSON, plain or compressed with gzip
// or zstd, bounded as it is sent and as it unpacks. A body that is cut off changes
// nothing: it is read to its end first.
func readFar(w http.ResponseWriter, r *http.Request, v any) error {
	raw, err := unpackFar(http.MaxBytesReader(w, r.Body, inventory.FarBody), r.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	if bytes.Contains(raw, []byte(`\u0000`)) {
		return invalid("the body has a NUL character in a text")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return badJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return invalid("the body holds more than one JSON value")
	}
	return nil
}

func unpackFar(body io.Reader, encoding string) ([]byte, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
	case "gzip":
		zr, err := gzip.NewReader(body)
		if err != nil {
			return nil, farBodyError(err)
		}
		body = zr // closing it would only say again what reading says
	case "zstd":
		zr, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(inventory.FarBodyUnpacked), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, farBodyError(err)
		}
		defer zr.Close()
		body = zr
	default:
		return nil, inventory.Errorf(inventory.ErrUnsupported, "bodies compressed with %q are not taken", shorten(encoding)).
			WithRemedy("use gzip, zstd or none")
	}
	raw, err := io.ReadAll(io.LimitReader(body, inventory.FarBodyUnpacked+1))
	if err != nil {
		return nil, farBodyError(err)
	}
	if len(raw) > inventory.FarBodyUnpacked {
		return nil, &http.MaxBytesError{Limit: inventory.FarBodyUnpacked}
	}
	return raw, nil
}

func farBodyError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return err
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return &http.MaxBytesError{Limit: inventory.FarBodyUnpacked}
	}
	return invalid("the body was cut off, or is not compressed as its Content-Encoding says").WithRemedy("send it again")
}

// farReply answers a value as JSON, compressed where the watcher takes that: layer
// records are large.
func farReply(w http.ResponseWriter, r *http.Request, v any) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	return farWrite(w, r, func(to io.Writer) error {
		enc := json.NewEncoder(to)
		enc.SetEscapeHTML(false)
		return enc.Encode(whole(v))
	})
}

// farLines answers values one a line.
func farLines[T any](w http.ResponseWriter, r *http.Request, list []T) error {
	h := w.Header()
	h.Set("Content-Type", "application/jsonl")
	h.Set("Cache-Control", "no-store")
	return farWrite(w, r, func(to io.Writer) error {
		enc := json.NewEncoder(to)
		for _, v := range list {
			if err := enc.Encode(v); err != nil {
				return err
			}
		}
		return nil
	})
}

// farWrite breaks the answer off when it fails half-way, so that nobody takes a part of
// it for the whole.
func farWrite(w http.ResponseWriter, r *http.Request, write func(io.Writer) error) error {
	w.Header().Add("Vary", "Accept-Encoding")
	to, finish := io.Writer(w), func() error { return nil }
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		zw, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err != nil {
			return err
		}
		to, finish = zw, zw.Close
	}
	w.WriteHeader(http.StatusOK)
	if errors.Join(write(to), finish()) != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
