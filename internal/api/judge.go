package api

import (
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Judge knows versions and advisories: the match stage, as the composition root gives it.
type Judge interface {
	// Compare orders two versions of an ecosystem; ErrUnsupported where its order is not known.
	Compare(ecosystem, a, b string) (int, error)
	// KeysOf is where advisories for a package are found.
	KeysOf(p inventory.Package) []inventory.AffectedKey
	// Verdicts holds packages to the advisories under their keys.
	Verdicts(packages []inventory.Package, candidates map[inventory.AffectedKey][]inventory.Advisory) []inventory.Verdict
	// Explain says why an advisory hits a package, or why it does not.
	Explain(p inventory.Package, a inventory.Advisory) inventory.Judgement
}
