package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// AdvisoryStore reads advisories.
type AdvisoryStore interface {
	Candidates(ctx context.Context, keys []inventory.AffectedKey) (map[inventory.AffectedKey][]inventory.Advisory, error)
	Advisory(ctx context.Context, id string) (inventory.Advisory, error)
}

func explainRoutes() []route {
	return []route{{
		method: "GET", path: "/api/v1/explain", need: Read, summary: "Why an image has a flaw, or why it has not",
		query:  append(refParameters(), parameter{"id", "string", true, "CVE id, alias or advisory"}),
		status: 200, reply: inventory.Explained{}, serve: (*API).explain,
	}}
}

func (a *API) explain(w http.ResponseWriter, r *http.Request) error {
	id := strings.TrimSpace(r.URL.Query().Get("id"))
	if id == "" || len(id) > 200 {
		return invalid("id is missing").WithRemedy("name a flaw: ?id=CVE-2021-44228")
	}
	d, err := a.dossier(r)
	if err != nil {
		return err
	}
	x := explainer{judge: a.judge, d: d, id: id}
	if err := x.read(r.Context(), a.store); err != nil {
		return fmt.Errorf("explain %s in %s: %w", id, d.Tag.Reference, err)
	}
	out, err := x.answer(r.Context(), a.store)
	if err != nil {
		return fmt.Errorf("explain %s in %s: %w", id, d.Tag.Reference, err)
	}
	return reply(w, r, http.StatusOK, out)
}

// explainer holds every package of an image to every advisory of one flaw.
type explainer struct {
	judge      Judge
	d          inventory.Dossier
	id         string
	advisories map[string]inventory.Advisory // of the flaw, by id
	naming     map[string][]string           // purl -> ids of those that stand under its keys
}

// read finds the advisories of the flaw among those that name a package of the image.
func (x *explainer) read(ctx context.Context, st AdvisoryStore) error {
	byKey := map[inventory.AffectedKey][]string{} // key -> purls
	var keys []inventory.AffectedKey
	for _, p := range x.d.SBOM.Packages {
		for _, key := range x.judge.KeysOf(p.Package) {
			if byKey[key] == nil {
				keys = append(keys, key)
			}
			byKey[key] = append(byKey[key], p.PURL)
		}
	}
	x.advisories, x.naming = map[string]inventory.Advisory{}, map[string][]string{}
	const step = 50 // advisories of a kernel are many: few keys at a time
	for piece := range slices.Chunk(keys, step) {
		found, err := st.Candidates(ctx, piece)
		if err != nil {
			return err
		}
		for key, list := range found {
			for _, adv := range list {
				if !x.about(adv) {
					continue
				}
				x.advisories[adv.ID] = adv
				for _, purl := range byKey[key] {
					if !slices.Contains(x.naming[purl], adv.ID) {
						x.naming[purl] = append(x.naming[purl], adv.ID)
					}
				}
			}
		}
	}
	return nil
}

// about tells whether an advisory speaks of the flaw.
func (x *explainer) about(a inventory.Advisory) bool {
	same := func(id string) bool { return strings.EqualFold(id, x.id) }
	return same(a.ID) || slices.ContainsFunc(a.Aliases, same) || slices.ContainsFunc(a.Upstream, same)
}

