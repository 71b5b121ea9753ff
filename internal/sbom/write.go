package sbom

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Formats are what Write takes.
func Formats() []string { return []string{"list", "json", "cyclonedx", "spdx"} }

// Of puts an image and its packages together as a bill of materials.
func Of(reference string, img inventory.Image, packages []inventory.Placed, bases []inventory.Base) inventory.SBOM {
	doc := inventory.SBOM{
		Reference: reference, Digest: img.Digest, Platform: img.Platform, Distro: img.Distro, Origin: img.Origin,
		Layers: img.Layers, Base: bases, Packages: packages, Problems: img.Problems, Attached: img.Attached,
	}
	return complete(doc)
}

// complete keeps arrays from being null.
func complete(doc inventory.SBOM) inventory.SBOM {
	if doc.Layers == nil {
		doc.Layers = []inventory.ImageLayer{}
	}
	if doc.Base == nil {
		doc.Base = []inventory.Base{}
	}
	if doc.Packages == nil {
		doc.Packages = []inventory.Placed{}
	}
	if doc.Problems == nil {
		doc.Problems = []inventory.LayerProblem{}
	}
	if doc.Attached == nil {
		doc.Attached = []inventory.Attached{}
	}
	return doc
}

// Write writes a bill of materials in one of Formats.
func Write(w io.Writer, doc inventory.SBOM, format string) error {
	doc = complete(doc)
	switch format {
	case "list", "":
		return writeList(w, doc)
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(doc)
	case "cyclonedx":
		return writeCycloneDX(w, doc)
	case "spdx":
		return writeSPDX(w, doc)
	}
	return inventory.Errorf(inventory.ErrInvalid, "%q is no format of a bill of materials", format).
		WithRemedy("use one of %s", strings.Join(Formats(), ", "))
}

func writeList(w io.Writer, doc inventory.SBOM) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVERSION\tTYPE\tLAYER\tLOCATION")
	for _, p := range doc.Packages {
		kind, _, _ := strings.Cut(strings.TrimPrefix(p.PURL, "pkg:"), "/")
		where := ""
		if len(p.Locations) > 0 {
			where = p.Locations[0]
		}
		if len(p.Locations) > 1 {
			where += fmt.Sprintf(" (+%d)", len(p.Locations)-1)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", inventory.Printable(p.Name), inventory.Printable(p.Version), inventory.Printable(kind), p.Layer, inventory.Printable(where))
	}
	return t.Flush()
}
