package dashboard

import (
	"context"
	"fmt"
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
	Exports    []choice
	Before     *choice // the tag that was pushed before, to compare with
	Happened   []happening
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
	if format := r.URL.Query().Get("format"); format != "" {
		return one.export(w, format)
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
	if p.Before, err = d.before(r.Context(), dossier.Tag); err != nil {
		return err
	}
	if p.Happened, err = d.happenedTo(r.Context(), dossier); err != nil {
		return err
	}
	title := dossier.Tag.Image + ":" + dossier.Tag.Tag
	return d.show(w, r, v, http.StatusOK, "image", frame{Title: title, Menu: "images"}, p)
}

// before is the tag of the same repository that was pushed before another, if any.
func (d *Dashboard) before(ctx context.Context, tag inventory.TagRow) (*choice, error) {
	page, err := d.Store.Tags(ctx, inventory.TagFilter{Integration: tag.Integration, Key: tag.RepositoryKey, Image: tag.Image, Sort: "pushed", Limit: rowsPerPage})
	if err != nil {
		return nil, fmt.Errorf("tags of %s: %w", tag.Image, err)
	}
	at := slices.IndexFunc(page.Rows, func(row inventory.TagRow) bool { return row.Tag == tag.Tag })
	if at < 0 {
		return nil, nil //nolint:nilnil // none is an answer
	}
	for _, row := range page.Rows[at+1:] {
		if row.Digest != tag.Digest {
			q := url.Values{"a": {row.Reference}, "b": {tag.Reference}}
			return &choice{Word: row.Tag, Link: d.Base + "/compare?" + q.Encode()}, nil
		}
	}
	return nil, nil //nolint:nilnil // as above
}

// mostHappened is how many events a page of an image lists.
const mostHappened = 12

// happenedTo is what was recorded of the image and of its findings.
func (d *Dashboard) happenedTo(ctx context.Context, of inventory.Dossier) ([]happening, error) {
	digests := []string{of.Tag.Digest}
	if of.Image.Digest != "" && of.Image.Digest != of.Tag.Digest {
		digests = append(digests, of.Image.Digest)
	}
	events, err := d.Store.HappenedTo(ctx, digests, of.Report.Findings, 200)
	if err != nil {
		return nil, fmt.Errorf("events of %s: %w", of.Tag.Reference, err)
	}
	out := d.happenings(events)
	return out[:min(len(out), mostHappened)], nil
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
	p.Exports = x.exports()
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
	switch {
	case strings.Contains(u.Host, "gitlab"):
		return source + "/-/commit/" + o.Revision
	case strings.Contains(u.Host, "bitbucket"):
		return source + "/commits/" + o.Revision
	}
	return source + "/commit/" + o.Revision // as GitHub, Gitea and Forgejo have it
}
