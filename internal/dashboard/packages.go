package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

type packagesPage struct {
	Filter     inventory.PackageFilter
	Rows       []packageOfFleet
	Total      int
	Ecosystems []string
	Next       string
	First      string
	Clear      string
	Export     string
	Filters    bool
}

type packageOfFleet struct {
	inventory.PackageRow
	Shown []versionOfFleet
	More  int
	Link  string
}

type versionOfFleet struct {
	inventory.PackageVersion
	Link string
}

func (d *Dashboard) packagesOfFleet(w http.ResponseWriter, r *http.Request, v visit) error {
	q := r.URL.Query()
	f := inventory.PackageFilter{
		Text: strings.TrimSpace(q.Get("text")), Ecosystem: q.Get("ecosystem"), License: strings.TrimSpace(q.Get("license")),
		After: q.Get("after"), Limit: rowsPerPage,
	}
	if q.Get("format") == "csv" {
		return d.packagesCSV(w, r, f)
	}
	list, err := d.Store.FleetPackages(r.Context(), f)
	if err != nil {
		return err
	}
	here := url.Values{}
	for name, value := range map[string]string{"text": f.Text, "ecosystem": f.Ecosystem, "license": f.License} {
		if value != "" {
			here.Set(name, value)
		}
	}
	const path = "/packages"
	p := packagesPage{Filter: f, Total: list.Total, Clear: d.Base + path, Export: d.with(path, here, "format", "csv"), Filters: len(here) > 0}
	if p.Ecosystems, err = d.Store.PackageEcosystems(r.Context()); err != nil {
		return err
	}
	for _, row := range list.Rows {
		p.Rows = append(p.Rows, d.packageOfFleet(row))
	}
	if list.Next != "" {
		p.Next = d.with(path, here, "after", list.Next)
	}
	if f.After != "" {
		p.First = d.with(path, here, "", "")
	}
	return d.show(w, r, v, http.StatusOK, "packages", frame{Title: "Packages", Menu: "packages"}, p)
}

func (d *Dashboard) packageOfFleet(row inventory.PackageRow) packageOfFleet {
	base, _, _ := strings.Cut(row.Ecosystem, ":")
	q := url.Values{"q": {row.Name + " >=0"}}
	if base != "" {
		q.Set("ecosystem", row.Ecosystem)
	}
	out := packageOfFleet{PackageRow: row, Link: d.Base + "/find?" + q.Encode()}
	versions := distinctVersions(row.Versions)
	for _, one := range versions[:min(len(versions), namesShown)] {
		out.Shown = append(out.Shown, versionOfFleet{one, d.Base + "/find?" + url.Values{"q": {anyBuild(one.PURL)}}.Encode()})
	}
	out.More = len(versions) - len(out.Shown)
	return out
}

// anyBuild is a purl without what tells builds of one version apart.
func anyBuild(purl string) string {
	purl, _, _ = strings.Cut(purl, "?")
	return purl
}

// distinctVersions are versions as people tell them apart, whatever they were built for;
// of each the one that most images have.
func distinctVersions(list []inventory.PackageVersion) []inventory.PackageVersion {
	at := map[string]int{}
	var out []inventory.PackageVersion
	for _, one := range list {
		i, known := at[one.Version]
		switch {
		case !known:
			at[one.Version] = len(out)
			out = append(out, one)
		case one.Images > out[i].Images:
			out[i] = one
		}
	}
	return out
}

// packagesCSV sends every version of every package that the filter leaves.
func (d *Dashboard) packagesCSV(w http.ResponseWriter, r *http.Request, f inventory.PackageFilter) error {
	f.After, f.Limit = "", 1000
	page, err := d.Store.FleetPackages(r.Context(), f)
	if err != nil {
		return err
	}
	out := csvFile(w, "tallyman-packages.csv")
	_ = out.Write([]string{"name", "version", "ecosystem", "purl", "licenses", "images"})
	for {
		for _, row := range page.Rows {
			for _, one := range row.Versions {
				_ = out.Write(cells(row.Name, one.Version, row.Ecosystem, one.PURL, strings.Join(row.Licenses, "; "), fmt.Sprint(one.Images)))
			}
		}
		if page.Next == "" {
			break
		}
		f.After = page.Next
		if page, err = d.Store.FleetPackages(r.Context(), f); err != nil {
			d.Log.ErrorContext(r.Context(), "export of packages cut off", "error", err)
			panic(http.ErrAbortHandler) // half a file must not pass for a whole one
		}
	}
	out.Flush()
	return nil
}
