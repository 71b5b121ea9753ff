package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

type flawsPage struct {
	Filter  inventory.FlawFilter
	Rows    []fleetFlaw
	Total   int
	KEV     int
	Bigs    []chip
	Sorts   map[string]string
	Next    string
	First   string
	Clear   string
	Export  string
	Filters bool
	Known   bool // something is analysed: none is an answer
}

// fleetFlaw is one flaw of the fleet as a row shows it.
type fleetFlaw struct {
	inventory.Flaw
	Class, Letter string
	Link          string
	Names         []string // of packages, the first few
	More          int      // packages that are not named
}

// namesShown is how many names stand in one cell.
const namesShown = 4

func readFlawFilter(q url.Values) inventory.FlawFilter {
	return inventory.FlawFilter{
		Severity: one(q.Get("severity"), inventory.Severities[:]...), Fixable: q.Get("fixable") != "", KEV: q.Get("kev") != "",
		Text: strings.TrimSpace(q.Get("text")), Sort: one(q.Get("sort"), "images", "since"), After: q.Get("after"), Limit: rowsPerPage,
	}
}

func flawQuery(f inventory.FlawFilter) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"severity": f.Severity, "text": f.Text, "sort": f.Sort,
		"fixable": map[bool]string{true: "1"}[f.Fixable], "kev": map[bool]string{true: "1"}[f.KEV],
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

func (d *Dashboard) vulnerabilities(w http.ResponseWriter, r *http.Request, v visit) error {
	f := readFlawFilter(r.URL.Query())
	if r.URL.Query().Get("format") == "csv" {
		return d.flawsCSV(w, r, f)
	}
	list, err := d.Store.FleetFlaws(r.Context(), f)
	if err != nil {
		return err
	}
	st, _, err := d.status(r.Context())
	if err != nil {
		return err
	}
	const path = "/vulnerabilities"
	q := flawQuery(f)
	p := flawsPage{
		Filter: f, Total: list.Total, KEV: list.KEV, Clear: d.Base + path, Export: d.with(path, q, "format", "csv"), Known: st.Analysed > 0,
		Filters: f.Severity != "" || f.Fixable || f.KEV || f.Text != "", Bigs: chips(list.Severity),
		Sorts: map[string]string{"severity": d.with(path, q, "sort", ""), "images": d.with(path, q, "sort", "images"), "since": d.with(path, q, "sort", "since")},
	}
	for i := range p.Bigs {
		value := inventory.Severities[i]
		if p.Bigs[i].On = value == f.Severity; p.Bigs[i].On {
			value = ""
		}
		p.Bigs[i].Href = d.with(path, q, "severity", value)
	}
	for _, one := range list.Rows {
		p.Rows = append(p.Rows, d.fleetFlaw(one))
	}
	if list.Next != "" {
		p.Next = d.with(path, q, "after", list.Next)
	}
	if f.After != "" {
		p.First = d.with(path, q, "", "")
	}
	return d.show(w, r, v, http.StatusOK, "vulnerabilities", frame{Title: "Vulnerabilities", Menu: "vulnerabilities"}, p)
}

func (d *Dashboard) fleetFlaw(f inventory.Flaw) fleetFlaw {
	out := fleetFlaw{Flaw: f, Link: d.vulnerabilityLink(f.ID), Names: f.Packages[:min(len(f.Packages), namesShown)]}
	out.More = len(f.Packages) - len(out.Names)
	out.Class, out.Letter = severityClass(inventory.SeverityRank(f.Severity))
	return out
}

func (d *Dashboard) vulnerabilityLink(id string) string {
	return d.Base + "/vulnerability?" + url.Values{"id": {id}}.Encode()
}

// flawsCSV sends every flaw that the filter leaves.
func (d *Dashboard) flawsCSV(w http.ResponseWriter, r *http.Request, f inventory.FlawFilter) error {
	f.After, f.Limit = "", 0
	list, err := d.Store.FleetFlaws(r.Context(), f)
	if err != nil {
		return err
	}
	out := csvFile(w, "tallyman-vulnerabilities.csv")
	_ = out.Write([]string{"id", "severity", "severity_source", "cvss", "epss", "kev", "kev_due", "fixable", "packages", "images", "repositories", "first_seen", "summary"})
	for _, one := range list.Rows {
		cvss, epss := scores(one.CVSS, one.EPSS)
		_ = out.Write(cells(one.ID, one.Severity, one.SeveritySource, cvss, epss, fmt.Sprint(one.KEV), stamp(one.KEVDue), fmt.Sprint(one.Fixable),
			strings.Join(one.Packages, " "), fmt.Sprint(one.Images), fmt.Sprint(one.Repositories), stamp(one.FirstSeen), one.Summary))
	}
	out.Flush()
	return nil
}

