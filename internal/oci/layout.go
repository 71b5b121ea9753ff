package oci

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Layout is an OCI image layout directory. The directory is opened as a root of
// its own: nothing in it can point outside.
type Layout struct {
	root  *os.Root
	index Manifest
}

var _ Source = (*Layout)(nil)

// OpenLayout opens an OCI layout directory. The caller closes it.
func OpenLayout(dir string) (*Layout, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrNotFound, "%s is no OCI layout directory: %w", dir, err)
	}
	l := &Layout{root: root}
	raw, err := l.small("index.json")
	if err == nil {
		l.index, err = ParseManifest(raw, MediaOCIIndex)
	}
	if err != nil {
		_ = root.Close()
		return nil, inventory.Errorf(inventory.ErrInvalid, "%s is no OCI layout directory: reading index.json: %w", dir, err)
	}
	return l, nil
}

// Close releases the directory.
func (l *Layout) Close() error { return l.root.Close() }

// Manifest implements Source. A ref may be a digest or the name in
// org.opencontainers.image.ref.name; an empty one is the only entry.
func (l *Layout) Manifest(_ context.Context, ref string) (Manifest, error) {
	d, err := pick(l.index.Members, ref)
	if err != nil {
		return Manifest{}, err
	}
	raw, err := l.small(blobPath(d.Digest))
	if err != nil {
		return Manifest{}, err
	}
	if Digest(raw) != d.Digest {
		return Manifest{}, inventory.Errorf(inventory.ErrInvalid, "manifest %s of the layout is corrupt", d.Digest)
	}
	return ParseManifest(raw, d.MediaType)
}

// Blob implements Source.
func (l *Layout) Blob(_ context.Context, d Descriptor) (io.ReadCloser, error) {
	if !IsDigest(d.Digest) {
		return nil, inventory.Errorf(inventory.ErrUnsupported, "%q is no sha256 digest", clip(d.Digest, 150))
	}
	f, err := l.root.Open(blobPath(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, inventory.Errorf(inventory.ErrNotFound, "the layout does not have blob %s", d.Digest)
	}
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "open blob %s: %w", d.Digest, err)
	}
	return verifyStream(f, d), nil
}

// Referrers implements Source: entries of the layout's index whose subject is digest.
func (l *Layout) Referrers(_ context.Context, digest string) ([]Descriptor, error) {
	var out []Descriptor
	for _, d := range l.index.Members {
		raw, err := l.small(blobPath(d.Digest))
		if err != nil {
			continue
		}
		var m struct {
			Subject *Descriptor `json:"subject"`
		}
		if json.Unmarshal(raw, &m) == nil && m.Subject != nil && m.Subject.Digest == digest {
			out = append(out, d)
		}
	}
	return out, nil
}

func (l *Layout) small(name string) ([]byte, error) {
	f, err := l.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, inventory.Errorf(inventory.ErrNotFound, "the layout does not have %s", name)
	}
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "open %s: %w", name, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, MaxManifest+1))
	if err == nil && len(raw) > MaxManifest {
		return nil, inventory.Errorf(inventory.ErrInvalid, "%s has more than %d bytes", name, MaxManifest)
	}
	return raw, err
}

func blobPath(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

// pick chooses an entry by digest, by name, or the only one. A digest that the
// index does not list may still lie among the blobs: a member of an index.
func pick(members []Descriptor, ref string) (Descriptor, error) {
	var names []string
	for _, d := range members {
		name := d.Annotations["org.opencontainers.image.ref.name"]
		if ref != "" && (d.Digest == ref || name == ref || strings.HasSuffix(name, ":"+ref)) {
			return d, nil
		}
		names = append(names, known(name))
	}
	if IsDigest(ref) {
		return Descriptor{Digest: ref}, nil
	}
	if ref == "" && len(members) == 1 {
		return members[0], nil
	}
	if ref == "" {
		return Descriptor{}, inventory.Errorf(inventory.ErrInvalid, "there are %d images here", len(members)).
			WithRemedy("name one: %s", clip(strings.Join(names, ", "), 300))
	}
	return Descriptor{}, inventory.Errorf(inventory.ErrNotFound, "there is no image %q here", clip(ref, 150))
}
