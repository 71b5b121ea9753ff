package oci

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Statement is an in-toto statement about an image, or what an envelope carries.
type Statement struct {
	PredicateType string          `json:"predicateType"`
	Subject       []Subject       `json:"subject"`
	Predicate     json.RawMessage `json:"predicate"`
}

// Subject is what a statement is about.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// ParseStatement reads an in-toto statement, bare or in a DSSE envelope. Its
// signature is not checked: what it says is a claim.
func ParseStatement(raw []byte) (Statement, error) {
	var s Statement
	var envelope struct {
		Payload string `json:"payload"`
	}
	if json.Unmarshal(raw, &envelope) == nil && envelope.Payload != "" {
		inner, err := base64.StdEncoding.DecodeString(envelope.Payload)
		if err != nil {
			return s, inventory.Errorf(inventory.ErrInvalid, "attestation envelope is not readable: %w", err)
		}
		raw = inner
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, inventory.Errorf(inventory.ErrInvalid, "attestation is not readable: %w", err)
	}
	return s, nil
}

// About says whether the statement names the digest. A statement without any
// subject is about whatever it is attached to.
func (s Statement) About(digest string) bool {
	for _, sub := range s.Subject {
		if "sha256:"+sub.Digest["sha256"] == digest {
			return true
		}
	}
	return len(s.Subject) == 0
}

type material struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest"`
}

