package dashboard

import (
	"context"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Syncer lets the advisory feeds be brought up to date soon.
type Syncer interface {
	SyncAdvisories(ctx context.Context) error
}

// syncFeeds brings every feed up to date, where the server may fetch any.
func (d *Dashboard) syncFeeds(w http.ResponseWriter, r *http.Request, _ visit) error {
	if err := d.Feeds.SyncAdvisories(r.Context()); err != nil {
		return err
	}
	return d.to(w, r, "/settings/advisories?done=sync")
}

type feedsPage struct {
	Status inventory.AdvisoryStatus
	Feeds  []feedRow
	Stale  int
	Told   string
}

// feeds shows how old what is known of advisories is, by where it came from.
func (d *Dashboard) feeds(w http.ResponseWriter, r *http.Request, v visit) error {
	st, _, err := d.status(r.Context())
	if err != nil {
		return err
	}
	p := feedsPage{Status: st.Advisories}
	list, err := d.Store.Feeds(r.Context())
	if err != nil {
		return err
	}
	if r.URL.Query().Get("done") == "sync" {
		p.Told = "Every feed is asked for what changed. This page shows how each fares, as it does."
	}
	for _, f := range list {
		row := rowOf(f, v.at)
		if row.Stale {
			p.Stale++
		}
		p.Feeds = append(p.Feeds, row)
	}
	return d.show(w, r, v, http.StatusOK, "feeds", frame{Title: "Advisory feeds", Menu: "settings", Tab: "advisories"}, p)
}

// rowOf tells a feed that is old; what the source does not have cannot be.
func rowOf(f inventory.Feed, now time.Time) feedRow {
	return feedRow{f, f.Status != inventory.FeedAbsent && now.Sub(f.Synced) > stale}
}
