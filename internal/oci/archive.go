package oci

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// maxArchive bounds what a compressed archive may unpack to, in bytes, and
// maxArchiveEntries how many entries are looked at.
const (
	maxArchive        = 64 << 30
	maxArchiveEntries = 100_000
)

// Archive is what "docker save" writes, plain or gzipped, old form
// (manifest.json) or new (an OCI layout in a tar).
type Archive struct {
	f       *os.File
	entries map[string]section
	links   map[string]string
	images  []Descriptor      // what the archive lists, named
	made    map[string][]byte // manifests made here from manifest.json
	blobs   map[string]section
}

type section struct{ off, size int64 }

var _ Source = (*Archive)(nil)

// OpenArchive opens an archive. A gzipped one is unpacked to a file that has no
// name. The caller closes it.
func OpenArchive(ctx context.Context, name string) (*Archive, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrNotFound, "open image archive %s: %w", name, err)
	}
	a := &Archive{f: f, entries: map[string]section{}, links: map[string]string{}, made: map[string][]byte{}, blobs: map[string]section{}}
	if err := a.load(ctx); err != nil {
		_ = a.Close()
		return nil, fmt.Errorf("read image archive %s: %w", name, err)
	}
	return a, nil
}

// Close releases the file.
func (a *Archive) Close() error { return a.f.Close() }

func (a *Archive) load(ctx context.Context) error {
	magic := make([]byte, 2)
	if _, err := a.f.ReadAt(magic, 0); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		if err := a.unpack(ctx); err != nil {
			return err
		}
	}
	if err := a.scan(ctx); err != nil {
		return err
	}
	if _, ok := a.find("index.json"); ok {
		return a.loadLayout()
	}
	if _, ok := a.find("manifest.json"); ok {
		return a.loadSaved()
	}
	return inventory.Errorf(inventory.ErrInvalid, "it holds neither index.json nor manifest.json: not an image archive")
}

// unpack replaces the gzipped file by its content in an unlinked temporary file.
func (a *Archive) unpack(ctx context.Context) error {
	zr, err := gzip.NewReader(bufio.NewReaderSize(a.f, 256<<10))
	if err != nil {
		return inventory.Errorf(inventory.ErrInvalid, "not gzip: %w", err)
	}
	tmp, err := os.CreateTemp("", "tallyman-archive-")
	if err != nil {
		return err
	}
	os.Remove(tmp.Name())
	n, err := io.Copy(tmp, io.LimitReader(contextReader{zr, ctx.Err}, maxArchive+1))
	if err == nil && n > maxArchive {
		err = inventory.Errorf(inventory.ErrInvalid, "it unpacks to more than %d bytes", int64(maxArchive))
	}
	if err != nil {
		tmp.Close()
		return err
	}
	a.f.Close()
	a.f = tmp
	return nil
}

