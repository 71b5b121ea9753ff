package demo

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// platform is one member of an index.
type platform struct {
	arch  string
	image v1.Image
}

// index joins images of several platforms.
func (b *baker) index(media types.MediaType, members ...platform) v1.ImageIndex {
	if b.err != nil {
		return nil
	}
	made := mutate.IndexMediaType(empty.Index, media)
	for _, m := range members {
		made = mutate.AppendManifests(made, mutate.IndexAddendum{
			Add:        m.image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: m.arch}},
		})
	}
	return made
}

// attested joins images of several platforms and puts beside each the provenance
// that BuildKit writes.
func (b *baker) attested(p project, revision string, members ...platform) v1.ImageIndex {
	made := b.index(types.OCIImageIndex, members...)
	if b.err != nil {
		return nil
	}
	for _, m := range members {
		digest, err := m.image.Digest()
		if err != nil {
			b.keep(fmt.Errorf("digest of a member: %w", err))
			return nil
		}
		attestation, err := provenance(p, revision, m.arch, digest)
		if err != nil {
			b.keep(err)
			return nil
		}
		made = mutate.AppendManifests(made, mutate.IndexAddendum{
			Add: attestation,
			Descriptor: v1.Descriptor{
				Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
				Annotations: map[string]string{
					"vnd.docker.reference.type":   "attestation-manifest",
					"vnd.docker.reference.digest": digest.String(),
				},
			},
		})
	}
	return made
}

// provenance is an attestation manifest with one in-toto statement: SLSA
// provenance v0.2 in the form that BuildKit writes with mode=max.
func provenance(p project, revision, arch string, subject v1.Hash) (v1.Image, error) {
	body, err := json.Marshal(statement(p, revision, arch, subject))
	if err != nil {
		return nil, fmt.Errorf("write provenance of %s: %w", p.name, err)
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img, mutate.Addendum{
		Layer:       static.NewLayer(body, "application/vnd.in-toto+json"),
		MediaType:   "application/vnd.in-toto+json",
		Annotations: map[string]string{"in-toto.io/predicate-type": slsa},
	})
	if err != nil {
		return nil, fmt.Errorf("pack provenance of %s: %w", p.name, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read config of provenance of %s: %w", p.name, err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "unknown", "unknown"
	img, err = mutate.ConfigFile(img, config)
	if err != nil {
		return nil, fmt.Errorf("write config of provenance of %s: %w", p.name, err)
	}
	return img, nil
}

const slsa = "https://slsa.dev/provenance/v0.2"

// statement is what BuildKit attests of one platform's image.
func statement(p project, revision, arch string, subject v1.Hash) map[string]any {
	return map[string]any{
		"_type":         "https://in-toto.io/Statement/v0.1",
		"predicateType": slsa,
		"subject": []any{map[string]any{
			"name":   "pkg:docker/" + p.name + "?platform=linux%2F" + arch,
			"digest": map[string]any{"sha256": subject.Hex},
		}},
		"predicate": map[string]any{
			"builder":   map[string]any{"id": "https://ci.example.com/builders/buildkit"},
			"buildType": "https://mobyproject.org/buildkit@v1",
			"materials": []any{map[string]any{
				"uri":    p.source + "#refs/heads/main",
				"digest": map[string]any{"sha1": revision},
			}},
			"invocation": map[string]any{
				"configSource": map[string]any{
					"uri":        p.source + "#refs/heads/main",
					"digest":     map[string]any{"sha1": revision},
					"entryPoint": "Dockerfile",
				},
				"parameters": map[string]any{
					"frontend": "dockerfile.v0",
					"args":     map[string]any{"build-arg:GOPROXY_TOKEN": FakeSecret, "build-arg:VERSION": "1.9.0"},
				},
				"environment": map[string]any{"platform": "linux/" + arch},
			},
			"metadata": map[string]any{
				"buildInvocationID": "demo-" + revision[:12],
				"completeness":      map[string]any{"parameters": true, "environment": true, "materials": false},
				"reproducible":      false,
				"https://mobyproject.org/buildkit@v1#metadata": map[string]any{
					"vcs": map[string]any{"source": p.source, "revision": revision},
				},
			},
		},
	}
}