// vulnerabilityPage is one flaw, and where it is.
type vulnerabilityPage struct {
	inventory.FlawDetail
	Class, Letter string
	Link          string // to the public record
	Details       string
	Cut           bool // details are longer than what is shown
	Affected      []affectedRow
	Unlisted      int // affected package versions that are not shown
	Places        []flawPlace
	PlacesTotal   int
	Next, First   string
	Overdue       bool
	Export        string
}

type affectedRow struct {
	inventory.FlawPackage
	Class, Letter string
	Link          string // who has it
}

type flawPlace struct {
	inventory.FlawRepository
	Link string
	Tags []flawTag
	More int
}

type flawTag struct {
	inventory.FlawTag
	Link string
	Base bool
}

const (
	mostDetails = 4000 // bytes of an advisory's text on the page
	mostRows    = 60   // of package versions on the page
	placesShown = 25   // repositories of a page
	tagsShown   = 6    // tags of one repository
)

func (d *Dashboard) vulnerability(w http.ResponseWriter, r *http.Request, v visit) error {
	q := r.URL.Query()
	id := strings.TrimSpace(q.Get("id"))
	if id == "" {
		return inventory.Errorf(inventory.ErrNotFound, "no flaw is named").WithRemedy("choose one on the Vulnerabilities page")
	}
	detail, err := d.Store.Flaw(r.Context(), id)
	if err != nil {
		return err
	}
	places, err := d.Store.FlawPlaces(r.Context(), detail.ID, q.Get("after"), placesShown)
	if err != nil {
		return err
	}
	p := vulnerabilityPage{FlawDetail: detail, Link: flawLink(detail.ID), PlacesTotal: places.Total, Export: d.Base + "/find?" + url.Values{"q": {detail.ID}, "format": {"csv"}}.Encode()}
	p.Class, p.Letter = severityClass(inventory.SeverityRank(detail.Severity))
	p.Details, p.Cut = clip(detail.Details, mostDetails)
	p.Overdue = detail.KEVDue != nil && detail.KEVDue.Before(v.at.Add(-24*time.Hour))
	for _, one := range detail.Affected[:min(len(detail.Affected), mostRows)] {
		row := affectedRow{FlawPackage: one, Link: d.Base + "/find?" + url.Values{"q": {one.PURL}}.Encode()}
		row.Class, row.Letter = severityClass(inventory.SeverityRank(one.Severity))
		p.Affected = append(p.Affected, row)
	}
	p.Unlisted = len(detail.Affected) - len(p.Affected)
	for _, one := range places.Rows {
		p.Places = append(p.Places, d.flawPlace(one, detail.ID))
	}
	here := url.Values{"id": {detail.ID}}
	if places.Next != "" {
		p.Next = d.with("/vulnerability", here, "after", places.Next)
	}
	if q.Get("after") != "" {
		p.First = d.with("/vulnerability", here, "", "")
	}
	return d.show(w, r, v, http.StatusOK, "vulnerability", frame{Title: detail.ID, Menu: "vulnerabilities"}, p)
}

func (d *Dashboard) flawPlace(one inventory.FlawRepository, id string) flawPlace {
	row := flawPlace{FlawRepository: one, Link: d.repositoryLink(inventory.TagRow{Integration: one.Integration, RepositoryKey: one.Key, Image: one.Image})}
	for _, t := range one.Tags[:min(len(one.Tags), tagsShown)] {
		link := d.Base + "/image?" + url.Values{"ref": {t.Reference}, "text": {id}}.Encode()
		row.Tags = append(row.Tags, flawTag{FlawTag: t, Link: link, Base: t.Origin == "base"})
	}
	row.More = len(one.Tags) - len(row.Tags)
	return row
}

// clip cuts text at the end of a line or word.
func clip(s string, most int) (string, bool) {
	if len(s) <= most {
		return s, false
	}
	s = s[:most]
	if i := strings.LastIndexAny(s, "\n "); i > most/2 {
		s = s[:i]
	}
	return strings.ToValidUTF8(s, ""), true
}
