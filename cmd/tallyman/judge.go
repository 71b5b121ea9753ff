package main

import (
	"context"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/match"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// judge is the match stage as the API asks for it.
type judge struct{}

// Compare implements api.Judge.
func (judge) Compare(ecosystem, a, b string) (int, error) { return match.Compare(ecosystem, a, b) }

// KeysOf implements api.Judge.
func (judge) KeysOf(p inventory.Package) []inventory.AffectedKey { return match.KeysOf(p) }

// Verdicts implements api.Judge.
func (judge) Verdicts(packages []inventory.Package, candidates map[inventory.AffectedKey][]inventory.Advisory) []inventory.Verdict {
	_, verdicts := match.All(packages, candidates)
	return verdicts
}

// Explain implements api.Judge.
func (judge) Explain(p inventory.Package, a inventory.Advisory) inventory.Judgement {
	return inventory.Judgement(match.Explain(p, a))
}

// coverage says why a package cannot be assessed by the advisories that a store has.
func coverage(st *store.Store) func(context.Context) (func(inventory.Package) string, error) {
	return func(ctx context.Context) (func(inventory.Package) string, error) {
		ecosystems, err := st.Ecosystems(ctx)
		return match.NewCoverage(ecosystems).Why, err
	}
}

// covers tells which ecosystems of packages the advisories of ecosystems can judge.
func covers(advisories []string) func(string) bool { return match.NewCoverage(advisories).Covers }
