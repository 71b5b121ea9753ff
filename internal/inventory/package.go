package inventory

// Package is a package version, once for the whole world: its identity is PURL,
// which carries the distribution (distro=debian-12) where it has one.
type Package struct {
	PURL          string   `json:"purl"`
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Ecosystem     string   `json:"ecosystem"` // OSV's, with its release: "Debian:12", "npm"; "" where OSV has none
	SourceName    string   `json:"source_name,omitempty"`
	SourceVersion string   `json:"source_version,omitempty"`
	Arch          string   `json:"arch,omitempty"`
	Licenses      []string `json:"licenses"`
}

// Placed is a package in its place in an image.
type Placed struct {
	Package
	Layer       int      `json:"layer"` // index of the layer that introduced it
	LayerDiffID string   `json:"layer_diff_id"`
	Locations   []string `json:"locations"`
	OwnedBy     string   `json:"owned_by,omitempty"` // purl of the distribution package that owns its files
	Declared    bool     `json:"declared,omitempty"` // named by a lock file, not found installed
}

// Occurrence is one package at one location: the unit of a chain's difference.
type Occurrence struct {
	Package
	Location string `json:"location,omitempty"`
	OwnedBy  string `json:"owned_by,omitempty"`
	Declared bool   `json:"declared,omitempty"`
}

// LayerRecord is what one pass over a layer found. Body is the index stage's own
// encoding; the ledger keeps it and gives it back, and never looks inside.
type LayerRecord struct {
	DiffID  string `json:"diff_id"`
	Digest  string `json:"digest"`  // compressed digest that was verified to hold DiffID
	Size    int64  `json:"size"`    // compressed bytes read
	Indexer int    `json:"indexer"` // version of the indexer that made Body
	Body    []byte `json:"body"`
	Voucher string `json:"-"` // the token under which a far watcher saved it; empty = this server
	Holder  string `json:"-"` // who must hold the lease on it; empty = nobody
}

// ChainRecord is a stack of layers and how it differs from its parent.
type ChainRecord struct {
	ChainID string       `json:"chain_id"`         // OCI chain ID
	Parent  string       `json:"parent,omitempty"` // "" for the first layer
	DiffID  string       `json:"diff_id"`
	Depth   int          `json:"depth"` // 0 for the first layer
	Indexer int          `json:"indexer"`
	Added   []Occurrence `json:"added"`
	Removed []Occurrence `json:"removed"` // Files that were read and that the stack has, or has no more, against its parent. The
	// same content at two places is two of them.
	Files     []File `json:"files"`
	FilesGone []File `json:"files_gone"`
}
