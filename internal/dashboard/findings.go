package dashboard

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const findingsPerPage = 25

// findingRow is one flaw in one version, in one layer: packages that share all of it
// share the row.
type findingRow struct {
	inventory.Finding
	Class, Letter string
	Packages      []string
	LayerLink     string
	Base          bool
	FixDue        bool
	Link          string // to what the world knows of the flaw
	Fleet         string // to where else it is
	Except        string // to let it not count
}

type findingList struct {
	Rows    []findingRow
	Flaws   int // distinct, shown
	Total   int // distinct, in the image
	Fixable int // distinct, shown
	Own     int // rows
	Base    int
	Lines   int
	Sorts   map[string]string
	Sort    string
	pager
}

// findings are the rows that the filter leaves.
func (x reading) findings() findingList {
	shown := x.shown()
	count := inventory.Count(shown)
	out := findingList{
		Flaws: count.Total(), Fixable: count.Fixable, Total: inventory.Count(x.dossier.Report.Findings).Total(), Sort: x.f.Sort,
		Sorts: map[string]string{},
	}
	for _, sort := range []string{"severity", "since", "package"} {
		out.Sorts[sort] = x.linkWith(func(f *reportFilter) { f.Sort = one(sort, "since", "package") })
	}
	rows := merge(shown)
	for _, row := range rows {
		if row.Base {
			out.Base++
		} else {
			out.Own++
		}
	}
	out.Lines = len(rows)
	out.pager = page(len(rows), x.f.Page, findingsPerPage, func(n int) string {
		return x.link(x.f.change(func(f *reportFilter) { f.Page, f.PackagePage = n, x.f.PackagePage }))
	})
	out.Rows = rows[out.from:out.to]
	for i := range out.Rows {
		layer := out.Rows[i].Layer
		out.Rows[i].Fleet = x.d.vulnerabilityLink(out.Rows[i].ID)
		out.Rows[i].Except = x.d.exceptLink(out.Rows[i].Finding, x.dossier.Tag)
		out.Rows[i].LayerLink = x.linkWith(func(f *reportFilter) { f.Layers = []int{layer} })
	}
	return out
}

// merge puts findings into one row that differ by nothing but the package's name, as
// the binary packages of one source do.
func merge(list []inventory.Finding) []findingRow {
	type same struct {
		id, version, fixed, severity string
		layer                        int
		excepted                     bool
	}
	at := map[same]int{}
	rows := []findingRow{}
	for _, f := range list {
		key := same{f.ID, f.Version, strings.Join(f.FixedVersions, " "), f.Severity, f.Layer, f.Exception != nil}
		if i, ok := at[key]; ok {
			if !slices.Contains(rows[i].Packages, f.Package) {
				rows[i].Packages = append(rows[i].Packages, f.Package)
			}
			continue
		}
		at[key] = len(rows)
		row := findingRow{Finding: f, Packages: []string{f.Package}, Base: f.Origin == "base", Link: flawLink(f.ID)}
		row.Class, row.Letter = severityClass(inventory.SeverityRank(f.Severity))
		rows = append(rows, row)
	}
	return rows
}

// exceptLink leads to the form that lets a finding not count, filled in for its repository.
func (d *Dashboard) exceptLink(f inventory.Finding, at inventory.TagRow) string {
	return d.Base + "/exceptions?" + url.Values{"cve": {f.ID}, "package": {f.Package}, "repository": {at.RepositoryKey + "/" + at.Image}}.Encode() + "#new"
}

// flawLink leads to the public record of a flaw.
func flawLink(id string) string {
	plain := strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:") == ""
	if id == "" || !plain {
		return ""
	}
	return "https://osv.dev/vulnerability/" + id
}

// order sorts findings: worst first, unless something else is asked for.
func order(list []inventory.Finding, by string) {
	slices.SortStableFunc(list, func(a, b inventory.Finding) int {
		switch by {
		case "since":
			if c := compareSince(a, b); c != 0 {
				return c
			}
		case "package":
			if c := compareFold(a.Package, b.Package); c != 0 {
				return c
			}
		}
		return worst(a, b)
	})
}

func worst(a, b inventory.Finding) int {
	return cmp.Or(
		cmp.Compare(inventory.SeverityRank(a.Severity), inventory.SeverityRank(b.Severity)),
		-compareBool(a.KEV, b.KEV),
		-cmp.Compare(cvss(a), cvss(b)),
		-cmp.Compare(epss(a), epss(b)),
		strings.Compare(a.ID, b.ID),
		strings.Compare(a.PURL, b.PURL),
	)
}

// compareSince puts what is known longest first; what has no date comes last.
func compareSince(a, b inventory.Finding) int {
	switch {
	case a.FirstSeen == nil || b.FirstSeen == nil:
		return compareBool(a.FirstSeen == nil, b.FirstSeen == nil)
	default:
		return a.FirstSeen.Compare(*b.FirstSeen)
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func compareFold(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

func cvss(f inventory.Finding) float64 {
	if f.CVSS == nil {
		return 0
	}
	return f.CVSS.Score
}

func epss(f inventory.Finding) float64 {
	if f.EPSS == nil {
		return 0
	}
	return f.EPSS.Score
}
