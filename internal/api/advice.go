package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// AdviceStore finds what a base image could be replaced by.
type AdviceStore interface {
	// Siblings are the image itself, first, and what the tags of its repositories point to.
	Siblings(ctx context.Context, digest string) ([]inventory.BaseImage, error)
}

const mostUpdates = 5

func adviceRoutes() []route {
	return []route{{
		method: "GET", path: "/api/v1/recommendations", need: Read, summary: "Newer bases of an image among the known ones, with what they would change",
		query:  append(refParameters(), parameter{"base", "string", false, "digest of a known base image, in the place of ref"}),
		status: 200, reply: inventory.Advice{}, serve: (*API).recommend,
	}}
}

func (a *API) recommend(w http.ResponseWriter, r *http.Request) error {
	out := inventory.Advice{Digest: r.URL.Query().Get("base")}
	base := out.Digest
	if base == "" {
		d, err := a.dossier(r)
		if err != nil {
			return err
		}
		out.Reference, out.Digest = d.Tag.Reference, d.Image.Digest
		if len(d.SBOM.Base) > 0 {
			base = d.SBOM.Base[0].Digest
		}
	} else if !isDigest(base) {
		return invalid("%q is not the digest of an image", shorten(base))
	}
	if base != "" {
		all, err := a.store.Siblings(r.Context(), base)
		if err != nil {
			return fmt.Errorf("bases beside %s: %w", shorten(base), err)
		}
		advise(&out, all, time.Now())
	}
	return reply(w, r, http.StatusOK, out)
}

// advise picks the refreshed base and the best others.
func advise(out *inventory.Advice, all []inventory.BaseImage, now time.Time) {
	if len(all) == 0 {
		return
	}
	for i := range all {
		if all[i].Created != nil {
			days := max(int(now.Sub(*all[i].Created).Hours()/24), 0)
			all[i].AgeDays = &days
		}
	}
	base := all[0]
	out.Base = &base
	kinds := map[string]bool{}
	for _, b := range all {
		if b.Same {
			kinds[flavour(b.Tag)] = true
		}
	}
	var updates []inventory.BaseImage
	for _, b := range all[1:] {
		if !newer(b, base) {
			continue
		}
		b.Against(base)
		switch {
		case b.Same && (out.Refresh == nil || better(b, *out.Refresh) < 0):
			out.Refresh = &b
		case !b.Same && kinds[flavour(b.Tag)]:
			updates = append(updates, b)
		}
	}
	slices.SortFunc(updates, better)
	// Several tags of one digest are one choice: the tag that says most stands for it.
	seen := map[string]bool{}
	if out.Refresh != nil {
		seen[out.Refresh.Digest] = true
	}
	for _, b := range updates {
		if !seen[b.Digest] && len(out.Updates) < mostUpdates {
			seen[b.Digest] = true
			out.Updates = append(out.Updates, b)
		}
	}
}

// better orders choices: fewest of the worst findings, then the newest, then the most
// precise tag.
func better(a, b inventory.BaseImage) int {
	return cmp.Or(
		cmp.Compare(a.Findings.Critical, b.Findings.Critical), cmp.Compare(a.Findings.High, b.Findings.High),
		cmp.Compare(a.Findings.Medium, b.Findings.Medium), cmp.Compare(a.Findings.Low, b.Findings.Low),
		cmp.Compare(a.Findings.Unspecified, b.Findings.Unspecified),
		when(b).Compare(when(a)), cmp.Compare(len(b.Tag), len(a.Tag)), cmp.Compare(a.Reference, b.Reference),
	)
}

func when(b inventory.BaseImage) time.Time {
	if b.Created != nil {
		return *b.Created
	}
	return time.Time{}
}

// newer tells whether b was made after the base, or was pushed after it where that is
// all that is known.
func newer(b, base inventory.BaseImage) bool {
	if b.Created != nil && base.Created != nil && !b.Created.Equal(*base.Created) {
		return b.Created.After(*base.Created)
	}
	return b.Pushed != nil && (base.Pushed == nil || b.Pushed.After(*base.Pushed))
}

// A version in a tag: "12", "v3.18.4", and the number after a word: "alpine3.18".
var (
	versionPart = regexp.MustCompile(`^v?\d+([._]\d+)*$`)
	numberAfter = regexp.MustCompile(`\d+([._]\d+)*$`)
)

// flavour is what a tag says besides versions: "3.11-slim-bookworm" is "slim-bookworm".
func flavour(tag string) string {
	var out []string
	for part := range strings.SplitSeq(tag, "-") {
		if !versionPart.MatchString(part) {
			out = append(out, numberAfter.ReplaceAllString(part, ""))
		}
	}
	return strings.Join(out, "-")
}
