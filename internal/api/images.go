package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	defaultPage = 100
	largestPage = 1000
)

func (a *API) listImages(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f, err := tagFilter(q)
	if err != nil {
		return err
	}
	switch format := q.Get("format"); format {
	case "jsonl":
		return a.streamImages(w, r, f)
	case "", "json":
	default:
		return invalid("%q is not a format", shorten(format)).WithRemedy("use json or jsonl")
	}
	page, err := a.store.Tags(r.Context(), f)
	if err != nil {
		return err
	}
	if page.Next != "" {
		q.Set("after", page.Next)
		w.Header().Set("Link", "<"+r.URL.Path+"?"+q.Encode()+`>; rel="next"`)
	}
	return reply(w, r, http.StatusOK, page)
}

// streamImages sends every row, a page of the store at a time, so that memory is bounded.
func (a *API) streamImages(w http.ResponseWriter, r *http.Request, f inventory.TagFilter) error {
	f.Limit = largestPage
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for first := true; ; first = false {
		page, err := a.store.Tags(r.Context(), f)
		if err != nil && first {
			return err
		}
		if err != nil {
			// Rows are out already: break the connection, so that nobody takes them for all.
			a.log.ErrorContext(r.Context(), "stream of images cut off", "error", err)
			panic(http.ErrAbortHandler)
		}
		if first {
			w.Header().Set("Content-Type", "application/jsonl")
		}
		for _, row := range page.Rows {
			if err := enc.Encode(whole(row)); err != nil {
				return nil //nolint:nilerr // the caller went away: there is nobody to tell
			}
		}
		if f.After = page.Next; f.After == "" {
			return nil
		}
	}
}

func tagFilter(q url.Values) (inventory.TagFilter, error) {
	f := inventory.TagFilter{
		Integration: q.Get("integration"), Key: q.Get("repository"), Image: q.Get("image"), Name: q.Get("name"),
		State: q.Get("state"), Severity: q.Get("severity"), Sort: q.Get("sort"), After: q.Get("after"), Limit: defaultPage,
	}
	if f.State != "" && !slices.Contains([]string{inventory.StateWaiting, inventory.StateAnalysed, inventory.StateFailed, inventory.StateUnsupported}, f.State) {
		return f, invalid("%q is not a state", shorten(f.State)).WithRemedy("use waiting, analysed, failed or unsupported")
	}
	if f.Severity != "" && !slices.Contains(inventory.Severities[:], f.Severity) {
		return f, invalid("%q is not a severity", shorten(f.Severity)).WithRemedy("use critical, high, medium, low or unspecified")
	}
	if f.Sort != "" && !slices.Contains([]string{"name", "pushed", "severity"}, f.Sort) {
		return f, invalid("%q is not an order", shorten(f.Sort)).WithRemedy("use name, pushed or severity")
	}
	if f.Image != "" && f.Key == "" {
		return f, invalid("image needs repository: the key that the image is in")
	}
	if s := q.Get("as_of"); s != "" {
		at, err := readMoment(s)
		if err != nil {
			return f, err
		}
		f.AsOf = &at
	}
	for name, to := range map[string]*bool{"fixable": &f.Fixable, "gone": &f.Gone, "newest": &f.Newest} {
		if s := q.Get(name); s != "" {
			v, err := strconv.ParseBool(s)
			if err != nil {
				return f, invalid("%s is neither true nor false", name)
			}
			*to = v
		}
	}
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > largestPage {
			return f, invalid("limit is not a number from 1 to %d", largestPage)
		}
		f.Limit = n
	}
	return f, nil
}

func (a *API) getImage(w http.ResponseWriter, r *http.Request) error {
	img, err := a.store.Image(r.Context(), r.PathValue("digest"))
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, img)
}

func (a *API) getTag(w http.ResponseWriter, r *http.Request) error {
	row, err := a.resolve(r)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, row)
}

func (a *API) getHistory(w http.ResponseWriter, r *http.Request) error {
	row, err := a.resolve(r)
	if err != nil {
		return err
	}
	moves, err := a.store.TagHistory(r.Context(), row.ID)
	if err != nil {
		return fmt.Errorf("history of %s: %w", row.Reference, err)
	}
	return reply(w, r, http.StatusOK, moves)
}

func (a *API) resolve(r *http.Request) (inventory.TagRow, error) {
	ref := r.URL.Query().Get("ref")
	if ref == "" {
		return inventory.TagRow{}, noRef()
	}
	return a.store.Resolve(r.Context(), ref)
}

func noRef() error {
	return invalid("ref is missing").WithRemedy("name an image: ?ref=HOST/KEY/IMAGE:TAG")
}

func (a *API) dossier(r *http.Request) (inventory.Dossier, error) {
	q := r.URL.Query()
	if q.Get("ref") == "" {
		return inventory.Dossier{}, noRef()
	}
	d, err := a.reader.Open(r.Context(), q.Get("ref"), q.Get("platform"))
	if err != nil {
		return d, err
	}
	switch d.Image.State {
	case inventory.StateAnalysed:
		return d, nil
	case inventory.StateFailed:
		return d, inventory.Errorf(inventory.ErrUnsupported, "%s could not be analysed: %s", d.Tag.Reference, d.Image.Problem)
	case inventory.StateUnsupported:
		return d, inventory.Errorf(inventory.ErrUnsupported, "%s is not supported: %s", d.Tag.Reference, d.Image.Problem)
	}
	return d, inventory.Errorf(inventory.ErrUnavailable, "%s waits for its analysis", d.Tag.Reference).
		WithRemedy("ask again in a moment")
}

func (a *API) getReport(w http.ResponseWriter, r *http.Request) error {
	d, err := a.dossier(r)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, d.Report)
}

func (a *API) getStatus(w http.ResponseWriter, r *http.Request) error {
	st, err := a.store.Status(r.Context())
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, st)
}
