package artifactorytest

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Media types of manifests.
const (
	mediaDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	mediaOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	mediaOCIIndex       = "application/vnd.oci.image.index.v1+json"
)

// maxManifest bounds a manifest, as registries do.
const maxManifest = 4 << 20

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Platform     *platform         `json:"platform,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// manifest is what we read of an image manifest or an index.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *descriptor       `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Manifests     []descriptor      `json:"manifests"`
	Subject       *descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`

	labels map[string]string // of the image's config, when it was known at the push
}

var errManifest = errors.New("manifest invalid")

// parseManifest reads a manifest pushed with the given content type.
func parseManifest(raw []byte, contentType string) (*manifest, error) {
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", errManifest, err)
	}
	if m.SchemaVersion != 2 {
		return nil, fmt.Errorf("%w: schema version %d", errManifest, m.SchemaVersion)
	}
	if contentType != "" {
		m.MediaType = contentType
	}
	if m.MediaType == "" {
		m.MediaType = mediaOCIManifest
		if m.Manifests != nil {
			m.MediaType = mediaOCIIndex
		}
	}
	switch m.MediaType {
	case mediaDockerList, mediaOCIIndex:
	case mediaDockerManifest, mediaOCIManifest:
		if m.Config == nil {
			return nil, fmt.Errorf("%w: no config", errManifest)
		}
	default:
		return nil, fmt.Errorf("%w: media type %q", errManifest, m.MediaType)
	}
	for _, d := range append(m.blobs(), m.Manifests...) {
		if _, ok := hexOf(d.Digest); !ok {
			return nil, fmt.Errorf("%w: digest %q", errManifest, d.Digest)
		}
	}
	return &m, nil
}

func (m *manifest) isIndex() bool {
	return m.MediaType == mediaDockerList || m.MediaType == mediaOCIIndex
}

// fileName is the name Artifactory stores the manifest under.
func (m *manifest) fileName() string {
	if m.isIndex() {
		return listManifestFile
	}
	return manifestFile
}

// blobs returns the config and the layers that should be in the registry.
func (m *manifest) blobs() []descriptor {
	if m.isIndex() {
		return nil
	}
	all := make([]descriptor, 0, len(m.Layers)+1)
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	for _, l := range m.Layers {
		if !isForeign(l.MediaType) {
			all = append(all, l)
		}
	}
	return all
}

// isForeign tells layers that stay at their vendor's.
func isForeign(mediaType string) bool {
	switch mediaType {
	case "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip":
		return true
	}
	return false
}

// readLabels takes the labels from an image's config.
func readLabels(config []byte) map[string]string {
	var c struct {
		Config struct {
			Labels map[string]string `json:"Labels"`
		} `json:"config"`
	}
	if json.Unmarshal(config, &c) != nil {
		return nil // a config of another kind has no labels
	}
	return c.Config.Labels
}
