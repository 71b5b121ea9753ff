package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// imagePage is the report of one image.
type imagePage struct {
	inventory.Dossier
	Filter     reportFilter
	Ready      bool // the image is analysed
	Repository string
	Platforms  []choice
	Bigs       []chip
	Layers     []layerGroup
	AllLayers  layerRow
	Packages   packageList
	Findings   findingList
	Origins    []choice
	Kinds      []choice
	Labels     []pair
	Clear      string
	Here       string
	Export     string
	SBOMs      []choice
	Commit     string
	Moves      []inventory.TagMove
	Places     []place
	Words      string // the filter in words, for print
}

type pair struct{ Name, Value string }

type choice struct {
	Word string
	Link string
	On   bool
}

func (d *Dashboard) image(w http.ResponseWriter, r *http.Request, v visit) error {
	f := readReportFilter(r.URL.Query())
	if f.Ref == "" {
		return inventory.Errorf(inventory.ErrNotFound, "no image is named").WithRemedy("choose one on the Images page")
	}
	dossier, err := d.Reader.Open(r.Context(), f.Ref, f.Platform)
	if err != nil {
		return err
	}
	one := reading{d: d, f: f, dossier: dossier, kinds: kindsOf(dossier.SBOM.Packages)}
	if r.URL.Query().Get("format") == "csv" {
		findingsCSV(w, dossier, one.shown())
		return nil
	}
	p := one.page()
	if p.Moves, err = d.Store.TagHistory(r.Context(), dossier.Tag.ID); err != nil {
		return err
	}
	slices.SortFunc(p.Moves, func(a, b inventory.TagMove) int { return b.From.Compare(a.From) })
	p.Moves = p.Moves[:min(len(p.Moves), listed)]
	if p.Places, err = d.places(r.Context(), dossier); err != nil {
		return err
	}
	title := dossier.Tag.Image + ":" + dossier.Tag.Tag
	return d.show(w, r, v, http.StatusOK, "image", frame{Title: title, Menu: "images"}, p)
}

// reading is one dossier under one filter.
type reading struct {
	d       *Dashboard
	f       reportFilter
	dossier inventory.Dossier
	kinds   map[string]string // purl -> ecosystem without its release
}

func kindsOf(packages []inventory.Placed) map[string]string {
	out := make(map[string]string, len(packages))
	for _, p := range packages {
		out[p.PURL], _, _ = strings.Cut(p.Ecosystem, ":")
	}
	return out
}

func (x reading) link(f reportFilter) string { return x.d.Base + "/image?" + f.query().Encode() }

func (x reading) linkWith(do func(*reportFilter)) string { return x.link(x.f.change(do)) }

// shown are the findings that the filter leaves, in its order.
func (x reading) shown() []inventory.Finding {
	var out []inventory.Finding
	for _, one := range x.dossier.Report.Findings {
		if x.f.severe(one.Severity) && x.f.keeps(one, x.kinds[one.PURL]) {
			out = append(out, one)
		}
	}
	order(out, x.f.Sort)
	return out
}

func (x reading) page() imagePage {
	p := imagePage{
		Dossier: x.dossier, Filter: x.f, Ready: x.dossier.Image.State == inventory.StateAnalysed,
		Repository: x.d.repositoryLink(x.dossier.Tag), Here: x.d.Base + "/image",
		Clear:  x.link(reportFilter{Ref: x.f.Ref, Platform: x.f.Platform}),
		Commit: commitLink(x.dossier.SBOM.Origin), Words: x.words(),
	}
	export := x.f.query()
	export.Set("format", "csv")
	p.Export = x.d.Base + "/image?" + export.Encode()
	p.Platforms, p.SBOMs, p.Labels = x.platforms(), x.sboms(), labels(x.dossier.Image.Config.Labels)
	p.Bigs = x.bigs()
	p.AllLayers, p.Layers = x.layers()
	p.Packages = x.packages()
	p.Findings = x.findings()
	for _, o := range []choice{{Word: "Base and own"}, {Word: "Own only", Link: "own"}, {Word: "Base only", Link: "base"}} {
		o.On = o.Link == x.f.Origin
		p.Origins = append(p.Origins, o)
	}
	p.Kinds = x.ecosystems()
	return p
}

