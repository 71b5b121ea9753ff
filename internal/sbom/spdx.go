package sbom

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// writeSPDX writes SPDX 2.3 as JSON.
func writeSPDX(w io.Writer, doc inventory.SBOM) error {
	at := created(doc)
	if at.IsZero() {
		at = time.Unix(0, 0).UTC() // the field must be there; the epoch says that nobody knows
	}
	out := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: orUnknown(doc.Reference), DocumentNamespace: "urn:uuid:" + uuidOf(doc),
		CreationInfo: &spdx.CreationInfo{Created: at.Format(time.RFC3339), Creators: []common.Creator{{CreatorType: "Tool", Creator: "tallyman"}}},
	}
	image := &spdx.Package{
		PackageName: orUnknown(doc.Reference), PackageSPDXIdentifier: "Image", PackageVersion: doc.Digest, PackageDownloadLocation: "NOASSERTION",
		PrimaryPackagePurpose: "CONTAINER", PackageLicenseDeclared: "NOASSERTION", PackageLicenseConcluded: "NOASSERTION", PackageCopyrightText: "NOASSERTION",
	}
	out.Packages = append(out.Packages, image)
	out.Relationships = append(out.Relationships, relation("DOCUMENT", "DESCRIBES", "Image"))
	refs := map[string]string{}
	for i, p := range doc.Packages {
		id := "Package-" + strconv.Itoa(i)
		out.Packages = append(out.Packages, spdxPackage(id, p, at, refs))
		out.Relationships = append(out.Relationships, relation("Image", "CONTAINS", id))
	}
	for ref, text := range refs {
		out.OtherLicenses = append(out.OtherLicenses, &spdx.OtherLicense{LicenseIdentifier: ref, ExtractedText: text, LicenseName: text})
	}
	sort.Slice(out.OtherLicenses, func(i, j int) bool {
		return out.OtherLicenses[i].LicenseIdentifier < out.OtherLicenses[j].LicenseIdentifier
	})
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("write SPDX: %w", err)
	}
	return nil
}

func relation(a, kind, b string) *spdx.Relationship {
	return &spdx.Relationship{RefA: common.DocElementID{ElementRefID: common.ElementID(a)}, RefB: common.DocElementID{ElementRefID: common.ElementID(b)}, Relationship: kind}
}

func spdxPackage(id string, p inventory.Placed, at time.Time, refs map[string]string) *spdx.Package {
	out := &spdx.Package{
		PackageName: p.Name, PackageSPDXIdentifier: common.ElementID(id), PackageVersion: p.Version, PackageDownloadLocation: "NOASSERTION",
		PackageLicenseConcluded: "NOASSERTION", PackageLicenseDeclared: declared(p.Licenses, refs), PackageCopyrightText: "NOASSERTION",
		PackageExternalReferences: []*spdx.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: p.PURL}},
	}
	if p.SourceName != "" {
		out.PackageSourceInfo = strings.TrimSpace("built from source package " + p.SourceName + " " + p.SourceVersion)
	}
	note := func(key, value string) {
		if value != "" {
			out.Annotations = append(out.Annotations, spdx.Annotation{
				Annotator: common.Annotator{AnnotatorType: "Tool", Annotator: "tallyman"}, AnnotationDate: at.Format(time.RFC3339), AnnotationType: "OTHER",
				AnnotationComment: key + "=" + value,
			})
		}
	}
	note("tallyman:layer", strconv.Itoa(p.Layer))
	note("tallyman:layer_diff_id", p.LayerDiffID)
	for _, l := range p.Locations {
		note("tallyman:location", l)
	}
	note("tallyman:owned_by", p.OwnedBy)
	if p.Declared {
		note("tallyman:declared", "true")
	}
	return out
}

// declared joins licences; what SPDX does not know becomes a reference to its text.
func declared(in []string, refs map[string]string) string {
	var parts []string
	for _, l := range in {
		e, ok := expression(l)
		if !ok {
			e = licenseRef(l)
			refs[e] = l
		} else if len(in) > 1 && strings.Contains(e, " ") {
			e = "(" + e + ")"
		}
		parts = append(parts, e)
	}
	if len(parts) == 0 {
		return "NOASSERTION"
	}
	return strings.Join(parts, " AND ")
}
