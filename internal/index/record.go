package index

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// record is what one pass over one layer found. Paths have no leading slash and
// are resolved against the layer's own links.
type record struct {
	Files     []file
	Written   []uint64 // hashes of all paths that became something else than a directory, sorted
	Dirs      []uint64 // hashes of all paths that became a directory, sorted
	Whiteouts []string
	Opaque    []string
	Links     []link // symbolic links that may lead to a directory
	Hard      []link // hard links that an extractor wants, to files of lower layers
	Problems  []problem
}

// file is one file that an extractor read, and what was in it.
type file struct {
	Path   string
	Size   int64
	SHA256 [32]byte
	Reader string // name of the extractor that found the packages
	Pkgs   []pkg
	Owns   []owned
	Text   string // of os-release files
}

// pkg is a package as its metadata names it; distribution and owner are settled
// when layers are squashed.
type pkg struct {
	Type          string // purl type
	Name          string // in full: "group:artifact", "@scope/name"
	Version       string
	Arch          string
	Epoch         int
	SourceName    string
	SourceVersion string
	Licenses      []string
	Declared      bool
	Inside        string // path inside the file, of nested archives
	Extra         string // rpm: modularity label; others: vendor namespace
}

// owned is what a distribution package says belongs to it, as path hashes.
type owned struct {
	Name   string
	Arch   string
	Hashes []uint64
}

type link struct{ Path, Target string }

type problem struct{ Path, Text string }

// pathHash identifies a path. It is cut from SHA-256 so that nobody finds a
// second path for a hash at will.
func pathHash(p string) uint64 {
	s := sha256.Sum256([]byte(p))
	return binary.LittleEndian.Uint64(s[:8])
}

func contains(sorted []uint64, h uint64) bool {
	_, ok := slices.BinarySearch(sorted, h)
	return ok
}

func sortedHashes(in []uint64) []uint64 {
	slices.Sort(in)
	return slices.Compact(in)
}
