package ocitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

// Fault is how one answer goes wrong. The zero value is a good answer.
type Fault struct {
	Status   int    // answer with this status
	Body     string // and this body
	CutAfter int64  // end the connection after so many bytes of the body
	NoRange  bool   // ignore Range
	Flip     bool   // change a byte
}

// SetFault sets what goes wrong, by request path; nil = nothing.
func (s *Store) SetFault(fault func(path string) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// ServeHTTP serves the store as any repository: /v2/<whatever>/manifests/REF,
// /blobs/DIGEST and /referrers/DIGEST.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	fault := s.fault
	s.mu.Unlock()
	var f Fault
	if fault != nil {
		f = fault(r.URL.Path)
	}
	if f.Status != 0 {
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
		return
	}
	switch what, ref := split(r.URL.Path); what {
	case "manifests":
		s.serveManifest(w, ref)
	case "blobs":
		s.serveBlob(w, r, ref, f)
	case "referrers":
		s.mu.Lock()
		list := append([]oci.Descriptor{}, s.referrers[ref]...)
		s.mu.Unlock()
		w.Header().Set("Content-Type", oci.MediaOCIIndex)
		_, _ = w.Write(marshal(map[string]any{"schemaVersion": 2, "manifests": list}))
	default:
		w.WriteHeader(http.StatusOK) // the ping
	}
}

func split(p string) (what, ref string) {
	for _, k := range []string{"manifests", "blobs", "referrers"} {
		if i := strings.LastIndex(p, "/"+k+"/"); i >= 0 {
			return k, p[i+len(k)+2:]
		}
	}
	return "", ""
}

func (s *Store) get(ref string) (digest, mediaType string, b []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	digest = ref
	if d, tagged := s.tags[ref]; tagged {
		digest = d
	}
	b, ok = s.blobs[digest]
	return digest, s.types[digest], b, ok
}

func (s *Store) serveManifest(w http.ResponseWriter, ref string) {
	digest, mt, b, ok := s.get(ref)
	if !ok || mt == "" {
		notFound(w, "MANIFEST_UNKNOWN")
		return
	}
	w.Header().Set("Content-Type", mt)
	w.Header().Set("Docker-Content-Digest", digest)
	_, _ = w.Write(b)
}

func (s *Store) serveBlob(w http.ResponseWriter, r *http.Request, ref string, f Fault) {
	_, _, b, ok := s.get(ref)
	if !ok {
		notFound(w, "BLOB_UNKNOWN")
		return
	}
	if f.Flip {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 0x55
	}
	if f.NoRange {
		r.Header.Del("Range")
	}
	if f.CutAfter > 0 {
		w = &cutWriter{ResponseWriter: w, left: f.CutAfter}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// cutWriter ends the connection in the middle of a body.
type cutWriter struct {
	http.ResponseWriter
	left int64
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if int64(len(p)) <= c.left {
		c.left -= int64(len(p))
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	if fl, ok := c.ResponseWriter.(http.Flusher); ok {
		fl.Flush()
	}
	panic(http.ErrAbortHandler) // the one way net/http offers to cut a connection
}

func notFound(w http.ResponseWriter, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]any{{"code": code, "message": "not known to the registry"}}})
}

var _ oci.Source = (*Store)(nil)

// Manifest implements oci.Source.
func (s *Store) Manifest(_ context.Context, ref string) (oci.Manifest, error) {
	_, mt, b, ok := s.get(ref)
	if !ok {
		return oci.Manifest{}, inventory.Errorf(inventory.ErrNotFound, "the store does not have manifest %s", ref)
	}
	return oci.ParseManifest(b, mt)
}

// Blob implements oci.Source.
func (s *Store) Blob(_ context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	s.mu.Lock()
	s.requests = append(s.requests, "BLOB "+d.Digest)
	s.mu.Unlock()
	_, _, b, ok := s.get(d.Digest)
	if !ok {
		return nil, inventory.Errorf(inventory.ErrNotFound, "the store does not have blob %s", d.Digest)
	}
	if int64(len(b)) != d.Size {
		return nil, inventory.Errorf(inventory.ErrInvalid, "blob %s has %d bytes, not %d", d.Digest, len(b), d.Size)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// Referrers implements oci.Source.
func (s *Store) Referrers(_ context.Context, digest string) ([]oci.Descriptor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]oci.Descriptor(nil), s.referrers[digest]...), nil
}

// String says what is in the store.
func (s *Store) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("store of %d blobs, %d tags", len(s.blobs), len(s.tags))
}