// slsa holds what v0.2 and v1 provenance, and BuildKit's forms of them, say of an
// origin.
type slsa struct {
	Builder    struct{ ID string } `json:"builder"`
	Materials  []material          `json:"materials"`
	Invocation struct {
		ConfigSource struct {
			material
			EntryPoint string `json:"entryPoint"`
		} `json:"configSource"`
		Parameters buildParameters `json:"parameters"`
	} `json:"invocation"`
	Metadata struct {
		BuildFinishedOn *time.Time      `json:"buildFinishedOn"`
		BuildKit        json.RawMessage `json:"https://mobyproject.org/buildkit@v1#metadata"`
	} `json:"metadata"`
	BuildDefinition struct {
		ExternalParameters struct {
			ConfigSource struct {
				material
				Path string `json:"path"`
			} `json:"configSource"`
			Request buildParameters `json:"request"`
		} `json:"externalParameters"`
		ResolvedDependencies []material `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder  struct{ ID string } `json:"builder"`
		Metadata struct {
			FinishedOn *time.Time      `json:"finishedOn"`
			BuildKit   json.RawMessage `json:"buildkit_metadata"`
		} `json:"metadata"`
	} `json:"runDetails"`
}

type buildParameters struct {
	Args map[string]string `json:"args"`
}

// Origin reads a SLSA provenance statement (v0.2 or v1). Addresses lose user
// names and secrets; build arguments are not taken over at all.
func (s Statement) Origin() (inventory.Origin, bool) {
	if !IsProvenance(s.PredicateType) {
		return inventory.Origin{}, false
	}
	var p slsa
	if err := json.Unmarshal(s.Predicate, &p); err != nil {
		return inventory.Origin{}, false
	}
	o := inventory.Origin{
		Builder:    cleanURL(firstOf(p.RunDetails.Builder.ID, p.Builder.ID)),
		Dockerfile: RedactText(firstOf(p.BuildDefinition.ExternalParameters.ConfigSource.Path, p.Invocation.ConfigSource.EntryPoint)),
		Created:    p.Metadata.BuildFinishedOn,
		Evidence:   "provenance",
	}
	if o.Created == nil {
		o.Created = p.RunDetails.Metadata.FinishedOn
	}
	p.source(&o)
	p.base(&o)
	o.Instructions = p.instructions()
	return o, true
}

// source fills in where the build's instructions lay: BuildKit's own words on its
// version control first, then the source of the configuration.
func (p slsa) source(o *inventory.Origin) {
	for _, raw := range []json.RawMessage{p.Metadata.BuildKit, p.RunDetails.Metadata.BuildKit} {
		var bk struct {
			VCS struct{ Source, Revision, LocalDir string } `json:"vcs"`
		}
		if json.Unmarshal(raw, &bk) == nil && bk.VCS.Source != "" {
			o.Source, o.Revision = cleanURL(bk.VCS.Source), bk.VCS.Revision
			return
		}
	}
	for _, args := range []map[string]string{p.Invocation.Parameters.Args, p.BuildDefinition.ExternalParameters.Request.Args} {
		if args["vcs:source"] != "" {
			o.Source, o.Revision = cleanURL(args["vcs:source"]), args["vcs:revision"]
			return
		}
	}
	for _, m := range []material{p.BuildDefinition.ExternalParameters.ConfigSource.material, p.Invocation.ConfigSource.material} {
		if m.URI != "" {
			o.Source, o.Revision = cleanURL(m.URI), firstOf(m.Digest["sha1"], m.Digest["gitCommit"], m.Digest["sha256"])
			return
		}
	}
}

// maxInstructions bounds a Dockerfile that is kept, in bytes.
const maxInstructions = 64 << 10

// instructions is the Dockerfile, which BuildKit puts into its fuller provenance.
func (p slsa) instructions() string {
	for _, raw := range []json.RawMessage{p.Metadata.BuildKit, p.RunDetails.Metadata.BuildKit} {
		var bk struct {
			Source struct {
				Infos []struct {
					Language string `json:"language"`
					Data     []byte `json:"data"`
				} `json:"infos"`
			} `json:"source"`
		}
		if json.Unmarshal(raw, &bk) != nil {
			continue
		}
		for _, i := range bk.Source.Infos {
			if text := string(i.Data); text != "" && utf8.ValidString(text) && (i.Language == "" || i.Language == "Dockerfile") {
				return clip(RedactDockerfile(text), maxInstructions)
			}
		}
	}
	return ""
}

// base fills in the base image where the build used exactly one image.
func (p slsa) base(o *inventory.Origin) {
	var images []material
	for _, m := range append(p.Materials, p.BuildDefinition.ResolvedDependencies...) {
		name := strings.TrimPrefix(m.URI, "pkg:docker/")
		// BuildKit's own front ends are materials of nearly every build.
		if name != m.URI && !strings.HasPrefix(name, "docker/dockerfile") && !strings.HasPrefix(name, "docker/buildkit-syft-scanner") {
			images = append(images, material{URI: name, Digest: m.Digest})
		}
	}
	if len(images) != 1 {
		return
	}
	ref, _, _ := strings.Cut(images[0].URI, "?")
	name, version, ok := strings.Cut(ref, "@")
	if ok && !strings.HasPrefix(version, "sha256") {
		name += ":" + version
	}
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	o.BaseName = RedactText(name)
	if d := "sha256:" + images[0].Digest["sha256"]; IsDigest(d) {
		o.BaseDigest = d
	}
}

func cleanURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return clip(RedactText(s), 500)
	}
	u.User, u.RawQuery = nil, ""
	return clip(RedactText(u.String()), 500)
}

func firstOf(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

// SBOM is the bill of materials that a statement carries; nil where it carries
// none. Old signers put the document into a string.
func (s Statement) SBOM() []byte {
	if !IsSBOM(s.PredicateType) {
		return nil
	}
	var wrapped struct{ Data json.RawMessage }
	if json.Unmarshal(s.Predicate, &wrapped) == nil && len(wrapped.Data) > 0 {
		var text string
		if json.Unmarshal(wrapped.Data, &text) == nil {
			return []byte(text)
		}
		return wrapped.Data
	}
	return s.Predicate
}

// IsSBOM says whether a predicate type or a media type is that of a bill of
// materials in CycloneDX or SPDX 2.
func IsSBOM(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	switch strings.TrimSpace(kind) {
	case "https://spdx.dev/Document", "https://cyclonedx.org/bom", "application/spdx+json", "text/spdx", "text/spdx+json",
		"application/vnd.cyclonedx+json", "application/vnd.cyclonedx+xml", "application/vnd.cyclonedx":
		return true
	}
	return strings.HasPrefix(kind, "https://spdx.dev/Document/") || strings.HasPrefix(kind, "https://cyclonedx.org/bom/")
}

// IsStatement says whether a blob is an in-toto statement, bare or in an envelope.
func IsStatement(mediaType string) bool {
	return mediaType == MediaInToto || mediaType == "application/vnd.dsse.envelope.v1+json"
}

// IsProvenance says whether a predicate type is one that Origin reads.
func IsProvenance(predicateType string) bool {
	return strings.HasPrefix(predicateType, "https://slsa.dev/provenance/")
}