func (x *explainer) answer(ctx context.Context, st AdvisoryStore) (inventory.Explained, error) {
	out := inventory.Explained{
		Reference: x.d.Tag.Reference, Digest: x.d.Image.Digest, Platform: x.d.Image.Platform, ID: x.id, Known: true,
		AdvisoriesAsOf: x.d.Report.AdvisoriesAsOf, Findings: []inventory.Because{}, Others: []inventory.Judgement{},
	}
	hit := map[string]bool{}
	for _, f := range x.d.Report.Findings {
		if x.is(f) {
			hit[f.PURL] = true
			out.ID = f.ID
			out.Findings = append(out.Findings, x.because(f))
		}
	}
	unsure := false
	for _, p := range x.d.SBOM.Packages {
		if hit[p.PURL] {
			continue
		}
		for _, id := range slices.Sorted(slices.Values(x.naming[p.PURL])) {
			j := x.judge.Explain(p.Package, x.advisories[id])
			if p.OwnedBy != "" {
				j.Affected, j.Reason = false, "not assessed by itself: its files belong to "+p.OwnedBy+", which is assessed in its place"
			}
			unsure = unsure || !j.Known
			out.Others = append(out.Others, j)
		}
	}
	slices.SortStableFunc(out.Others, func(a, b inventory.Judgement) int { return cmp.Compare(a.PURL, b.PURL) })
	return out, x.conclude(ctx, st, &out, unsure)
}

func (x *explainer) is(f inventory.Finding) bool {
	same := func(id string) bool { return strings.EqualFold(id, x.id) }
	return same(f.ID) || same(f.Advisory.ID) || slices.ContainsFunc(f.Aliases, same)
}

func (x *explainer) because(f inventory.Finding) inventory.Because {
	b := inventory.Because{Finding: f}
	for _, p := range x.d.SBOM.Packages {
		if adv, ok := x.advisories[f.Advisory.ID]; ok && p.PURL == f.PURL {
			b.Reason = x.judge.Explain(p.Package, adv).Reason
		}
	}
	if b.Reason == "" { // the advisory changed since: what decided then is still told
		b.Reason = fmt.Sprintf("affected: %s %s is in %s of %s, by the %s order of versions", f.Package, f.Version, f.Why.Range, f.Advisory.ID, f.Why.Comparator)
	}
	for _, l := range x.d.SBOM.Layers {
		if l.Index == f.Layer {
			b.Instruction = l.CreatedBy
		}
	}
	for _, base := range x.d.SBOM.Base { // nearest first: the last that has the layer is the one that brought it
		if base.Layers > f.Layer {
			b.Base = cmp.Or(base.Reference, base.Digest)
		}
	}
	return b
}

// conclude says it in one sentence.
func (x *explainer) conclude(ctx context.Context, st AdvisoryStore, out *inventory.Explained, unsure bool) error {
	out.Affected = len(out.Findings) > 0
	switch {
	case out.Affected:
		out.Reason = fmt.Sprintf("affected: %s has %s", out.Reference, out.ID)
	case unsure:
		out.Known = false
		out.Reason = fmt.Sprintf("not known: a package that %s may concern could not be assessed", x.id)
	case len(out.Others) > 0:
		out.Reason = fmt.Sprintf("not affected by %s: no version of the packages it names is in its ranges", x.id)
	default:
		return x.unnamed(ctx, st, out)
	}
	return nil
}

// unnamed tells a flaw of other packages from one that nobody told us of.
func (x *explainer) unnamed(ctx context.Context, st AdvisoryStore, out *inventory.Explained) error {
	upper := strings.ToUpper(x.id)
	for _, id := range []string{x.id, upper, "DEBIAN-" + upper, "UBUNTU-" + upper, "ALPINE-" + upper, "CHAINGUARD-" + upper} {
		adv, err := st.Advisory(ctx, id)
		if errors.Is(err, inventory.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		var names []string
		for i := range adv.Affected {
			if word := adv.Affected[i].Name + " (" + adv.Affected[i].Ecosystem + ")"; !slices.Contains(names, word) && len(names) < 5 {
				names = append(names, word)
			}
		}
		out.Reason = fmt.Sprintf("not affected by %s: it names %s, and the image has none of it", x.id, strings.Join(names, ", "))
		return nil
	}
	out.Known = false
	out.Reason = fmt.Sprintf("no advisory at hand that concerns a package of this image names %s", x.id)
	if n := len(x.d.Report.Unknown); n > 0 {
		out.Reason += fmt.Sprintf("; %d packages of it are not assessed", n)
	}
	return nil
}
