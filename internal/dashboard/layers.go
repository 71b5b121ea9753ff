package dashboard

import (
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// layerGroup is the layers that one base brought, or the image's own.
type layerGroup struct {
	Own    bool
	Name   string // of the base; "" when only that it is one is known
	Link   string // to the base's own report
	Only   string // shows this group alone
	Layers []layerRow
}

type layerRow struct {
	inventory.ImageLayer
	Packages int
	Findings int
	Minis    []chip
	Problems []string
	On       bool
	Only     string // shows this layer alone
	Add      string // shows it with those that are chosen; "" when none is
}

// layers is the stack from the first layer on, grouped by who brought it.
func (x reading) layers() (layerRow, []layerGroup) {
	img := x.dossier.Image
	packages, findings := map[int]int{}, map[int][]inventory.Finding{}
	for _, p := range x.dossier.SBOM.Packages {
		packages[p.Layer]++
	}
	for _, one := range x.dossier.Report.Findings {
		findings[one.Layer] = append(findings[one.Layer], one)
	}
	problems := map[int][]string{}
	for _, p := range img.Problems {
		text := p.Problem
		if p.Path != "" {
			text = p.Path + ": " + text
		}
		problems[p.Layer] = append(problems[p.Layer], text)
	}
	all := layerRow{
		Packages: len(x.dossier.SBOM.Packages), Findings: inventory.Count(x.dossier.Report.Findings).Total(),
		On: len(x.f.Layers) == 0, Only: x.linkWith(func(f *reportFilter) { f.Layers = nil }), Problems: problems[-1],
	}
	var groups []layerGroup
	for _, l := range img.Layers {
		all.Size += l.Size
		row := layerRow{
			ImageLayer: l, Packages: packages[l.Index], Minis: minis(inventory.Count(findings[l.Index])),
			Problems: problems[l.Index], On: slices.Contains(x.f.Layers, l.Index),
		}
		row.Only = x.linkWith(func(f *reportFilter) {
			if row.On && len(f.Layers) == 1 {
				f.Layers = nil
				return
			}
			f.Layers = []int{l.Index}
		})
		if len(x.f.Layers) > 0 {
			row.Add = x.linkWith(func(f *reportFilter) {
				f.Layers = toggle(f.Layers, l.Index)
				slices.Sort(f.Layers)
			})
		}
		groups = x.place(groups, row)
	}
	return all, groups
}

// place puts a layer into its group, and begins one where a base or the own part begins.
func (x reading) place(groups []layerGroup, row layerRow) []layerGroup {
	base, known := x.baseOf(row.Index)
	g := layerGroup{Own: !row.Base, Name: base.Reference}
	if known && base.Reference == "" {
		g.Name = shortDigest(base.Digest)
	}
	if n := len(groups); n > 0 && groups[n-1].Own == g.Own && groups[n-1].Name == g.Name {
		groups[n-1].Layers = append(groups[n-1].Layers, row)
		return groups
	}
	if known && base.Reference != "" {
		g.Link = x.d.reportLink(base.Reference)
	}
	if g.Own {
		g.Only = x.linkWith(func(f *reportFilter) { f.Origin, f.Layers = "own", nil })
	} else {
		g.Only = x.linkWith(func(f *reportFilter) {
			f.Origin, f.Layers = "", nil
			for _, l := range x.dossier.Image.Layers {
				if b, _ := x.baseOf(l.Index); l.Base && b.Layers == base.Layers {
					f.Layers = append(f.Layers, l.Index)
				}
			}
		})
	}
	g.Layers = []layerRow{row}
	return append(groups, g)
}

// baseOf answers the shortest base that holds a layer: the one that brought it.
func (x reading) baseOf(layer int) (inventory.Base, bool) {
	var best inventory.Base
	for _, b := range x.dossier.SBOM.Base {
		switch {
		case layer >= b.Layers:
		case best.Layers == 0, b.Layers < best.Layers, b.Layers == best.Layers && best.Reference == "":
			best = b
		}
	}
	return best, best.Layers > 0
}

// packageRow is one package, wherever it lies in the image.
type packageRow struct {
	inventory.Placed
	Minis   []chip
	rank    [6]int
	Unknown string // why it could not be assessed
	Link    string
	On      bool
}

type packageList struct {
	Rows     []packageRow
	Shown    int
	Total    int
	WithFind int
	Toggle   string // all packages, or those with findings
	All      bool
	pager
}

const packagesPerPage = 30

// packages are those that lie where the filter looks; with findings, unless all are wanted.
func (x reading) packages() packageList {
	byPURL, unknown := map[string][]inventory.Finding{}, map[string]string{}
	for _, one := range x.dossier.Report.Findings {
		if x.f.severe(one.Severity) && x.f.keeps(one, x.kinds[one.PURL]) {
			byPURL[one.PURL] = append(byPURL[one.PURL], one)
		}
	}
	for _, u := range x.dossier.Report.Unknown {
		unknown[u.PURL] = u.Reason
	}
	out := packageList{All: x.f.AllPackages, Toggle: x.linkWith(func(f *reportFilter) { f.AllPackages = !f.AllPackages })}
	base := map[int]bool{}
	for _, l := range x.dossier.Image.Layers {
		base[l.Index] = l.Base
	}
	for _, p := range x.dossier.SBOM.Packages {
		if !x.f.placed(p.Layer, base[p.Layer]) {
			continue
		}
		out.Total++
		found := byPURL[p.PURL]
		if len(found) > 0 {
			out.WithFind++
		}
		if !x.f.AllPackages && len(found) == 0 {
			continue
		}
		c := inventory.Count(found)
		row := packageRow{Placed: p, Minis: minis(c), rank: [6]int{c.Critical, c.High, c.Medium, c.Low, c.Unspecified}, Unknown: unknown[p.PURL], On: x.f.Package == p.Name}
		row.Link = x.linkWith(func(f *reportFilter) {
			if f.Package = p.Name; row.On {
				f.Package = ""
			}
		})
		out.Rows = append(out.Rows, row)
	}
	slices.SortStableFunc(out.Rows, func(a, b packageRow) int {
		if c := slices.Compare(b.rank[:], a.rank[:]); c != 0 {
			return c
		}
		return compareFold(a.Name, b.Name)
	})
	out.Shown = len(out.Rows)
	out.pager = page(len(out.Rows), x.f.PackagePage, packagesPerPage, func(n int) string {
		return x.link(x.f.change(func(f *reportFilter) { f.Page, f.PackagePage = x.f.Page, n }))
	})
	out.Rows = out.Rows[out.from:out.to]
	return out
}

// pager is where in a list somebody is.
type pager struct {
	from, to int
	Span     string // "1 to 40 of 94"
	Prev     string
	Next     string
}

func page(total, at, size int, link func(int) string) pager {
	if at*size >= total {
		at = 0
	}
	p := pager{from: at * size, to: min(total, (at+1)*size)}
	if total > 0 {
		p.Span = fmt.Sprintf("%s to %s of %s", number(p.from+1), number(p.to), number(total))
	}
	if at > 0 {
		p.Prev = link(at - 1)
	}
	if p.to < total {
		p.Next = link(at + 1)
	}
	return p
}
