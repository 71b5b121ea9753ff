package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// SearchStore finds packages, and who holds them.
type SearchStore interface {
	PackagesNamed(ctx context.Context, q inventory.PackageQuery) ([]inventory.Package, error)
	PackagesWithFlaw(ctx context.Context, id string) ([]inventory.Package, error)
	// Holders calls reach once with exact counts, and then each for every row.
	Holders(ctx context.Context, q inventory.HolderQuery, reach func(inventory.Reach) error, each func(inventory.Holding) error) error
}

// sortedRows is how many rows are put in the order of their references before they are
// sent; more come in the order of the ledger.
const sortedRows = 10_000

// HeaderReach carries the exact counts of a streamed answer.
const HeaderReach = "Tallyman-Reach"

func searchRoutes() []route {
	return []route{{
		method: "GET", path: "/api/v1/who-has", need: Read, summary: "Which tags hold a package, a flaw or a file: exact counts, then rows",
		query: []parameter{
			{"q", "string", true, "NAME RANGE ('openssl <3.0.12'), a purl with or without a range, a CVE id, or sha256:… of a file"},
			{"ecosystem", "string", false, "narrows names: Debian, Debian:12, npm, …"},
			{"as_of", "string", false, "the tags as they were then: 2026-03-01, or with the time"},
			{"gone", "boolean", false, "tags that held it once, too"},
			{"limit", "integer", false, "rows, at most 1000 (default 100); the counts are of all"},
			{"format", "string", false, "json (default) or jsonl (every row, streamed; the counts are in the header " + HeaderReach + ")"},
		},
		status: 200, reply: inventory.Holders{}, others: []string{"application/jsonl"}, serve: (*API).whoHas,
	}}
}

func (a *API) whoHas(w http.ResponseWriter, r *http.Request) error {
	ask, limit, err := readWhoHas(r.URL.Query())
	if err != nil {
		return err
	}
	q, note, err := a.holderQuery(r.Context(), ask)
	if err != nil {
		return err
	}
	switch format := r.URL.Query().Get("format"); format {
	case "jsonl":
		return a.streamHolders(w, r, q, note)
	case "", "json":
	default:
		return invalid("%q is not a format", shorten(format)).WithRemedy("use json or jsonl")
	}
	out := inventory.Holders{Query: ask.Query, AsOf: ask.AsOf, Note: note}
	err = a.store.Holders(r.Context(), q, func(n inventory.Reach) error { out.Reach = n; return nil }, func(h inventory.Holding) error {
		if out.Holders = append(out.Holders, h); len(out.Holders) >= limit {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("who has %s: %w", ask.Query, err)
	}
	sortHoldings(out.Holders)
	return reply(w, r, http.StatusOK, out)
}

var errEnough = errors.New("enough rows")

func sortHoldings(rows []inventory.Holding) {
	slices.SortFunc(rows, func(a, b inventory.Holding) int {
		return cmp.Or(cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.PURL, b.PURL), cmp.Compare(a.Location, b.Location), a.Since.Compare(b.Since))
	})
}

// streamHolders sends every row. Few rows come sorted, many as they are found.
func (a *API) streamHolders(w http.ResponseWriter, r *http.Request, q inventory.HolderQuery, note string) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	var first []inventory.Holding
	started := false
	flush := func() error {
		for _, h := range first {
			if err := enc.Encode(h); err != nil {
				return err
			}
		}
		first, started = nil, true
		return nil
	}
	reach := func(n inventory.Reach) error {
		w.Header().Set("Content-Type", "application/jsonl")
		w.Header().Set(HeaderReach, fmt.Sprintf("packages=%d, images=%d, tags=%d", n.Packages, n.Images, n.Tags))
		if note != "" {
			w.Header().Set("Tallyman-Note", note)
		}
		return nil
	}
	var gone error // the caller went away
	err := a.store.Holders(r.Context(), q, reach, func(h inventory.Holding) error {
		if started {
			gone = enc.Encode(h)
			return gone
		}
		if first = append(first, h); len(first) > sortedRows {
			gone = flush()
		}
		return gone
	})
	switch {
	case gone != nil:
		return nil //nolint:nilerr // the caller went away: there is nobody to tell
	case err != nil && !started:
		return err
	case err != nil:
		a.log.ErrorContext(r.Context(), "stream of holders cut off", "error", err)
		panic(http.ErrAbortHandler) // rows are out: nobody may take them for all
	}
	sortHoldings(first)
	if err := flush(); err != nil {
		return nil //nolint:nilerr // the caller went away: there is nobody to tell
	}
	return nil
}

func readWhoHas(v url.Values) (ask inventory.WhoHas, limit int, err error) {
	ask = inventory.WhoHas{Query: v.Get("q"), Ecosystem: v.Get("ecosystem")}
	limit = defaultPage
	if s := v.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > largestPage {
			return ask, 0, invalid("limit is not a number from 1 to %d", largestPage)
		}
	}
	if s := v.Get("gone"); s != "" {
		if ask.Gone, err = strconv.ParseBool(s); err != nil {
			return ask, 0, invalid("gone is neither true nor false")
		}
	}
	if s := v.Get("as_of"); s != "" {
		at, err := readMoment(s)
		if err != nil {
			return ask, 0, err
		}
		ask.AsOf = &at
	}
	return ask, limit, nil
}

// readMoment reads a time; a date alone is the end of that day.
func readMoment(s string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		day, err := time.Parse(time.DateOnly, s)
		if err != nil {
			return at, invalid("%q is no date", shorten(s)).WithRemedy("write 2026-03-01, or 2026-03-01T12:00:00Z")
		}
		at = day.Add(24*time.Hour - time.Millisecond)
	}
	return at.UTC(), nil
}

// holderQuery finds what is asked for: which packages, or which file.
func (a *API) holderQuery(ctx context.Context, ask inventory.WhoHas) (q inventory.HolderQuery, note string, err error) {
	asked, err := readQuestion(ask.Query)
	if err != nil {
		return q, "", err
	}
	q = inventory.HolderQuery{AsOf: ask.AsOf, Gone: ask.Gone, PURLs: []string{}}
	var notes []string
	if ask.AsOf != nil {
		notes = append(notes, "tags as they were at "+ask.AsOf.Format(time.RFC3339))
	}
	if asked.kind == askFile {
		q.File = asked.name
		return q, strings.Join(notes, "; "), nil
	}
	find := func() ([]inventory.Package, error) { return a.store.PackagesNamed(ctx, asked.packages()) }
	if asked.kind == askFlaw {
		q.Free = true
		find = func() ([]inventory.Package, error) { return a.store.PackagesWithFlaw(ctx, asked.name) }
		if ask.AsOf != nil {
			notes = append(notes, "findings by what is known today")
		}
	}
	found, err := find()
	if err != nil {
		return q, "", fmt.Errorf("who has %s: %w", ask.Query, err)
	}
	unjudged := 0
	for _, p := range found {
		if !inEcosystem(p, ask.Ecosystem) {
			continue
		}
		ok, err := asked.holds(p, a.judge.Compare)
		if err != nil {
			unjudged++
		}
		if ok {
			q.PURLs = append(q.PURLs, p.PURL)
		}
	}
	if unjudged > 0 {
		notes = append(notes, fmt.Sprintf("%d versions cannot be compared and are left out", unjudged))
	}
	return q, strings.Join(notes, "; "), nil
}
