package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Asker keeps questions that are asked of every image that comes later.
type Asker interface {
	Watches(ctx context.Context) ([]inventory.Watch, error)
	AddWatch(ctx context.Context, w inventory.Watch) (inventory.Watch, error)
	RemoveWatch(ctx context.Context, name string) error
}

type watchesPage struct {
	Rows   []watchRow
	Total  int
	Form   inventory.Watch
	Result result
}

type watchRow struct {
	inventory.Watch
	Link string // to who has it now
}

// watchesShown keeps the page small.
const watchesShown = 200

func (d *Dashboard) watches(w http.ResponseWriter, r *http.Request, v visit) error {
	q := r.URL.Query()
	return d.showWatches(w, r, v, http.StatusOK, watchesPage{
		Form:   inventory.Watch{Query: q.Get("q"), Ecosystem: q.Get("ecosystem")},
		Result: done(r, map[string]string{"saved": "The watch is saved. Every image that is analysed from now on is asked.", "removed": "The watch is removed."}),
	})
}

func (d *Dashboard) showWatches(w http.ResponseWriter, r *http.Request, v visit, status int, p watchesPage) error {
	all, err := d.Watches.Watches(r.Context())
	if err != nil {
		return err
	}
	p.Total = len(all)
	for _, one := range all[:min(len(all), watchesShown)] {
		p.Rows = append(p.Rows, watchRow{one, d.with("/find", url.Values{"q": {one.Query}}, "ecosystem", one.Ecosystem)})
	}
	return d.setting(w, r, v, status, "watches", "Watches", p)
}

func (d *Dashboard) addWatch(w http.ResponseWriter, r *http.Request, v visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	get := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	f := inventory.Watch{Name: get("name"), Query: get("q"), Ecosystem: get("ecosystem")}
	_, err := d.Watches.AddWatch(r.Context(), f)
	if came, ok := refused(err); ok {
		return d.showWatches(w, r, v, http.StatusUnprocessableEntity, watchesPage{Form: f, Result: came})
	}
	if err != nil {
		return err
	}
	return d.to(w, r, "/watches?done=saved")
}

func (d *Dashboard) removeWatch(w http.ResponseWriter, r *http.Request, _ visit) error {
	if err := d.Watches.RemoveWatch(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	return d.to(w, r, "/watches?done=removed")
}
