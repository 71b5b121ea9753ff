package dashboard

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const mostChosen = 128 // layers in an address

// reportFilter is the whole state of an image's page: what the address says and
// nothing else.
type reportFilter struct {
	Ref, Platform string
	Severities    []string // none = all
	Layers        []int    // none = all
	Fixable, KEV  bool
	Origin        string // base, own or ""
	Text          string // part of a package name or of a flaw's id
	Package       string // exact name
	Kind          string // ecosystem without its release, or ""
	AllPackages   bool
	Sort          string // severity (""), since or package
	Page          int    // of the findings, from 0
	PackagePage   int
}

func readReportFilter(q url.Values) reportFilter {
	f := reportFilter{
		Ref: q.Get("ref"), Platform: q.Get("platform"), Fixable: q.Get("fixable") != "", KEV: q.Get("kev") != "",
		Origin: one(q.Get("origin"), "base", "own"), Text: strings.TrimSpace(q.Get("text")), Package: q.Get("package"),
		Kind: q.Get("type"), AllPackages: q.Get("packages") == "all", Sort: one(q.Get("sort"), "since", "package"),
		Page: positive(q.Get("page")), PackagePage: positive(q.Get("ppage")),
	}
	for _, s := range inventory.Severities {
		if slices.Contains(strings.Split(q.Get("severity"), ","), s) {
			f.Severities = append(f.Severities, s)
		}
	}
	for s := range strings.SplitSeq(q.Get("layer"), ",") {
		if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < 10_000 && !slices.Contains(f.Layers, n) && len(f.Layers) < mostChosen {
			f.Layers = append(f.Layers, n)
		}
	}
	slices.Sort(f.Layers)
	return f
}

func positive(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1_000_000 {
		return 0
	}
	return n
}

// query is the address of f; two filters that show the same have the same one.
func (f reportFilter) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("ref", f.Ref)
	set("platform", f.Platform)
	set("severity", strings.Join(f.Severities, ","))
	chosen := make([]string, len(f.Layers))
	for i, n := range f.Layers {
		chosen[i] = strconv.Itoa(n)
	}
	set("layer", strings.Join(chosen, ","))
	set("origin", f.Origin)
	set("text", f.Text)
	set("package", f.Package)
	set("type", f.Kind)
	set("sort", f.Sort)
	for name, on := range map[string]bool{"fixable": f.Fixable, "kev": f.KEV} {
		if on {
			q.Set(name, "1")
		}
	}
	if f.AllPackages {
		q.Set("packages", "all")
	}
	if f.Page > 0 {
		q.Set("page", strconv.Itoa(f.Page))
	}
	if f.PackagePage > 0 {
		q.Set("ppage", strconv.Itoa(f.PackagePage))
	}
	return q
}

// change is f with something changed, from the first page on.
func (f reportFilter) change(do func(*reportFilter)) reportFilter {
	f.Severities, f.Layers = slices.Clone(f.Severities), slices.Clone(f.Layers)
	f.Page, f.PackagePage = 0, 0
	do(&f)
	return f
}

// Narrowed says whether f leaves anything out.
func (f reportFilter) Narrowed() bool {
	return len(f.Severities)+len(f.Layers) > 0 || f.Fixable || f.KEV || f.Origin != "" || f.Text != "" || f.Package != "" || f.Kind != ""
}

// toggle puts v into the list or takes it out.
func toggle[T comparable](list []T, v T) []T {
	if i := slices.Index(list, v); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return append(list, v)
}

// placed says whether a package is where f looks.
func (f reportFilter) placed(layer int, base bool) bool {
	if len(f.Layers) > 0 && !slices.Contains(f.Layers, layer) {
		return false
	}
	return f.Origin == "" || base == (f.Origin == "base")
}

// keeps says whether f shows a finding, whatever its severity.
func (f reportFilter) keeps(x inventory.Finding, kind string) bool {
	switch {
	case !f.placed(x.Layer, x.Origin == "base"):
		return false
	case f.Fixable && len(x.FixedVersions) == 0, f.KEV && !x.KEV:
		return false
	case f.Package != "" && x.Package != f.Package, f.Kind != "" && f.Kind != kind:
		return false
	}
	return f.Text == "" || mentions(x, strings.ToLower(f.Text))
}

func mentions(x inventory.Finding, text string) bool {
	if strings.Contains(strings.ToLower(x.Package), text) || strings.Contains(strings.ToLower(x.ID), text) {
		return true
	}
	return slices.ContainsFunc(x.Aliases, func(s string) bool { return strings.Contains(strings.ToLower(s), text) })
}

// severe says whether f shows a severity.
func (f reportFilter) severe(s string) bool {
	return len(f.Severities) == 0 || slices.Contains(f.Severities, inventory.Severities[inventory.SeverityRank(s)])
}

// LayerText is the chosen layers as the address writes them.
func (f reportFilter) LayerText() string { return f.query().Get("layer") }
