package e2e

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// tree is what a directory holds: path below it, and what its entry is.
func tree(t *testing.T, root string) map[string]fs.FileInfo {
	t.Helper()
	found := map[string]fs.FileInfo{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		found[rel] = info
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// same says that an entry did not change: a builder compares no more than this.
func same(a, b fs.FileInfo) bool {
	return a != nil && a.Mode() == b.Mode() && (a.IsDir() || a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()))
}

// diffLayer writes the layer that turns lower into upper: what was added or
// changed, and a whiteout for what went. An empty lower is an empty file system.
func diffLayer(t *testing.T, file, lower, upper string) v1.Layer {
	t.Helper()
	before := map[string]fs.FileInfo{}
	if lower != "" {
		before = tree(t, lower)
	}
	after := tree(t, upper)
	paths := make([]string, 0, len(after))
	for path := range after {
		paths = append(paths, path)
	}
	for path := range before {
		// Only the topmost of what went: its whiteout covers the rest.
		if parent := filepath.Dir(path); after[path] == nil && (parent == "." || after[parent] != nil) {
			paths = append(paths, path)
		}
	}
	sort.Strings(paths)
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	packed, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := &layerWriter{Writer: tar.NewWriter(packed), root: upper, inodes: map[uint64]string{}}
	for _, path := range paths {
		switch info := after[path]; {
		case info == nil:
			err = w.whiteout(path)
		case !same(before[path], info):
			err = w.entry(path, info)
		}
		if err != nil {
			t.Fatalf("pack %s: %v", path, err)
		}
	}
	for _, c := range []io.Closer{w, packed} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return openLayer(t, file)
}

// openLayer reads a layer back from a file, compressed or not.
func openLayer(t *testing.T, file string) v1.Layer {
	t.Helper()
	layer, err := tarball.LayerFromFile(file, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// layerWriter writes entries of a directory to a tar file, hard links as such.
type layerWriter struct {
	*tar.Writer
	root   string
	inodes map[uint64]string
}

func (w *layerWriter) whiteout(path string) error {
	name := filepath.Join(filepath.Dir(path), ".wh."+filepath.Base(path))
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600})
}

func (w *layerWriter) entry(path string, info fs.FileInfo) error {
	if info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return nil
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if link, err = os.Readlink(filepath.Join(w.root, path)); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	header.Name = path
	if info.IsDir() {
		header.Name += "/"
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() && stat.Nlink > 1 {
		if first := w.inodes[stat.Ino]; first != "" {
			header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
			return w.WriteHeader(header)
		}
		w.inodes[stat.Ino] = path
	}
	if err := w.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := os.Open(filepath.Join(w.root, path))
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}
