package dashboard

import (
	"net/http"
	"net/url"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

type basesPage struct {
	Rows  []baseOfFleet
	More  int
	Stale int // tags that something stale stands on
}

type baseOfFleet struct {
	inventory.BaseRow
	Link       string
	Repository string
	Children   string // what stands on it
}

// mostBases is how many base images the page shows; the rest carry fewer images.
const mostBases = 150

func (d *Dashboard) bases(w http.ResponseWriter, r *http.Request, v visit) error {
	list, err := d.Store.BaseImages(r.Context())
	if err != nil {
		return err
	}
	p := basesPage{More: max(0, len(list)-mostBases)}
	for i, one := range list {
		if one.Stale > 0 {
			p.Stale++
		}
		if i < mostBases {
			p.Rows = append(p.Rows, baseOfFleet{one, d.reportLink(one.Reference), d.repositoryLink(inventory.TagRow{
				Integration: one.Integration, RepositoryKey: one.Key, Image: one.Image,
			}), d.childrenLink(one)})
		}
	}
	return d.show(w, r, v, http.StatusOK, "bases", frame{Title: "Base images", Menu: "bases"}, p)
}

func (d *Dashboard) childrenLink(b inventory.BaseRow) string {
	return d.Base + "/base?" + url.Values{"integration": {b.Integration}, "repository": {b.Key}, "image": {b.Image}, "tag": {b.Tag}}.Encode()
}

type basePage struct {
	inventory.BaseChildren
	Name string
	Key  string
	Link string // the base's own report
	Rows []childRow
	More int
}

type childRow struct {
	inventory.BaseChild
	Link       string
	Repository string
}

// mostChildren is how many tags the page of a base lists.
const mostChildren = 150

// base lists the tags that stand on a base: the stale ones first, they want a rebuild.
func (d *Dashboard) base(w http.ResponseWriter, r *http.Request, v visit) error {
	q := r.URL.Query()
	repo := inventory.Repository{Key: q.Get("repository"), Image: q.Get("image")}
	if repo.Key == "" || repo.Image == "" || q.Get("tag") == "" {
		return inventory.Errorf(inventory.ErrNotFound, "no base is named").WithRemedy("choose one on the Bases page")
	}
	children, err := d.Store.BaseChildren(r.Context(), q.Get("integration"), repo, q.Get("tag"), mostChildren)
	if err != nil {
		return err
	}
	p := basePage{BaseChildren: children, Name: repo.Image + ":" + q.Get("tag"), Key: repo.Key}
	of, err := d.Store.Tags(r.Context(), inventory.TagFilter{Integration: q.Get("integration"), Key: repo.Key, Image: repo.Image, Sort: "pushed", Limit: rowsPerPage})
	if err != nil {
		return err
	}
	for _, row := range of.Rows {
		if row.Tag == q.Get("tag") {
			p.Link = d.reportLink(row.Reference)
		}
	}
	for _, one := range children.Rows {
		p.Rows = append(p.Rows, childRow{one, d.reportLink(one.Reference), d.repositoryLink(inventory.TagRow{Integration: one.Integration, RepositoryKey: one.Key, Image: one.Image})})
	}
	p.More = children.Children + children.Stale - len(p.Rows)
	return d.show(w, r, v, http.StatusOK, "base", frame{Title: p.Name, Menu: "bases"}, p)
}
