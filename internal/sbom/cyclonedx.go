package sbom

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// writeCycloneDX writes CycloneDX 1.6. Its serial number and time come from the
// image, so that the same image gives the same bytes.
func writeCycloneDX(w io.Writer, doc inventory.SBOM) error {
	bom := cdx.NewBOM()
	bom.SerialNumber = "urn:uuid:" + uuidOf(doc)
	bom.Metadata = &cdx.Metadata{
		Component: &cdx.Component{
			BOMRef: doc.Digest, Type: cdx.ComponentTypeContainer, Name: orUnknown(doc.Reference), Version: doc.Digest,
			Properties: properties("tallyman:platform", doc.Platform, "tallyman:source", doc.Origin.Source, "tallyman:revision", doc.Origin.Revision),
		},
		Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "tallyman"}}},
	}
	if t := created(doc); !t.IsZero() {
		bom.Metadata.Timestamp = t.Format(time.RFC3339)
	}
	components := []cdx.Component{}
	if doc.Distro.ID != "" {
		components = append(components, cdx.Component{BOMRef: "os:" + doc.Distro.ID, Type: cdx.ComponentTypeOS, Name: doc.Distro.ID, Version: doc.Distro.Version, Description: doc.Distro.Name})
	}
	used := map[string]int{}
	for _, p := range doc.Packages {
		components = append(components, component(p, used))
	}
	bom.Components = &components
	enc := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON)
	enc.SetPretty(true)
	enc.SetEscapeHTML(false)
	if err := enc.EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return fmt.Errorf("write CycloneDX: %w", err)
	}
	return nil
}

// component writes one package. A package that lies in two layers is two
// components; references must differ.
func component(p inventory.Placed, used map[string]int) cdx.Component {
	ref := p.PURL
	used[p.PURL]++
	if n := used[p.PURL]; n > 1 {
		ref += "#" + strconv.Itoa(n)
	}
	c := cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: p.Name, Version: p.Version, PackageURL: p.PURL, Licenses: cdxLicenses(p.Licenses)}
	if group, artifact, ok := strings.Cut(p.Name, ":"); ok && strings.HasPrefix(p.PURL, "pkg:maven/") {
		c.Group, c.Name = group, artifact
	}
	if p.Declared {
		c.Scope = cdx.ScopeOptional
	}
	pairs := []string{"tallyman:layer", strconv.Itoa(p.Layer), "tallyman:layer_diff_id", p.LayerDiffID}
	for _, l := range p.Locations {
		pairs = append(pairs, "tallyman:location", l)
	}
	pairs = append(pairs, "tallyman:ecosystem", p.Ecosystem, "tallyman:source_name", p.SourceName, "tallyman:source_version", p.SourceVersion, "tallyman:owned_by", p.OwnedBy)
	if p.Declared {
		pairs = append(pairs, "tallyman:declared", "true")
	}
	c.Properties = properties(pairs...)
	return c
}

// properties leaves out what is empty.
func properties(pairs ...string) *[]cdx.Property {
	var out []cdx.Property
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, cdx.Property{Name: pairs[i], Value: pairs[i+1]})
		}
	}
	if len(out) == 0 {
		return nil
	}
	return &out
}

func cdxLicenses(in []string) *cdx.Licenses {
	if len(in) == 0 {
		return nil
	}
	if len(in) == 1 {
		if e, ok := expression(in[0]); ok && strings.Contains(e, " ") {
			return &cdx.Licenses{{Expression: e}}
		}
	}
	out := cdx.Licenses{}
	for _, l := range in {
		if e, ok := expression(l); ok && !strings.ContainsAny(e, " +") {
			out = append(out, cdx.LicenseChoice{License: &cdx.License{ID: e}})
		} else {
			out = append(out, cdx.LicenseChoice{License: &cdx.License{Name: l}})
		}
	}
	return &out
}

// uuidOf is a UUID (version 8) made of what identifies the document.
func uuidOf(doc inventory.SBOM) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", doc.Reference, doc.Digest, doc.Platform)
	for _, p := range doc.Packages {
		fmt.Fprintf(h, "%s %d %s\n", p.PURL, p.Layer, p.Locations)
	}
	s := h.Sum(nil)
	s[6], s[8] = s[6]&0x0f|0x80, s[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", s[0:4], s[4:6], s[6:8], s[8:10], s[10:16])
}

// created is the time that the image names; the time of writing would change the
// bytes of the same image.
func created(doc inventory.SBOM) time.Time {
	if doc.Origin.Created != nil {
		return doc.Origin.Created.UTC().Truncate(time.Second)
	}
	return time.Time{}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
