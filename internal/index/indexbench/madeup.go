package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

// madeUp is an image of one layer that is made while it is read: very many small
// files, or one very large one.
type madeUp struct {
	files  int
	bytes  int64
	once   sync.Once
	config []byte
	layer  oci.Descriptor
}

func digest(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

// write makes the layer; the same one each time.
func (m *madeUp) write(w io.Writer) error {
	tw := tar.NewWriter(w)
	if m.bytes > 0 {
		if err := tw.WriteHeader(&tar.Header{Name: "var/zeros.img", Typeflag: tar.TypeReg, Mode: 0o644, Size: m.bytes}); err != nil {
			return err
		}
		if _, err := io.CopyN(tw, zeros{}, m.bytes); err != nil {
			return err
		}
	}
	for i := range m.files {
		body := fmt.Sprintf(`{"name":"package-%d","version":"1.0.%d","license":"MIT"}`, i/10, i/10)
		name := fmt.Sprintf("app/node_modules/package-%d/lib/file-%d.js", i/10, i)
		if i%10 == 0 {
			name = fmt.Sprintf("app/node_modules/package-%d/package.json", i/10)
		}
		if err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))}); err != nil {
			return err
		}
		if _, err := io.WriteString(tw, body); err != nil {
			return err
		}
	}
	return tw.Close()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// counter measures what passes.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func (m *madeUp) pack(w io.Writer, plain io.Writer) error {
	zw, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := m.write(io.MultiWriter(zw, plain)); err != nil {
		return err
	}
	return zw.Close()
}

// describe makes the layer once to know its digests.
func (m *madeUp) describe() (err error) {
	m.once.Do(func() {
		packed, plain, size := sha256.New(), sha256.New(), &counter{}
		if err = m.pack(io.MultiWriter(packed, size), plain); err != nil {
			return
		}
		m.layer = oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", Digest: "sha256:" + hex.EncodeToString(packed.Sum(nil)), Size: size.n}
		m.config, err = json.Marshal(map[string]any{
			"os": "linux", "architecture": "amd64",
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(plain.Sum(nil))}},
		})
	})
	return err
}

// Manifest implements oci.Source.
func (m *madeUp) Manifest(context.Context, string) (oci.Manifest, error) {
	if err := m.describe(); err != nil {
		return oci.Manifest{}, err
	}
	return oci.Manifest{
		Digest: digest(m.config), MediaType: oci.MediaOCIManifest, Kind: inventory.ImageKind,
		Config: oci.Descriptor{MediaType: oci.MediaOCIConfig, Digest: digest(m.config), Size: int64(len(m.config))}, Layers: []oci.Descriptor{m.layer},
	}, nil
}

// Blob implements oci.Source.
func (m *madeUp) Blob(_ context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	if d.Digest != m.layer.Digest {
		return io.NopCloser(bytes.NewReader(m.config)), nil
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(m.pack(w, io.Discard)) }()
	return r, nil
}

// Referrers implements oci.Source.
func (m *madeUp) Referrers(context.Context, string) ([]oci.Descriptor, error) { return nil, nil }
