package oci_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

func serve(t *testing.T, s *ocitest.Store) *oci.Remote {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return &oci.Remote{Base: srv.URL + "/v2/team/app", Client: srv.Client()}
}

func readAll(r *oci.Remote, d oci.Descriptor) ([]byte, error) {
	rc, err := r.Blob(context.Background(), d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}

func TestBlobResumesAfterCuts(t *testing.T) {
	for _, noRange := range []bool{false, true} {
		s := ocitest.NewStore()
		want := bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
		d := s.AddBlob("", want)
		var asked atomic.Int64
		s.SetFault(func(string) ocitest.Fault {
			if asked.Add(1) <= 3 {
				return ocitest.Fault{CutAfter: 100_000 * asked.Load(), NoRange: noRange}
			}
			return ocitest.Fault{NoRange: noRange}
		})
		got, err := readAll(serve(t, s), d)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("no range %v: got %d bytes of %d, error %v", noRange, len(got), len(want), err)
		}
	}
}

func TestBlobFailures(t *testing.T) {
	body := bytes.Repeat([]byte("layer"), 10_000)
	tests := []struct {
		name  string
		fault ocitest.Fault
		size  int64 // added to what the manifest says
		kind  error
		says  string
	}{
		{name: "corrupt", fault: ocitest.Fault{Flip: true}, kind: inventory.ErrInvalid, says: "corrupt"},
		{name: "longer than said", size: -10, kind: inventory.ErrInvalid, says: "longer than"},
		{name: "rate limit", fault: ocitest.Fault{Status: 429}, kind: inventory.ErrUnavailable, says: "429"},
		{name: "maintenance", fault: ocitest.Fault{Status: 503, Body: "<html>"}, kind: inventory.ErrUnavailable, says: "503"},
		{name: "gone", fault: ocitest.Fault{Status: 404, Body: `{"errors":[{"code":"BLOB_UNKNOWN"}]}`}, kind: inventory.ErrNotFound, says: "does not have blob"},
		{name: "xray", fault: ocitest.Fault{Status: 403, Body: `{"errors":[{"status":403,"message":"Artifact download request rejected: x was not downloaded due to the download blocking policy configured in Xray for y"}]}`}, kind: inventory.ErrForbidden, says: "blocked by Xray"},
		{name: "no permission", fault: ocitest.Fault{Status: 403, Body: `{"errors":[{"code":"UNAUTHORIZED","message":"The client does not have permission for manifest"}]}`}, kind: inventory.ErrForbidden, says: "does not have permission"},
		{name: "bad credentials", fault: ocitest.Fault{Status: 401}, kind: inventory.ErrUnauthorized, says: "authentication failed: invalid credentials or insufficient permissions"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := ocitest.NewStore()
			d := s.AddBlob("", body)
			d.Size += tt.size
			s.SetFault(func(string) ocitest.Fault { return tt.fault })
			_, err := readAll(serve(t, s), d)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v; want kind %v, saying %q", err, tt.kind, tt.says)
			}
		})
	}
}

func TestBlobShorterThanSaid(t *testing.T) {
	s := ocitest.NewStore()
	d := s.AddBlob("", []byte("short"))
	d.Size += 5
	if _, err := readAll(serve(t, s), d); err == nil {
		t.Error("a blob shorter than its descriptor was accepted")
	}
}

func TestManifestIsVerified(t *testing.T) {
	s := ocitest.NewStore()
	d := s.AddImage("1.0", ocitest.Image{})
	r := serve(t, s)
	for _, ref := range []string{"1.0", d.Digest} {
		m, err := r.Manifest(context.Background(), ref)
		if err != nil || m.Digest != d.Digest || m.Kind != inventory.ImageKind {
			t.Errorf("Manifest(%s) = %+v, %v", ref, m, err)
		}
	}
	lying := &oci.Remote{Base: "http://registry.test/v2/a", Client: &http.Client{Transport: answer(`{"schemaVersion":2}`)}}
	if _, err := lying.Manifest(context.Background(), d.Digest); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("a manifest with another digest: error %v, want ErrInvalid", err)
	}
	if _, err := r.Manifest(context.Background(), "../../secret"); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("a reference that leaves the path: error %v, want ErrInvalid", err)
	}
}

// answer is a transport that always answers with this body.
type answer string

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(a))), Request: r}, nil
}

func TestReferrersFallsBackToTag(t *testing.T) {
	s := ocitest.NewStore()
	img := s.AddImage("1", ocitest.Image{})
	sbom := s.AddManifest("", oci.MediaOCIManifest, []byte(`{"schemaVersion":2,"artifactType":"application/spdx+json"}`))
	s.AddIndex(strings.Replace(img.Digest, ":", "-", 1), sbom)
	s.SetFault(func(p string) ocitest.Fault {
		if strings.Contains(p, "/referrers/") {
			return ocitest.Fault{Status: 404}
		}
		return ocitest.Fault{}
	})
	got, err := serve(t, s).Referrers(context.Background(), img.Digest)
	if err != nil || len(got) != 1 || got[0].Digest != sbom.Digest {
		t.Errorf("Referrers = %v, %v; want %s", got, err, sbom.Digest)
	}
}

func TestSignedURLsDoNotReachErrors(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/bucket?X-Amz-Signature=topsecret", http.StatusFound)
	}))
	defer srv.Close()
	r := &oci.Remote{Base: srv.URL + "/v2/a", Client: srv.Client()}
	_, err := readAll(r, oci.Descriptor{Digest: oci.Digest(nil), Size: 1})
	if !errors.Is(err, inventory.ErrUnavailable) || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("error %v", err)
	}
}
