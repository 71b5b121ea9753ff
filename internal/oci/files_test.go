package oci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

// layout writes an image as an OCI layout directory.
func layout(t *testing.T, s *ocitest.Store, d oci.Descriptor) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := s.Manifest(t.Context(), d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range append([]oci.Descriptor{m.Config, {Digest: d.Digest, Size: int64(len(m.Raw))}}, m.Layers...) {
		rc, err := s.Blob(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(b.Digest, "sha256:")), raw)
	}
	d.Annotations = map[string]string{"org.opencontainers.image.ref.name": "1.0"}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []oci.Descriptor{d}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "index.json"), index)
	return dir
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLayout(t *testing.T) {
	s := ocitest.NewStore()
	layer := ocitest.Gzip(ocitest.Tar(ocitest.File("a", "b")))
	d := s.AddImage("", ocitest.Image{Layers: [][]byte{layer}})
	dir := layout(t, s, d)
	for _, ref := range []string{"oci-dir:" + dir, "oci-dir://" + dir, "oci-dir:" + dir + "@" + d.Digest} {
		r, err := oci.OpenReference(t.Context(), ref, oci.ReferenceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.Manifest(t.Context(), r.Ref)
		if err != nil || m.Digest != d.Digest {
			t.Fatalf("%s: %+v, %v", ref, m, err)
		}
		rc, err := r.Blob(t.Context(), m.Layers[0])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, layer) {
			t.Errorf("layer of %d bytes, %v", len(got), err)
		}
		rc.Close()
		r.Close()
	}
	blob := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(oci.Digest(layer), "sha256:"))
	write(t, blob, append(bytes.Clone(layer[:len(layer)-1]), 7))
	l, err := oci.OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	rc, err := l.Blob(t.Context(), oci.Descriptor{Digest: oci.Digest(layer), Size: int64(len(layer))})
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if _, err := io.ReadAll(rc); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("a corrupt blob: %v, want ErrInvalid", err)
	}
	if _, err := oci.OpenLayout(t.TempDir()); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := oci.OpenLayout(filepath.Join(dir, "nothing")); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("no directory: %v", err)
	}
}

func TestLayoutStaysInside(t *testing.T) {
	s := ocitest.NewStore()
	d := s.AddImage("", ocitest.Image{Layers: [][]byte{ocitest.Tar()}})
	dir := layout(t, s, d)
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, []byte("s"))
	digest := oci.Digest([]byte("s"))
	if err := os.Symlink(secret, filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))); err != nil {
		t.Fatal(err)
	}
	l, err := oci.OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if rc, err := l.Blob(t.Context(), oci.Descriptor{Digest: digest, Size: 1}); err == nil {
		rc.Close()
		t.Error("a link led out of the layout")
	}
}

func TestArchives(t *testing.T) {
	plain := ocitest.Tar(ocitest.File("a", "b"))
	config := `{"os":"linux","architecture":"amd64","config":{},"rootfs":{"diff_ids":["` + oci.Digest(plain) + `"]},"history":[]}`
	saved := func(layerName string, layer []byte, more ...ocitest.Entry) []byte {
		return ocitest.Tar(append(more, ocitest.File("config.json", config), ocitest.File(layerName, string(layer)),
			ocitest.File("manifest.json", `[{"Config":"config.json","RepoTags":["app:1"],"Layers":["`+layerName+`"]}]`))...)
	}
	linked := ocitest.Tar(ocitest.File("config.json", config), ocitest.File("x/layer.tar", string(plain)), ocitest.Symlink("y/layer.tar", "../x/layer.tar"),
		ocitest.File("manifest.json", `[{"Config":"config.json","Layers":["y/layer.tar"]}]`))
	for name, raw := range map[string][]byte{
		"docker save":           saved("abc/layer.tar", plain),
		"gzipped":               ocitest.Gzip(saved("abc/layer.tar", plain)),
		"with compressed layer": saved("abc.tar.gz", ocitest.Gzip(plain)),
		"with linked layer":     linked,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "image.tar")
			write(t, file, raw)
			r, err := oci.OpenReference(t.Context(), "archive:"+file, oci.ReferenceOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			m, err := r.Manifest(t.Context(), "")
			if err != nil || len(m.Layers) != 1 {
				t.Fatalf("%+v, %v", m, err)
			}
			rc, err := r.Blob(t.Context(), m.Layers[0])
			if err != nil {
				t.Fatal(err)
			}
			defer rc.Close()
			if _, err := io.ReadAll(rc); err != nil {
				t.Error(err)
			}
			if _, err := oci.ReadBlob(t.Context(), r, m.Config); err != nil {
				t.Error(err)
			}
		})
	}
	for name, raw := range map[string][]byte{"no image": ocitest.Tar(ocitest.File("x", "y")), "no tar": []byte("hello"), "lying gzip": {0x1f, 0x8b, 1}} {
		file := filepath.Join(t.TempDir(), "x.tar")
		write(t, file, raw)
		if a, err := oci.OpenArchive(context.Background(), file); err == nil {
			a.Close()
			t.Errorf("%s was opened", name)
		}
	}
}
