package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Manifest is a parsed manifest or index.
type Manifest struct {
	Digest       string
	MediaType    string
	Kind         string // inventory.ImageKind, IndexKind, AttestationKind or ArtifactKind
	Reason       string // why an artifact is not an image, for people
	Raw          []byte
	Config       Descriptor
	Layers       []Descriptor
	Members      []Descriptor // of an index
	ArtifactType string
	Annotations  map[string]string
}

// maxLayers and maxMembers bound what one manifest may ask for.
const (
	maxLayers  = 1024
	maxMembers = 1024
)

type rawManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *Descriptor       `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Manifests     []Descriptor      `json:"manifests"`
	Annotations   map[string]string `json:"annotations"`
	FSLayers      json.RawMessage   `json:"fsLayers"`
	Blobs         json.RawMessage   `json:"blobs"`
}

// ParseManifest reads a manifest. contentType is what the server called it and
// decides only where the document itself does not say.
func ParseManifest(raw []byte, contentType string) (Manifest, error) {
	m := Manifest{Digest: Digest(raw), Raw: raw}
	var r rawManifest
	if err := json.Unmarshal(raw, &r); err != nil {
		return m, inventory.Errorf(inventory.ErrInvalid, "manifest %s is not JSON: %w", m.Digest, err)
	}
	if r.SchemaVersion == 1 || len(r.FSLayers) > 0 {
		return m, inventory.Errorf(inventory.ErrUnsupported, "manifest %s has Docker schema 1, which has no verifiable layers", m.Digest).
			WithRemedy("push the image again with a current client")
	}
	m.MediaType, m.ArtifactType, m.Annotations = r.MediaType, r.ArtifactType, r.Annotations
	if m.MediaType == "" {
		m.MediaType, _, _ = strings.Cut(contentType, ";")
		m.MediaType = strings.TrimSpace(m.MediaType)
	}
	if len(r.Layers) > maxLayers || len(r.Manifests) > maxMembers {
		return m, inventory.Errorf(inventory.ErrInvalid, "manifest %s has %d layers and %d members; at most %d and %d are read",
			m.Digest, len(r.Layers), len(r.Manifests), maxLayers, maxMembers)
	}
	return m, m.classify(r)
}

func (m *Manifest) classify(r rawManifest) error {
	isIndex := m.MediaType == MediaOCIIndex || m.MediaType == MediaDockerList || r.Config == nil && r.Manifests != nil
	if isIndex {
		m.Kind, m.Members = inventory.IndexKind, r.Manifests
		if m.MediaType == "" || m.MediaType == "application/json" {
			m.MediaType = MediaOCIIndex
		}
		return checkDescriptors(m.Digest, m.Members)
	}
	if r.Config == nil {
		m.Kind = inventory.ArtifactKind
		kind := m.ArtifactType
		if kind == "" {
			kind = m.MediaType
		}
		m.Reason = "not a container image: a manifest without a config (" + known(kind) + ")"
		return nil
	}
	m.Config, m.Layers = *r.Config, r.Layers
	if m.MediaType == "" || m.MediaType == "application/json" {
		m.MediaType = MediaOCIManifest
		if m.Config.MediaType == MediaDockerConfig {
			m.MediaType = MediaDockerManifest
		}
	}
	m.Kind = inventory.ImageKind
	if reason := m.notAnImage(); reason != "" {
		m.Kind, m.Reason = inventory.ArtifactKind, reason
		if m.isAttestation() {
			m.Kind = inventory.AttestationKind
		}
	}
	return checkDescriptors(m.Digest, append([]Descriptor{m.Config}, m.Layers...))
}

// notAnImage says why a manifest with a config is no image; "" = it is one.
func (m *Manifest) notAnImage() string {
	switch m.Config.MediaType {
	case MediaOCIConfig, MediaDockerConfig, "application/octet-stream", "":
	default:
		return "not a container image: an OCI artifact of type " + known(m.Config.MediaType)
	}
	if m.ArtifactType != "" && m.ArtifactType != MediaOCIConfig {
		return "not a container image: an OCI artifact of type " + known(m.ArtifactType)
	}
	if m.isAttestation() {
		return "not a container image: attestations about one"
	}
	for _, l := range m.Layers {
		if !isLayerType(l.MediaType) {
			return "not a container image: it holds " + known(l.MediaType)
		}
	}
	return ""
}

func (m *Manifest) isAttestation() bool {
	for _, l := range m.Layers {
		if !IsStatement(l.MediaType) {
			return false
		}
	}
	return len(m.Layers) > 0
}

// isLayerType accepts every spelling of a file system layer, foreign ones too.
func isLayerType(mt string) bool {
	return mt == "" || strings.HasPrefix(mt, "application/vnd.docker.image.rootfs.") ||
		strings.HasPrefix(mt, "application/vnd.oci.image.layer.")
}

// Foreign says whether a layer may lie outside the registry, under urls that are
// never followed.
func (d Descriptor) Foreign() bool {
	return strings.Contains(d.MediaType, "rootfs.foreign.") || strings.Contains(d.MediaType, ".nondistributable.")
}

// IsAttestationMember says whether an index entry is an attestation manifest.
func (d Descriptor) IsAttestationMember() bool {
	if d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
		return true
	}
	return d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}

func checkDescriptors(manifest string, ds []Descriptor) error {
	for _, d := range ds {
		if !IsDigest(d.Digest) {
			return inventory.Errorf(inventory.ErrUnsupported, "manifest %s names content by %q; only sha256 digests are read", manifest, clip(d.Digest, 100))
		}
		if d.Size < 0 {
			return inventory.Errorf(inventory.ErrInvalid, "manifest %s gives %s a negative size", manifest, d.Digest)
		}
	}
	return nil
}

// Digest is the sha256 digest of b.
func Digest(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

func known(s string) string {
	if s == "" {
		return "an unknown type"
	}
	return clip(s, 120)
}

// clip shortens hostile text for a sentence.
func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
