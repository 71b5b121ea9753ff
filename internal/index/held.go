package index

import (
	"cmp"
	"encoding/hex"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// fileKey is content at a path.
type fileKey struct {
	path string
	sum  [32]byte
}

// held is every file that was read and is still there, with its size.
func (s *state) held() map[fileKey]int64 {
	out := make(map[fileKey]int64, len(s.files))
	for path, f := range s.files {
		if f.Reader == nixReader {
			continue // a directory
		}
		out[fileKey{path, f.SHA256}] = f.Size
	}
	return out
}

// fileDifference is what a has and b has not, by path.
func fileDifference(a, b map[fileKey]int64) []inventory.File {
	var out []inventory.File
	for k, size := range a {
		if _, ok := b[k]; !ok {
			out = append(out, inventory.File{Path: k.path, SHA256: hex.EncodeToString(k.sum[:]), Size: size})
		}
	}
	slices.SortFunc(out, func(a, b inventory.File) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.SHA256, b.SHA256))
	})
	return out
}
