package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// foundOfKind is how many of each kind a search lists.
const foundOfKind = 8

type searchPage struct {
	Query    string
	Images   []imageRow
	Packages []packageOfFleet
	Flaws    []fleetFlaw
	// How many there are of each, and where all of them are listed.
	ImagesTotal, PackagesTotal, FlawsTotal int
	AllImages, AllPackages, AllFlaws       string
}

// search leads to what is meant where that is clear, and else lists what there is.
func (d *Dashboard) search(w http.ResponseWriter, r *http.Request, v visit) error {
	p := searchPage{Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	if p.Query == "" {
		return d.to(w, r, "/images")
	}
	if target := d.findTarget(r.Context(), p.Query); target != "" {
		return d.to(w, r, target)
	}
	tags, err := d.Store.Tags(r.Context(), inventory.TagFilter{Name: p.Query, Newest: true, Sort: "pushed", Limit: foundOfKind})
	if err != nil {
		return fmt.Errorf("search images: %w", err)
	}
	packages, err := d.Store.FleetPackages(r.Context(), inventory.PackageFilter{Text: p.Query, Limit: foundOfKind})
	if err != nil {
		return fmt.Errorf("search packages: %w", err)
	}
	flaws, err := d.Store.FleetFlaws(r.Context(), inventory.FlawFilter{Text: p.Query, Limit: foundOfKind})
	if err != nil {
		return fmt.Errorf("search flaws: %w", err)
	}
	p.ImagesTotal, p.PackagesTotal, p.FlawsTotal = tags.Total, packages.Total, flaws.Total
	p.AllImages, p.AllPackages = d.with("/images", url.Values{}, "name", p.Query), d.with("/packages", url.Values{}, "text", p.Query)
	p.AllFlaws = d.with("/vulnerabilities", url.Values{}, "text", p.Query)
	if p.ImagesTotal > 0 && p.PackagesTotal+p.FlawsTotal == 0 {
		return d.to(w, r, "/images?"+url.Values{"name": {p.Query}}.Encode())
	}
	for _, row := range tags.Rows {
		p.Images = append(p.Images, d.imageRow(row))
	}
	for _, row := range packages.Rows {
		p.Packages = append(p.Packages, d.packageOfFleet(row))
	}
	for _, one := range flaws.Rows {
		p.Flaws = append(p.Flaws, d.fleetFlaw(one))
	}
	return d.show(w, r, v, http.StatusOK, "search", frame{Title: "Search", Search: p.Query}, p)
}
