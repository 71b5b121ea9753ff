package inventory

import "time"

// What a manifest turned out to be.
const (
	ImageKind       = "image"
	IndexKind       = "index"
	AttestationKind = "attestation" // platform unknown/unknown, or attached by referrer
	ArtifactKind    = "artifact"    // an OCI artifact that is no image
)

// Image is one manifest: a platform image, or an index of them.
type Image struct {
	Digest    string         `json:"digest"`
	MediaType string         `json:"media_type"`
	Kind      string         `json:"kind"`
	Size      int64          `json:"size"`               // compressed bytes, config and layers
	Platform  string         `json:"platform,omitempty"` // "linux/arm64/v8"
	State     string         `json:"state"`
	Problem   string         `json:"problem,omitempty"`
	Retry     bool           `json:"-"` // the problem may pass: look again at the next reconcile
	Indexer   int            `json:"indexer"`
	ChainID   string         `json:"chain_id,omitempty"`
	Created   *time.Time     `json:"created,omitempty"`
	Distro    Distro         `json:"distro"`
	Config    Config         `json:"config"`
	Layers    []ImageLayer   `json:"layers"`
	Origin    Origin         `json:"origin"`
	Members   []IndexMember  `json:"members"` // of an index
	Problems  []LayerProblem `json:"problems"`
	// Attached are the digests of SBOMs and provenance found beside the image.
	Attached []Attached `json:"attached"`
	// Voucher is the token under which a far watcher saved it; empty = this server.
	Voucher string `json:"-"`
}

// IndexMember is one entry of an index.
type IndexMember struct {
	Digest   string `json:"digest"`
	Kind     string `json:"kind"`
	Platform string `json:"platform,omitempty"`
}

// Attached is a document found beside an image: an attestation or an SBOM.
type Attached struct {
	Digest        string      `json:"digest"`
	PredicateType string      `json:"predicate_type"`
	SBOM          *Comparison `json:"sbom,omitempty"` // of a bill of materials that was read
}

// Comparison holds somebody else's bill of materials beside our own inventory. The
// lists hold purls, in order, without qualifiers, and are cut off after 200; the
// numbers are not.
type Comparison struct {
	Packages   int      `json:"packages"` // that it names
	Both       int      `json:"both"`
	OnlyThere  int      `json:"only_there"`
	OnlyHere   int      `json:"only_here"`
	ThereNames []string `json:"there_names"`
	HereNames  []string `json:"here_names"`
}

// Distro is what os-release says.
type Distro struct {
	ID      string `json:"id,omitempty"`
	Version string `json:"version,omitempty"`
	Name    string `json:"name,omitempty"`     // PRETTY_NAME
	IDLike  string `json:"id_like,omitempty"`  // ID_LIKE
	CPEName string `json:"cpe_name,omitempty"` // CPE_NAME, tells Red Hat's variants apart
}

// Config is the image's run configuration, values of environment variables redacted.
type Config struct {
	User       string            `json:"user,omitempty"`
	Env        []string          `json:"env"` // NAME=<redacted> unless the integration allows values
	Entrypoint []string          `json:"entrypoint"`
	Cmd        []string          `json:"cmd"`
	WorkingDir string            `json:"working_dir,omitempty"`
	Ports      []string          `json:"ports"`
	Volumes    []string          `json:"volumes"`
	Labels     map[string]string `json:"labels"`
	History    []History         `json:"history"`
}

// History is one build instruction, secrets redacted.
type History struct {
	CreatedBy  string     `json:"created_by"`
	Created    *time.Time `json:"created,omitempty"`
	EmptyLayer bool       `json:"empty_layer,omitempty"`
}

// ImageLayer is one layer in its place in an image.
type ImageLayer struct {
	Index     int    `json:"index"`
	DiffID    string `json:"diff_id"`
	Digest    string `json:"digest"` // compressed
	Size      int64  `json:"size"`   // compressed bytes
	MediaType string `json:"media_type,omitempty"`
	CreatedBy string `json:"created_by"`
	Base      bool   `json:"base"`
	ChainID   string `json:"chain_id,omitempty"`
}

// LayerProblem is something that could not be read; the rest of the layer is kept.
type LayerProblem struct {
	Layer   int    `json:"layer"` // -1 = the image as a whole
	Path    string `json:"path,omitempty"`
	Problem string `json:"problem"`
}

// Origin is where an image came from, as far as labels and provenance say.
type Origin struct {
	Source     string     `json:"source,omitempty"` // repository URL
	Revision   string     `json:"revision,omitempty"`
	Created    *time.Time `json:"created,omitempty"`
	Builder    string     `json:"builder,omitempty"`
	Dockerfile string     `json:"dockerfile,omitempty"` // its name
	// Instructions are the Dockerfile itself, where provenance brings it, redacted.
	Instructions string `json:"instructions,omitempty"`
	BaseName     string `json:"base_name,omitempty"`
	BaseDigest   string `json:"base_digest,omitempty"`
	Evidence     string `json:"evidence,omitempty"` // "label", "provenance"
}

// Base is a known image whose layers are a proper prefix of another's.
type Base struct {
	Reference string `json:"reference,omitempty"`
	Digest    string `json:"digest,omitempty"`
	Layers    int    `json:"layers"`
	ChainID   string `json:"-"`
}

// SBOM is an image's bill of materials, as `sbom --format json` prints it.
type SBOM struct {
	Reference string         `json:"reference"`
	Digest    string         `json:"digest"`
	Platform  string         `json:"platform,omitempty"`
	Distro    Distro         `json:"distro"`
	Layers    []ImageLayer   `json:"layers"`
	Base      []Base         `json:"base"`
	Origin    Origin         `json:"origin"`
	Packages  []Placed       `json:"packages"`
	Problems  []LayerProblem `json:"problems"`
	Attached  []Attached     `json:"attached"` // what others attached, beside ours
}
