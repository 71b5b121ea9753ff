package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Searcher answers which tags hold something.
type Searcher interface {
	WhoHas(ctx context.Context, ask inventory.WhoHas, limit int) (inventory.Holders, error)
}

type findPage struct {
	Query     string
	Kind      string // package, flaw or file
	AsOf      string
	Gone      bool
	Ecosystem string
	Answer    inventory.Holders
	Rows      []holdingRow
	Export    string
	GoneLink  string
	Watch     string // where the question can be saved; empty = it has no answer
	Problem   string
	Remedy    string
}

type holdingRow struct {
	inventory.Holding
	Link string
	Name string
}

const (
	holdersShown = 100
	mostHolders  = 1000 // in an export: what one answer of the API carries
)

var flawName = regexp.MustCompile(`^(?i:CVE|GHSA|GO|DSA|DLA|USN|RHSA|RUSTSEC|PYSEC|OSV|ALPINE-CVE|DEBIAN-CVE|UBUNTU-CVE|MAL|TEMP)-[0-9A-Za-z-]+$`)

// ranged tells a question about versions: "openssl <3.0.12", "lodash@4.17.20".
var ranged = regexp.MustCompile(`^[@\w][^\s<>=~^]*\s*(<=|>=|<|>|==|=|\^|~)\s*v?\d|^\S+\s+v?[0-9]\S*$|^[^\s:/]+@v?[0-9]\S*$|^pkg:`)

// findTarget says where a search leads: "" = to the images of that name.
func (d *Dashboard) findTarget(ctx context.Context, q string) string {
	q = strings.TrimSpace(q)
	switch {
	case q == "":
		return ""
	case flawName.MatchString(q):
		return "/vulnerability?" + url.Values{"id": {upperFlaw(q)}}.Encode()
	case ranged.MatchString(q):
		return "/find?" + url.Values{"q": {q}}.Encode()
	}
	if target := d.found(ctx, q); target != "" {
		return target
	}
	if strings.HasPrefix(q, "sha256:") {
		return "/find?" + url.Values{"q": {q}}.Encode() // no image: then a file
	}
	return ""
}

// upperFlaw writes an id as its source does: GHSA's own part is in small letters.
func upperFlaw(q string) string {
	source, rest, _ := strings.Cut(q, "-")
	if strings.EqualFold(source, "GHSA") {
		return "GHSA-" + strings.ToLower(rest)
	}
	return strings.ToUpper(q)
}

func (d *Dashboard) find(w http.ResponseWriter, r *http.Request, v visit) error {
	q := r.URL.Query()
	p := findPage{Query: strings.TrimSpace(q.Get("q")), AsOf: q.Get("as_of"), Gone: q.Get("gone") != "", Ecosystem: q.Get("ecosystem")}
	here := url.Values{"q": {p.Query}}
	for name, value := range map[string]string{"as_of": p.AsOf, "ecosystem": p.Ecosystem} {
		if value != "" {
			here.Set(name, value)
		}
	}
	p.GoneLink = d.with("/find", here, "gone", map[bool]string{false: "1"}[p.Gone])
	if p.Gone {
		here.Set("gone", "1")
	}
	p.Export = d.with("/find", here, "format", "csv")
	csv := q.Get("format") == "csv"
	if p.Query != "" {
		if err := d.ask(r.Context(), &p, csv); err != nil {
			return err
		}
	}
	if csv && p.Problem == "" {
		holdersCSV(w, p.Answer)
		return nil
	}
	return d.show(w, r, v, http.StatusOK, "find", frame{Title: "Who has it", Menu: "packages", Search: p.Query}, p)
}

// ask fills the page with the answer, or with why there is none.
func (d *Dashboard) ask(ctx context.Context, p *findPage, all bool) error {
	if d.Search == nil {
		p.Problem = "This server cannot search packages."
		return nil
	}
	ask := inventory.WhoHas{Query: p.Query, Gone: p.Gone, Ecosystem: p.Ecosystem}
	if p.AsOf != "" {
		day, err := time.Parse(time.DateOnly, p.AsOf)
		if err != nil {
			p.Problem, p.Remedy = "That is no date.", "Write it as 2026-03-01."
			return nil //nolint:nilerr // the page says it
		}
		end := day.Add(24*time.Hour - time.Millisecond)
		ask.AsOf = &end
	}
	limit := holdersShown
	if all {
		limit = mostHolders
	}
	answer, err := d.Search.WhoHas(ctx, ask, limit)
	var told *inventory.Error
	if errors.As(err, &told) && (errors.Is(err, inventory.ErrInvalid) || errors.Is(err, inventory.ErrNotFound)) {
		p.Problem, p.Remedy = told.Msg, told.Remedy
		return nil
	}
	if err != nil {
		return fmt.Errorf("who has %q: %w", p.Query, err)
	}
	p.Answer, p.Watch = answer, d.with("/watches", url.Values{"q": {p.Query}}, "ecosystem", p.Ecosystem)+"#new"
	for _, h := range answer.Holders {
		p.Rows = append(p.Rows, holdingRow{Holding: h, Link: d.reportLink(h.Reference), Name: shortName(h.Reference)})
	}
	return nil
}

func holdersCSV(w http.ResponseWriter, answer inventory.Holders) {
	out := csvFile(w, "tallyman-who-has.csv")
	_ = out.Write([]string{"reference", "digest", "platform", "purl", "version", "layer", "location", "state", "since"})
	for _, h := range answer.Holders {
		_ = out.Write(cells(h.Reference, h.Digest, h.Platform, h.PURL, h.Version, fmt.Sprint(h.Layer), h.Location, h.State, stamp(h.Since)))
	}
	out.Flush()
}
