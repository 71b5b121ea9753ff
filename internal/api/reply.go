package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// maxBody bounds a JSON body; uploads have a bound of their own.
const maxBody = 1 << 20

// reply answers a value as JSON; a read carries an ETag and honours If-None-Match.
func reply[T any](w http.ResponseWriter, r *http.Request, status int, v T) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(whole(v)); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "private, no-cache")
	if r.Method == http.MethodGet && status == http.StatusOK {
		if unchanged(w, r, body.Bytes()) {
			return nil
		}
	} else {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the caller went away: there is nobody to tell
	return nil
}

// unchanged marks an answer with its ETag, and answers that it is what the caller has
// already, if it is.
func unchanged(w http.ResponseWriter, r *http.Request, body []byte) bool {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	w.Header().Set("ETag", tag)
	if !matchesTag(r.Header.Get("If-None-Match"), tag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

func matchesTag(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if part == tag || part == "*" {
			return true
		}
	}
	return false
}

// readJSON decodes the body of r into v: one value, known fields only.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return inventory.Errorf(inventory.ErrInvalid, "the body is not JSON").
			WithRemedy("send Content-Type: application/json")
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return badJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return inventory.Errorf(inventory.ErrInvalid, "the body holds more than one JSON value")
	}
	return nil
}

// badJSON tells what is wrong with a body without repeating it: it may hold a secret.
func badJSON(err error) error {
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return err
	case errors.As(err, &wrongType):
		return inventory.Errorf(inventory.ErrInvalid, "the body's field %q is a %s and must be a %s",
			wrongType.Field, wrongType.Value, wrongType.Type)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return inventory.Errorf(inventory.ErrInvalid, "the body has an %s", strings.TrimPrefix(err.Error(), "json: ")).
			WithRemedy("GET /api/v1/openapi.json lists the fields")
	}
	return inventory.Errorf(inventory.ErrInvalid, "the body is not well-formed JSON")
}
