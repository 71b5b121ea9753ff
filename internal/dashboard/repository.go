package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	movesOf    = 25 // tags of which the history is read
	movesShown = 20
)

type repositoryPage struct {
	Key, Image, Integration string
	Rows                    []imageRow
	Total                   int
	Next, First             string
	Gone                    bool
	GoneLink                string
	Export                  string
	Source                  string
	Moves                   []move
}

// move is one change of one tag.
type move struct {
	Tag string
	inventory.TagMove
	From string // digest before; "" when it appeared
	Link string
}

func (d *Dashboard) repository(w http.ResponseWriter, r *http.Request, v visit) error {
	q := r.URL.Query()
	p := repositoryPage{Key: q.Get("repository"), Image: q.Get("image"), Integration: q.Get("integration"), Gone: q.Get("gone") != ""}
	if p.Key == "" || p.Image == "" {
		return inventory.Errorf(inventory.ErrNotFound, "no repository is named").WithRemedy("choose one on the Images page")
	}
	f := inventory.TagFilter{Integration: p.Integration, Key: p.Key, Image: p.Image, Sort: "pushed", Gone: p.Gone, After: q.Get("after"), Limit: rowsPerPage}
	page, err := d.Store.Tags(r.Context(), f)
	if err != nil {
		return err
	}
	if page.Total == 0 && !p.Gone {
		f.Gone, f.Limit = true, 1
		gone, err := d.Store.Tags(r.Context(), f)
		if err != nil {
			return err
		}
		if gone.Total == 0 {
			return inventory.Errorf(inventory.ErrNotFound, "there is no repository %s/%s", p.Key, p.Image)
		}
	}
	base := url.Values{"repository": {p.Key}, "image": {p.Image}}
	if p.Integration != "" {
		base.Set("integration", p.Integration)
	}
	p.GoneLink = d.with("/repository", base, "gone", map[bool]string{false: "1"}[p.Gone])
	if p.Gone {
		base.Set("gone", "1")
	}
	if page.Next != "" {
		p.Next = d.with("/repository", base, "after", page.Next)
	}
	if f.After != "" {
		p.First = d.with("/repository", base, "", "")
	}
	p.Total = page.Total
	for _, row := range page.Rows {
		p.Rows = append(p.Rows, d.imageRow(row))
		if p.Source == "" {
			p.Source = row.Source
		}
	}
	p.Export = d.Base + "/images?" + url.Values{"by": {"tag"}, "integration": {p.Integration}, "repository": {p.Key}, "name": {p.Image}, "format": {"csv"}}.Encode()
	if p.Moves, err = d.moves(r, page.Rows); err != nil {
		return err
	}
	return d.show(w, r, v, http.StatusOK, "repository", frame{Title: p.Image, Menu: "images"}, p)
}

// moves is what happened to the tags shown, newest first.
func (d *Dashboard) moves(r *http.Request, rows []inventory.TagRow) ([]move, error) {
	var out []move
	for _, row := range rows[:min(len(rows), movesOf)] {
		history, err := d.Store.TagHistory(r.Context(), row.ID)
		if err != nil {
			return nil, fmt.Errorf("history of %s: %w", row.Reference, err)
		}
		slices.SortFunc(history, func(a, b inventory.TagMove) int { return a.From.Compare(b.From) })
		before := ""
		for _, h := range history {
			out = append(out, move{Tag: row.Tag, TagMove: h, From: before, Link: d.reportLink(row.Reference)})
			before = h.Digest
		}
	}
	slices.SortStableFunc(out, func(a, b move) int { return b.TagMove.From.Compare(a.TagMove.From) })
	return out[:min(len(out), movesShown)], nil
}
