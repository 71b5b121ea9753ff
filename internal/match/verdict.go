package match

import (
	"cmp"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// hit is one advisory that says the package is affected.
type hit struct {
	advisory *inventory.Advisory
	entry    *inventory.Affected
	outcome  outcome
	cves     []string // the CVE ids that the advisory names
	exact    bool     // the entry's ecosystem is the package's, letter for letter
}

// Verdicts holds a package to the advisories that name it and says which flaws it has:
// one verdict for each flaw, whatever number of advisories tell of it, in the order of
// their ids. Withdrawn advisories do not count. An advisory of several CVE ids gives a
// verdict for each, except where the distribution's record of that one CVE says that
// the package is not affected.
func Verdicts(p inventory.Package, candidates []inventory.Advisory) []inventory.Verdict {
	s := newSubject(p)
	if s == nil {
		return nil
	}
	hits, misses := s.hits(candidates)
	if len(hits) == 0 {
		return nil
	}
	flaws := group(hits, spared(hits, misses), candidates)
	raters := ratersOf(candidates)
	verdicts := make([]inventory.Verdict, 0, len(flaws))
	for _, f := range flaws {
		verdicts = append(verdicts, s.verdict(f, raters[f.id]))
	}
	slices.SortFunc(verdicts, func(a, b inventory.Verdict) int { return cmp.Compare(a.ID, b.ID) })
	return verdicts
}

// hits are the advisories that say the package is affected; misses those that speak of
// its very release and say that it is not.
func (s *subject) hits(candidates []inventory.Advisory) (hits []hit, misses []*inventory.Advisory) {
	for i := range candidates {
		a := &candidates[i]
		if a.Withdrawn != nil {
			continue
		}
		entry, out, ok := s.best(a)
		switch {
		case !ok:
		case out.hit:
			hits = append(hits, hit{
				advisory: a, entry: entry, outcome: out,
				cves: cvesOf(a), exact: entry.Ecosystem == s.pkg.Ecosystem,
			})
		case out.err == nil && !s.release.any:
			misses = append(misses, a)
		}
	}
	return hits, misses
}

// spared are the CVE ids that an advisory of several may not claim: a distribution's
// record of that one CVE says that the package does not have it.
func spared(hits []hit, misses []*inventory.Advisory) map[string]bool {
	if !slices.ContainsFunc(hits, func(h hit) bool { return len(h.cves) > 1 }) {
		return nil
	}
	out := make(map[string]bool, len(misses))
	for _, a := range misses {
		if cves := cvesOf(a); len(cves) == 1 {
			out[cves[0]] = true
		}
	}
	return out
}

// ratersOf are the records of one CVE id that rate it, by that id: how bad a flaw is
// they can tell even where they do not hit. Records of several CVE ids rate the worst.
func ratersOf(candidates []inventory.Advisory) map[string][]*inventory.Advisory {
	out := map[string][]*inventory.Advisory{}
	for i := range candidates {
		a := &candidates[i]
		if a.Withdrawn != nil || len(a.Severity) == 0 {
			continue
		}
		if cves := cvesOf(a); len(cves) == 1 {
			out[cves[0]] = append(out[cves[0]], a)
		}
	}
	return out
}

// flaw is the hits of one flaw, best first.
type flaw struct {
	id   string
	hits []hit
}

func group(hits []hit, spared map[string]bool, candidates []inventory.Advisory) []flaw {
	var j joined
	at := make(map[string]int, len(hits))
	var flaws []flaw
	for _, h := range hits {
		ids := h.cves
		if len(ids) == 0 {
			if j.byID == nil {
				j = join(live(candidates))
			}
			ids = j.flaws(h.advisory)
		}
		for _, id := range ids {
			if len(h.cves) > 1 && spared[id] {
				continue
			}
			n, ok := at[id]
			if !ok {
				n = len(flaws)
				at[id] = n
				flaws = append(flaws, flaw{id: id})
			}
			flaws[n].hits = append(flaws[n].hits, h)
		}
	}
	for i := range flaws {
		slices.SortStableFunc(flaws[i].hits, better)
	}
	return flaws
}

func live(candidates []inventory.Advisory) []*inventory.Advisory {
	out := make([]*inventory.Advisory, 0, len(candidates))
	for i := range candidates {
		if candidates[i].Withdrawn == nil {
			out = append(out, &candidates[i])
		}
	}
	return out
}

// better orders the hits of one flaw: the one that speaks of exactly this ecosystem, of
// this one flaw, by a range, with a fix, most recently.
func better(a, b hit) int {
	return cmp.Or(
		compareBool(a.exact, b.exact),
		compareBool(len(a.cves) <= 1, len(b.cves) <= 1),
		compareBool(!a.outcome.listed, !b.outcome.listed),
		compareBool(a.outcome.fixed != "", b.outcome.fixed != ""),
		b.advisory.Modified.Compare(a.advisory.Modified),
		cmp.Compare(a.advisory.ID, b.advisory.ID),
	)
}

// compareBool puts true first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// verdict says what the hits of a flaw say together: the best decides, the others give
// what it lacks.
func (s *subject) verdict(f flaw, raters []*inventory.Advisory) inventory.Verdict {
	main := f.hits[0]
	v := inventory.Verdict{
		PURL: s.pkg.PURL, ID: f.id, Aliases: aliasesOf(f.id, f.hits),
		AdvisoryID: main.advisory.ID, Modified: main.advisory.Modified, Published: main.advisory.Published,
		Summary: main.advisory.Summary, Fixed: []string{},
		Range: main.outcome.words(s.version(main.entry)), Comparator: s.order.name,
	}
	from := make([]rated, 0, len(f.hits))
	for _, h := range f.hits {
		from = append(from, rated{h.advisory, h.entry})
		if len(v.Fixed) == 0 && h.outcome.fixed != "" {
			v.Fixed = append(v.Fixed, h.outcome.fixed)
		}
		if v.Summary == "" {
			v.Summary = h.advisory.Summary
		}
		if v.Published == nil {
			v.Published = h.advisory.Published
		}
	}
	for _, a := range raters {
		if !slices.ContainsFunc(from, func(r rated) bool { return r.advisory == a }) {
			from = append(from, rated{advisory: a})
		}
	}
	r := rate(s.base, from)
	v.Severity, v.SeveritySource, v.CVSSVector, v.CVSSScore = r.severity, r.source, r.vector, r.score
	return v
}