// contextReader ends a long copy when its context ends.
type contextReader struct {
	r    io.Reader
	done func() error
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.done(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func (a *Archive) scan(ctx context.Context) error {
	if _, err := a.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	tr := tar.NewReader(a.f)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return inventory.Errorf(inventory.ErrInvalid, "not a tar archive: %w", err)
		}
		if n > maxArchiveEntries {
			return inventory.Errorf(inventory.ErrInvalid, "it has more than %d entries", maxArchiveEntries)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		off, err := a.f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		name := path.Clean("/" + h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			a.entries[name] = section{off, h.Size}
		case tar.TypeSymlink:
			a.links[name] = path.Join("/", path.Dir(name), h.Linkname)
		case tar.TypeLink:
			a.links[name] = path.Clean("/" + h.Linkname)
		}
	}
}

func (a *Archive) find(name string) (section, bool) {
	name = path.Clean("/" + name)
	for range 8 {
		if s, ok := a.entries[name]; ok {
			return s, true
		}
		next, ok := a.links[name]
		if !ok {
			return section{}, false
		}
		name = next
	}
	return section{}, false
}

func (a *Archive) small(name string) ([]byte, error) {
	s, ok := a.find(name)
	if !ok {
		return nil, inventory.Errorf(inventory.ErrNotFound, "the archive does not have %s", clip(name, 150))
	}
	if s.size > MaxManifest {
		return nil, inventory.Errorf(inventory.ErrInvalid, "%s has more than %d bytes", clip(name, 150), MaxManifest)
	}
	return io.ReadAll(io.NewSectionReader(a.f, s.off, s.size))
}

func (a *Archive) loadLayout() error {
	raw, err := a.small("index.json")
	if err != nil {
		return err
	}
	index, err := ParseManifest(raw, MediaOCIIndex)
	a.images = index.Members
	return err
}

// loadSaved makes a manifest for each image of the old form: the archive has
// none, so its digest is ours and not the registry's.
func (a *Archive) loadSaved() error {
	raw, err := a.small("manifest.json")
	if err != nil {
		return err
	}
	var saved []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(raw, &saved); err != nil {
		return inventory.Errorf(inventory.ErrInvalid, "manifest.json is not readable: %w", err)
	}
	for _, img := range saved {
		d, err := a.makeManifest(img.Config, img.Layers)
		if err != nil {
			return err
		}
		for _, tag := range append(img.RepoTags, "") {
			if tag == "" && len(img.RepoTags) > 0 {
				break
			}
			named := d
			named.Annotations = map[string]string{"org.opencontainers.image.ref.name": tag}
			a.images = append(a.images, named)
		}
	}
	return nil
}

func (a *Archive) makeManifest(configName string, layerNames []string) (Descriptor, error) {
	config, err := a.small(configName)
	if err != nil {
		return Descriptor{}, err
	}
	parsed, err := ParseConfig(config, false)
	if err != nil {
		return Descriptor{}, err
	}
	if len(parsed.DiffIDs) != len(layerNames) || len(layerNames) > maxLayers {
		return Descriptor{}, inventory.Errorf(inventory.ErrInvalid, "the archive has %d layers, its config names %d", len(layerNames), len(parsed.DiffIDs))
	}
	s, _ := a.find(configName)
	m := map[string]any{"schemaVersion": 2, "mediaType": MediaDockerManifest}
	m["config"] = Descriptor{MediaType: MediaDockerConfig, Digest: Digest(config), Size: s.size}
	a.blobs[Digest(config)] = s
	layers := make([]Descriptor, 0, len(layerNames))
	for i, name := range layerNames {
		d, err := a.layer(name, parsed.DiffIDs[i])
		if err != nil {
			return Descriptor{}, err
		}
		layers = append(layers, d)
	}
	m["layers"] = layers
	raw, err := json.Marshal(m)
	if err != nil {
		return Descriptor{}, err
	}
	a.made[Digest(raw)] = raw
	return Descriptor{MediaType: MediaDockerManifest, Digest: Digest(raw), Size: int64(len(raw))}, nil
}

// layer describes a layer file: a plain tar has its diff ID as digest, which is
// verified when it is read; a compressed one is hashed now.
func (a *Archive) layer(name, diffID string) (Descriptor, error) {
	s, ok := a.find(name)
	if !ok {
		return Descriptor{}, inventory.Errorf(inventory.ErrNotFound, "the archive does not have layer %s", clip(name, 150))
	}
	d := Descriptor{MediaType: "application/vnd.docker.image.rootfs.diff.tar", Digest: diffID, Size: s.size}
	magic := make([]byte, 4)
	n, err := io.NewSectionReader(a.f, s.off, s.size).Read(magic)
	if err != nil && !errors.Is(err, io.EOF) {
		return d, err
	}
	if n == 4 && (magic[0] == 0x1f && magic[1] == 0x8b || magic[0] == 0x28 && magic[1] == 0xb5) {
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(a.f, s.off, s.size)); err != nil {
			return d, err
		}
		d.Digest, d.MediaType = "sha256:"+hex.EncodeToString(h.Sum(nil)), "application/vnd.docker.image.rootfs.diff.tar.gzip"
	}
	a.blobs[d.Digest] = s
	return d, nil
}

// Manifest implements Source. A ref may be a tag that the archive lists, a digest,
// or empty where there is one image.
func (a *Archive) Manifest(_ context.Context, ref string) (Manifest, error) {
	d, err := pick(a.images, ref)
	if err != nil {
		return Manifest{}, err
	}
	raw, ok := a.made[d.Digest]
	if !ok {
		if raw, err = a.small(blobPath(d.Digest)); err != nil {
			return Manifest{}, err
		}
	}
	if Digest(raw) != d.Digest {
		return Manifest{}, inventory.Errorf(inventory.ErrInvalid, "manifest %s of the archive is corrupt", d.Digest)
	}
	return ParseManifest(raw, d.MediaType)
}

// Blob implements Source.
func (a *Archive) Blob(_ context.Context, d Descriptor) (io.ReadCloser, error) {
	s, ok := a.blobs[d.Digest]
	if !ok {
		s, ok = a.find(blobPath(d.Digest))
	}
	if !ok || !IsDigest(d.Digest) {
		return nil, inventory.Errorf(inventory.ErrNotFound, "the archive does not have blob %s", clip(strings.ToValidUTF8(d.Digest, ""), 150))
	}
	return verifyStream(io.NopCloser(io.NewSectionReader(a.f, s.off, s.size)), d), nil
}

// Referrers implements Source: an archive of one image carries none.
func (a *Archive) Referrers(context.Context, string) ([]Descriptor, error) { return nil, nil }
