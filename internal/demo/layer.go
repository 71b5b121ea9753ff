package demo

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// file is one entry of a layer: a body, a symbolic link, or a file of this machine.
type file struct {
	path string
	body string
	link string
	exec bool
	disk string // taken from this file instead of body
}

// whiteout is the entry that removes a path of the layers below.
func whiteout(p string) file { return file{path: path.Join(path.Dir(p), ".wh."+path.Base(p))} }

// layer is one compressed layer, held in memory because several images share it.
type layer struct {
	compressed []byte
	digest     v1.Hash
	diffID     v1.Hash
	media      types.MediaType
}

var _ v1.Layer = (*layer)(nil)

func (l *layer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *layer) Size() (int64, error)                { return int64(len(l.compressed)), nil }
func (l *layer) MediaType() (types.MediaType, error) { return l.media, nil }

func (l *layer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.compressed)), nil
}

func (l *layer) Uncompressed() (io.ReadCloser, error) {
	if l.media == types.OCILayerZStd {
		r, err := zstd.NewReader(bytes.NewReader(l.compressed))
		if err != nil {
			return nil, fmt.Errorf("open zstd layer %s: %w", l.digest, err)
		}
		return r.IOReadCloser(), nil
	}
	r, err := gzip.NewReader(bytes.NewReader(l.compressed))
	if err != nil {
		return nil, fmt.Errorf("open gzip layer %s: %w", l.digest, err)
	}
	return r, nil
}

// newLayer packs files, sorted by path, into a layer. The same files always make
// the same digest.
func newLayer(media types.MediaType, files ...file) (*layer, error) {
	var (
		out    bytes.Buffer
		digest = sha256.New()
		diffID = sha256.New()
	)
	packed, err := compressor(media, io.MultiWriter(&out, digest))
	if err != nil {
		return nil, err
	}
	if err := writeTar(io.MultiWriter(packed, diffID), files); err != nil {
		return nil, err
	}
	if err := packed.Close(); err != nil {
		return nil, fmt.Errorf("compress layer: %w", err)
	}
	return &layer{compressed: out.Bytes(), digest: sum(digest), diffID: sum(diffID), media: media}, nil
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// compressor is tuned for a quick start: the layers travel over loopback only.
func compressor(media types.MediaType, w io.Writer) (io.WriteCloser, error) {
	if media == types.OCILayerZStd {
		z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("start zstd: %w", err)
		}
		return z, nil
	}
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("start gzip: %w", err)
	}
	return z, nil
}

// stamp is the time of every file, so that digests depend on contents only.
func stamp() time.Time { return time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC) }

func writeTar(w io.Writer, files []file) error {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	out := tar.NewWriter(w)
	seen := map[string]bool{".": true}
	for _, f := range files {
		if err := writeDirs(out, path.Dir(f.path), seen); err != nil {
			return err
		}
		if err := writeFile(out, f); err != nil {
			return fmt.Errorf("pack %s: %w", f.path, err)
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("finish layer: %w", err)
	}
	return nil
}

// writeDirs writes the directories above a file, each once, parents first.
func writeDirs(out *tar.Writer, dir string, seen map[string]bool) error {
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	if err := writeDirs(out, path.Dir(dir), seen); err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: stamp()}
	if err := out.WriteHeader(header); err != nil {
		return fmt.Errorf("pack directory %s: %w", dir, err)
	}
	return nil
}

func writeFile(out *tar.Writer, f file) (err error) {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: f.path, Mode: 0o644, ModTime: stamp(), Size: int64(len(f.body))}
	if f.exec {
		header.Mode = 0o755
	}
	if f.link != "" {
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.link, 0o777
		return out.WriteHeader(header)
	}
	if f.disk == "" {
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		_, err := io.WriteString(out, f.body)
		return err
	}
	source, err := os.Open(f.disk)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	header.Size = info.Size()
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	// A file that grows meanwhile must not spoil the archive.
	_, err = io.CopyN(out, source, header.Size)
	return err
}