// bigs are the severities as filters; their counts are what the rest of the filter leaves.
func (x reading) bigs() []chip {
	var left []inventory.Finding
	for _, one := range x.dossier.Report.Findings {
		if x.f.keeps(one, x.kinds[one.PURL]) {
			left = append(left, one)
		}
	}
	out := chips(inventory.Count(left))
	for i := range out {
		word := inventory.Severities[i]
		out[i].On = slices.Contains(x.f.Severities, word)
		out[i].Href = x.linkWith(func(f *reportFilter) {
			f.Severities = toggle(f.Severities, word)
			if len(f.Severities) == len(inventory.Severities) {
				f.Severities = nil
			}
		})
	}
	return out
}

func (x reading) platforms() []choice {
	var out []choice
	if x.dossier.Index == nil {
		return out
	}
	for _, m := range x.dossier.Index.Members {
		if m.Kind == inventory.ImageKind {
			out = append(out, choice{
				Word: m.Platform, On: m.Digest == x.dossier.Image.Digest,
				Link: x.link(reportFilter{Ref: x.f.Ref, Platform: m.Platform}),
			})
		}
	}
	return out
}

func (x reading) sboms() []choice {
	var out []choice
	for _, format := range append([]string{"json"}, x.d.SBOMFormats...) {
		q := url.Values{"ref": {x.f.Ref}, "format": {format}, "download": {"1"}}
		if x.f.Platform != "" {
			q.Set("platform", x.f.Platform)
		}
		out = append(out, choice{Word: format, Link: x.d.Base + "/api/v1/sbom?" + q.Encode()})
	}
	return out
}

func (x reading) ecosystems() []choice {
	seen := map[string]bool{}
	for _, one := range x.dossier.Report.Findings {
		seen[x.kinds[one.PURL]] = true
	}
	out := []choice{{Word: "All types", On: x.f.Kind == ""}}
	var names []string
	for kind := range seen {
		if kind != "" {
			names = append(names, kind)
		}
	}
	slices.Sort(names)
	for _, kind := range names {
		out = append(out, choice{Word: kind, Link: kind, On: kind == x.f.Kind})
	}
	return out
}

// words says the filter for somebody who only has the printed page.
func (x reading) words() string {
	var out []string
	if len(x.f.Severities) > 0 {
		out = append(out, strings.Join(x.f.Severities, ", "))
	}
	if x.f.Fixable {
		out = append(out, "fixable only")
	}
	if x.f.KEV {
		out = append(out, "known exploited only")
	}
	if x.f.Origin != "" {
		out = append(out, x.f.Origin+" layers only")
	}
	if len(x.f.Layers) > 0 {
		out = append(out, "layers "+x.f.query().Get("layer"))
	}
	for _, s := range []string{x.f.Kind, x.f.Package, x.f.Text} {
		if s != "" {
			out = append(out, "“"+s+"”")
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func labels(m map[string]string) []pair {
	out := make([]pair, 0, len(m))
	for k, v := range m {
		out = append(out, pair{k, v})
	}
	slices.SortFunc(out, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// commitLink leads to a commit where the address of one is known.
func commitLink(o inventory.Origin) string {
	source := strings.TrimSuffix(strings.TrimSuffix(webLink(o.Source), "/"), ".git")
	u, err := url.Parse(source)
	if source == "" || err != nil || o.Revision == "" || len(o.Revision) > 64 || strings.Trim(o.Revision, "0123456789abcdefABCDEF") != "" {
		return ""
	}
	switch u.Host {
	case "github.com":
		return source + "/commit/" + o.Revision
	case "gitlab.com":
		return source + "/-/commit/" + o.Revision
	}
	return ""
}
