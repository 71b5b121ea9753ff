package index

import (
	"bytes"
	"context"
	"slices"
	"strings"

	packageurl "github.com/package-url/packageurl-go"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/sbom"
)

// ownPackages is what we found in an image, worked out once an SBOM is there to be
// held beside it.
type ownPackages map[string]bool

// bom holds somebody else's bill of materials beside ours. It is a claim like any
// other: nothing of it becomes a package of the image.
func (x *Indexer) bom(ctx context.Context, img *inventory.Image, raw []byte, a *inventory.Attached, ours *ownPackages) error {
	theirs, err := sbom.Read(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if len(*ours) == 0 {
		if *ours, err = x.own(ctx, img); err != nil {
			return err
		}
	}
	a.SBOM = compare(theirs, *ours)
	return nil
}

// own squashes the image again: its chains may have been known, and then nobody
// has its packages at hand.
func (x *Indexer) own(ctx context.Context, img *inventory.Image) (ownPackages, error) {
	recs, err := x.records(ctx, img.Layers, nil)
	if err != nil {
		return nil, err
	}
	stack := newState()
	for _, l := range img.Layers {
		stack.apply(recs[l.DiffID])
	}
	out := ownPackages{}
	for _, o := range stack.occurrences() {
		out[plainPURL(o.PURL)] = true
	}
	return out, nil
}

// maxNamed bounds the names that are kept of what only one side has.
const maxNamed = 200

func compare(theirs []inventory.Package, ours ownPackages) *inventory.Comparison {
	c := &inventory.Comparison{ThereNames: []string{}, HereNames: []string{}}
	there := map[string]bool{}
	for _, p := range theirs {
		id := plainPURL(p.PURL)
		if there[id] || strings.HasPrefix(id, "pkg:oci/") || strings.HasPrefix(id, "pkg:docker/") {
			continue // the image itself is no package in it
		}
		there[id] = true
		if ours[id] {
			c.Both++
		} else {
			c.ThereNames = append(c.ThereNames, id)
		}
	}
	for id := range ours {
		if !there[id] {
			c.HereNames = append(c.HereNames, id)
		}
	}
	c.Packages, c.OnlyThere, c.OnlyHere = len(there), len(c.ThereNames), len(c.HereNames)
	c.ThereNames, c.HereNames = firstNames(c.ThereNames), firstNames(c.HereNames)
	return c
}

func firstNames(names []string) []string {
	slices.Sort(names)
	return slices.Clone(names[:min(len(names), maxNamed)])
}

// plainPURL is a purl as two tools would agree on it: without qualifiers, without
// a distribution's many names, and versions of Go with their v.
func plainPURL(s string) string {
	p, err := packageurl.FromString(s)
	if err != nil {
		return clipText(s, 300)
	}
	p.Qualifiers, p.Subpath = nil, ""
	switch p.Type {
	case "deb", "rpm", "apk", "alpm":
		p.Namespace = ""
	case "golang":
		if p.Name != "stdlib" && p.Version != "" && !strings.HasPrefix(p.Version, "v") {
			p.Version = "v" + p.Version
		} else if p.Name == "stdlib" {
			p.Version = strings.TrimPrefix(strings.TrimPrefix(p.Version, "v"), "go")
		}
	}
	return clipText(sameness(p.ToString()), 300)
}
