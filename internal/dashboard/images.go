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

// rowsPerPage keeps a page under 100 KB.
const rowsPerPage = 50

// imagesFilter is the query of the Images page.
type imagesFilter struct {
	ByTag bool
	inventory.TagFilter
}

type imagesPage struct {
	Filter  imagesFilter
	Rows    []imageRow
	Total   int
	Tags    int // tags, when the rows are repositories
	Next    string
	First   string // address of the first page; "" on it
	Chips   []chip
	Keys    []string
	Sorts   map[string]string // order -> address
	ByRepo  string
	ByTag   string
	Export  string
	Any     bool // something is connected
	Filters bool // a filter is set
	Clear   string
}

type imageRow struct {
	inventory.TagRow
	Chips      []chip
	Image      string // address of the report
	Repository string
	Name       string // image name
}

func readImagesFilter(q url.Values) imagesFilter {
	f := imagesFilter{ByTag: q.Get("by") == "tag"}
	f.TagFilter = inventory.TagFilter{
		Integration: q.Get("integration"), Key: q.Get("repository"), Name: strings.TrimSpace(q.Get("name")),
		State:    one(q.Get("state"), inventory.StateWaiting, inventory.StateAnalysed, inventory.StateFailed, inventory.StateUnsupported),
		Severity: one(q.Get("severity"), inventory.Severities[:]...), Fixable: q.Get("fixable") != "", KEV: q.Get("kev") != "", Gone: q.Get("gone") != "",
		Sort: one(q.Get("sort"), "name", "pushed", "severity"), After: q.Get("after"), Newest: !f.ByTag, Limit: rowsPerPage,
	}
	if f.Sort == "" {
		f.Sort = "pushed"
	}
	return f
}

// one answers s when it is among the known words, and "" when not.
func one(s string, known ...string) string {
	if slices.Contains(known, s) {
		return s
	}
	return ""
}

// query is the filter as an address; the place in the list is not part of it.
func (f imagesFilter) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	yes := func(name string, value bool) {
		if value {
			q.Set(name, "1")
		}
	}
	if f.ByTag {
		q.Set("by", "tag")
	}
	set("integration", f.Integration)
	set("repository", f.Key)
	set("name", f.Name)
	set("state", f.State)
	set("severity", f.Severity)
	yes("fixable", f.Fixable)
	yes("kev", f.KEV)
	yes("gone", f.Gone)
	if f.Sort != "pushed" {
		q.Set("sort", f.Sort)
	}
	return q
}

// with is the filter with one thing changed; "" takes it away.
func (d *Dashboard) with(path string, q url.Values, name, value string) string {
	q = cloneValues(q)
	if value == "" {
		q.Del(name)
	} else {
		q.Set(name, value)
	}
	if len(q) == 0 {
		return d.Base + path
	}
	return d.Base + path + "?" + q.Encode()
}

func cloneValues(q url.Values) url.Values {
	out := make(url.Values, len(q))
	for k, v := range q {
		out[k] = slices.Clone(v)
	}
	return out
}

func (d *Dashboard) images(w http.ResponseWriter, r *http.Request, v visit) error {
	q := r.URL.Query()
	f := readImagesFilter(q)
	if q.Get("format") == "csv" {
		return d.imagesCSV(w, r, f)
	}
	page, err := d.Store.Tags(r.Context(), f.TagFilter)
	if err != nil {
		return err
	}
	st, _, err := d.status(r.Context())
	if err != nil {
		return err
	}
	base := f.query()
	p := imagesPage{Filter: f, Total: page.Total, Tags: st.TagsSeen, Any: len(st.Integrations) > 0, Clear: d.with("/images", nil, "by", base.Get("by"))}
	for _, row := range page.Rows {
		p.Rows = append(p.Rows, d.imageRow(row))
	}
	if page.Next != "" {
		p.Next = d.with("/images", base, "after", page.Next)
	}
	if f.After != "" {
		p.First = d.with("/images", base, "", "")
	}
	p.ByRepo, p.ByTag = d.with("/images", base, "by", ""), d.with("/images", base, "by", "tag")
	p.Export = d.with("/images", base, "format", "csv")
	p.Sorts = map[string]string{}
	for _, order := range []string{"name", "pushed", "severity"} {
		p.Sorts[order] = d.with("/images", base, "sort", strings.TrimPrefix(order, "pushed"))
	}
	p.Filters = f.Name != "" || f.Key != "" || f.State != "" || f.Severity != "" || f.Fixable || f.KEV || f.Integration != ""
	if p.Chips, err = d.severityFilters(r.Context(), f); err != nil {
		return err
	}
	if p.Keys, err = d.keys(r.Context()); err != nil {
		return err
	}
	return d.show(w, r, v, http.StatusOK, "images", frame{Title: "Images", Menu: "images"}, p)
}

func (d *Dashboard) imageRow(row inventory.TagRow) imageRow {
	out := imageRow{TagRow: row, Name: row.Image, Image: d.reportLink(row.Reference), Repository: d.repositoryLink(row)}
	if row.Findings != nil {
		out.Chips = chips(*row.Findings)
	}
	return out
}

func (d *Dashboard) reportLink(ref string) string {
	return d.Base + "/image?" + url.Values{"ref": {ref}}.Encode()
}

func (d *Dashboard) repositoryLink(row inventory.TagRow) string {
	return d.Base + "/repository?" + url.Values{"integration": {row.Integration}, "repository": {row.RepositoryKey}, "image": {row.Image}}.Encode()
}

// severityFilters counts, for each severity, the rows that the filter would leave, and
// those of them that have a fix for it.
func (d *Dashboard) severityFilters(ctx context.Context, f imagesFilter) ([]chip, error) {
	c, err := d.Store.TagCounts(ctx, f.TagFilter)
	if err != nil {
		return nil, fmt.Errorf("count images by severity: %w", err)
	}
	out := chips(c)
	for i := range out {
		value := inventory.Severities[i]
		if out[i].On = f.Severity == value; out[i].On {
			value = ""
		}
		out[i].Href = d.with("/images", f.query(), "severity", value)
	}
	return out, nil
}

// keys are the repository keys that integrations know, to choose from.
func (d *Dashboard) keys(ctx context.Context) ([]string, error) {
	list, err := d.Hub.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("integrations: %w", err)
	}
	seen := map[string]bool{}
	for _, in := range list {
		for _, k := range in.Keys {
			seen[k.Key] = true
		}
		for _, k := range in.Repositories {
			seen[k] = true
		}
	}
	out := make([]string, 0, len(seen))
	for k := range seen {
		out = append(out, k)
	}
	slices.Sort(out)
	return out, nil
}

// found answers where a search leads at once: a digest, or a whole reference.
func (d *Dashboard) found(ctx context.Context, q string) string {
	q = strings.TrimSpace(q)
	if !strings.HasPrefix(q, "sha256:") && !strings.Contains(q, ":") {
		return ""
	}
	row, err := d.Store.Resolve(ctx, q)
	if err != nil {
		return ""
	}
	return "/image?" + url.Values{"ref": {row.Reference}}.Encode()
}
