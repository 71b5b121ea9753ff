package dashboard

import (
	"fmt"
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// listed is how many rows a list on a summary page has.
const listed = 8

type overviewPage struct {
	Any      bool
	Bar      bar
	Tally    inventory.Tally
	Coverage string
	Chips    []chip
	Worst    []imageRow
	Newest   []imageRow
	Cards    []card
}

func (d *Dashboard) overview(w http.ResponseWriter, r *http.Request, v visit) error {
	st, _, err := d.status(r.Context())
	if err != nil {
		return err
	}
	list, err := d.Hub.List(r.Context())
	if err != nil {
		return fmt.Errorf("integrations: %w", err)
	}
	if len(list) == 0 {
		return d.show(w, r, v, http.StatusOK, "empty", frame{Title: "Welcome", Menu: "overview"}, st.Advisories)
	}
	p := overviewPage{Any: true, Tally: st.Tally, Bar: coverageBar(st.Tally), Coverage: share(st.Analysed, st.TagsSeen)}
	f := imagesFilter{TagFilter: inventory.TagFilter{Sort: "pushed", Newest: true}}
	if p.Chips, err = d.severityFilters(r.Context(), f); err != nil {
		return err
	}
	for order, into := range map[string]*[]imageRow{"severity": &p.Worst, "pushed": &p.Newest} {
		page, err := d.Store.Tags(r.Context(), inventory.TagFilter{Sort: order, Newest: order == "severity", Limit: listed})
		if err != nil {
			return fmt.Errorf("images by %s: %w", order, err)
		}
		for _, row := range page.Rows {
			if order == "severity" && (row.Findings == nil || row.Findings.Total() == 0) {
				continue
			}
			*into = append(*into, d.imageRow(row))
		}
	}
	p.Cards = d.cards(list, st)
	return d.show(w, r, v, http.StatusOK, "overview", frame{Title: "Overview", Menu: "overview"}, p)
}
