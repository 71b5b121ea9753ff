package match

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// isCVE tells whether id is written like CVE-2024-3094.
func isCVE(id string) bool {
	rest, ok := strings.CutPrefix(id, "CVE-")
	year, number, ok2 := strings.Cut(rest, "-")
	return ok && ok2 && len(year) == 4 && len(number) >= 4 && digits(year) && digits(number)
}

// cvesOf are the CVE ids that a record names as what it is about: its own id, its
// aliases and what it stems from. What is only related is none of them.
func cvesOf(a *inventory.Advisory) []string {
	var out []string
	add := func(id string) {
		if isCVE(id) && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	add(a.ID)
	// DEBIAN-CVE-2024-3094, UBUNTU-CVE-…, ALPINE-CVE-…: one distribution's view of one CVE.
	if _, own, ok := strings.Cut(a.ID, "-CVE-"); ok {
		add("CVE-" + own)
	}
	for _, id := range a.Aliases {
		add(id)
	}
	for _, id := range a.Upstream {
		add(id)
	}
	return out
}

// joined finds for records without a CVE id the flaw they are part of: the CVE ids of
// the candidates that they are aliases of, else one id for all that are aliases of
// each other. A record with CVE ids ends the walk, so that two CVE ids are never joined.
type joined struct {
	byID map[string][]*inventory.Advisory // records by their own id and their aliases
}

func join(records []*inventory.Advisory) joined {
	j := joined{byID: make(map[string][]*inventory.Advisory, 2*len(records))}
	for _, a := range records {
		j.byID[a.ID] = append(j.byID[a.ID], a)
		for _, alias := range a.Aliases {
			j.byID[alias] = append(j.byID[alias], a)
		}
	}
	return j
}

func (j joined) flaws(a *inventory.Advisory) []string {
	if cves := cvesOf(a); len(cves) > 0 {
		return cves
	}
	seen := map[*inventory.Advisory]bool{a: true}
	todo := []*inventory.Advisory{a}
	id := a.ID
	var cves []string
	for len(todo) > 0 {
		one := todo[0]
		todo = todo[1:]
		if own := cvesOf(one); len(own) > 0 {
			cves = append(cves, own...)
			continue
		}
		if idRank(one.ID, id) < 0 {
			id = one.ID
		}
		for _, name := range append([]string{one.ID}, one.Aliases...) {
			for _, next := range j.byID[name] {
				if !seen[next] {
					seen[next] = true
					todo = append(todo, next)
				}
			}
		}
	}
	if len(cves) == 0 {
		return []string{id}
	}
	slices.Sort(cves)
	return slices.Compact(cves)
}

// idRank orders ids of one flaw that has no CVE id: the one most databases know first.
func idRank(a, b string) int {
	common := func(id string) int {
		if strings.HasPrefix(id, "GHSA-") {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(common(a), common(b)), strings.Compare(a, b))
}

// aliasesOf are the other ids of a flaw that the records which hit give it. A record of
// several CVE ids lends its own id to each, never one CVE to another.
func aliasesOf(flaw string, hits []hit) []string {
	var out []string
	add := func(id string) {
		if id != "" && id != flaw && !isCVE(id) && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	for _, h := range hits {
		add(h.advisory.ID)
		for _, id := range h.advisory.Aliases {
			if belongs(id, flaw) {
				add(id)
			}
		}
		for _, id := range h.advisory.Upstream {
			if len(h.cves) <= 1 || strings.HasSuffix(id, "-"+flaw) {
				add(id)
			}
		}
	}
	slices.Sort(out)
	return out
}

// belongs keeps out of a flaw's aliases what names another CVE: UBUNTU-CVE-2 is no
// alias of CVE-1.
func belongs(id, flaw string) bool {
	_, own, ok := strings.Cut(id, "-CVE-")
	return !ok || !isCVE(flaw) || "CVE-"+own == flaw
}
