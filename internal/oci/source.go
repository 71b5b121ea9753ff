package oci

import (
	"context"
	"io"
	"regexp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Media types that are told apart.
const (
	MediaOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	MediaOCIIndex       = "application/vnd.oci.image.index.v1+json"
	MediaOCIConfig      = "application/vnd.oci.image.config.v1+json"
	MediaDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaDockerConfig   = "application/vnd.docker.container.image.v1+json"
	MediaInToto         = "application/vnd.in-toto+json"
)

// MaxManifest is the largest manifest, config or attestation that is read, in bytes.
const MaxManifest = 8 << 20

// Source is where one repository's manifests and blobs come from. It is safe for
// use by several goroutines.
type Source interface {
	// Manifest reads a manifest or index by tag or digest and verifies its digest.
	// An empty ref is the only image the source has.
	Manifest(ctx context.Context, ref string) (Manifest, error)
	// Blob opens a blob. The stream ends with an error unless exactly d.Size
	// bytes with d.Digest came.
	Blob(ctx context.Context, d Descriptor) (io.ReadCloser, error)
	// Referrers lists what was attached to a digest; none is no error.
	Referrers(ctx context.Context, digest string) ([]Descriptor, error)
}

// Descriptor points to content. The urls of a descriptor are left out on
// purpose: nobody may be sent to them.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"`
}

// Platform is what an image runs on.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
	OSVersion    string `json:"os.version,omitempty"`
}

// String writes "linux/arm64/v8"; empty where nothing is known.
func (p *Platform) String() string {
	if p == nil || p.OS == "" && p.Architecture == "" {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// ReadBlob reads a small blob whole: a config or an attestation.
func ReadBlob(ctx context.Context, src Source, d Descriptor) ([]byte, error) {
	return readBlob(ctx, src, d, MaxManifest)
}

// MaxDocument is the largest attached document that is read, in bytes.
const MaxDocument = 16 << 20

// ReadDocument reads a document that was attached to an image, an SBOM perhaps.
func ReadDocument(ctx context.Context, src Source, d Descriptor) ([]byte, error) {
	return readBlob(ctx, src, d, MaxDocument)
}

func readBlob(ctx context.Context, src Source, d Descriptor, most int64) ([]byte, error) {
	ctx = inventory.WithRequestClass(ctx, inventory.RequestConfig) // its address does not tell it from a layer
	if d.Size > most {
		return nil, inventory.Errorf(inventory.ErrInvalid, "blob %s has %d bytes; at most %d are read here", d.Digest, d.Size, most)
	}
	rc, err := src.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(io.LimitReader(rc, most+1))
}

var (
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	tagForm    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

// IsDigest says whether s is a digest as Tallyman writes them.
func IsDigest(s string) bool { return digestForm.MatchString(s) }
