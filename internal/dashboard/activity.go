package dashboard

import (
	"fmt"
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

type activityPage struct {
	Tally    inventory.Tally
	Bar      bar
	Problems []imageRow // failed, then unsupported
	More     int        // problems that are not shown
	Waiting  []imageRow
	Queue    int
	Cards    []card
	Done     int
	Told     string // what was just done
	Jobs     []jobRow
	Troubles []troubleRow
}

func (d *Dashboard) activity(w http.ResponseWriter, r *http.Request, v visit) error {
	st, _, err := d.status(r.Context())
	if err != nil {
		return err
	}
	list, err := d.Hub.List(r.Context())
	if err != nil {
		return fmt.Errorf("integrations: %w", err)
	}
	p := activityPage{Tally: st.Tally, Bar: coverageBar(st.Tally), Cards: d.cards(list, st), Done: st.TagsSeen - st.Waiting}
	if r.URL.Query().Get("done") == "retry" {
		p.Told = "It is tried again now, before what waits."
	}
	for _, state := range []string{inventory.StateFailed, inventory.StateUnsupported, inventory.StateWaiting} {
		page, err := d.Store.Tags(r.Context(), inventory.TagFilter{State: state, Sort: "pushed", Limit: rowsPerPage})
		if err != nil {
			return fmt.Errorf("tags that are %s: %w", state, err)
		}
		for _, row := range page.Rows {
			if state == inventory.StateWaiting {
				p.Waiting = append(p.Waiting, d.imageRow(row))
			} else {
				p.Problems = append(p.Problems, d.imageRow(row))
			}
		}
		if state == inventory.StateWaiting {
			p.Queue = page.Total
		} else {
			p.More += page.Total - len(page.Rows)
		}
	}
	if err := d.fillJobs(r.Context(), &p); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	return d.show(w, r, v, http.StatusOK, "activity", frame{Title: "Activity", Menu: "activity"}, p)
}
