package match

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Store is what matching needs of the ledger.
type Store interface {
	// UnmatchedPackages are the packages of an image (or index) that are not yet matched
	// against the advisories of now.
	UnmatchedPackages(ctx context.Context, digest string) ([]inventory.Package, error)
	// Candidates are the advisories that name each of the keys.
	Candidates(ctx context.Context, keys []inventory.AffectedKey) (map[inventory.AffectedKey][]inventory.Advisory, error)
	// SaveVerdicts replaces all verdicts of the packages (by purl) and marks them matched.
	SaveVerdicts(ctx context.Context, matched []string, verdicts []inventory.Verdict) error
	// FinishImage makes the image analysed when no package of it is unmatched.
	FinishImage(ctx context.Context, digest string) error
	// PackagesByKeys are the packages whose keys are among these.
	PackagesByKeys(ctx context.Context, keys []inventory.AffectedKey) ([]inventory.Package, error)
	// SaveAdvisories keeps new and changed records, and says which keys they name or named.
	SaveAdvisories(ctx context.Context, records []inventory.Advisory,
		keysOf func(inventory.Advisory) []inventory.AffectedKey) ([]inventory.AffectedKey, error)
}

const (
	packageChunk  = 100 // packages matched at a time: bounds the advisories in memory
	keyChunk      = 100 // keys asked for at a time
	advisoryChunk = 500 // records saved at a time: no long write transaction
)

// Matcher keeps the verdicts of the ledger true.
type Matcher struct {
	store Store
}

// New makes a Matcher on a store.
func New(store Store) *Matcher { return &Matcher{store: store} }

// Image matches the packages of an image that nobody matched yet, and finishes it. It
// may be called any number of times: the outcome is the same.
func (m *Matcher) Image(ctx context.Context, digest string) error {
	packages, err := m.store.UnmatchedPackages(ctx, digest)
	if err != nil {
		return fmt.Errorf("match %s: %w", digest, err)
	}
	if _, err := m.packages(ctx, packages); err != nil {
		return fmt.Errorf("match %s: %w", digest, err)
	}
	if err := m.store.FinishImage(ctx, digest); err != nil {
		return fmt.Errorf("match %s: %w", digest, err)
	}
	return nil
}

// Change is what an update of the advisories did.
type Change struct {
	Keys     int // ecosystem and name pairs that new or changed advisories name
	Packages int // package versions matched again
}

// Update keeps advisories and matches again only the packages they name.
func (m *Matcher) Update(ctx context.Context, records []inventory.Advisory) (Change, error) {
	feed := m.Feed()
	if err := feed.Advisories(ctx, records); err != nil {
		return Change{}, err
	}
	return feed.Finish(ctx)
}

// Feed is an update that comes in batches: a whole feed names most packages hundreds of
// times, and matches each once, at Finish. Until Finish is called, the packages it names
// keep the verdicts they had.
type Feed struct {
	matcher *Matcher
	changed map[inventory.AffectedKey]bool
}

// Feed begins an update.
func (m *Matcher) Feed() *Feed {
	return &Feed{matcher: m, changed: map[inventory.AffectedKey]bool{}}
}

// Advisories keeps a batch and remembers what it names.
func (f *Feed) Advisories(ctx context.Context, batch []inventory.Advisory) error {
	for chunk := range slices.Chunk(batch, advisoryChunk) {
		changed, err := f.matcher.store.SaveAdvisories(ctx, chunk, AdvisoryKeys)
		if err != nil {
			return fmt.Errorf("save %d advisories: %w", len(chunk), err)
		}
		for _, key := range changed {
			f.changed[key] = true
		}
	}
	return nil
}

// Finish matches again the packages that the saved advisories name. It is worth calling
// after a failure of the feed too: what was saved counts.
func (f *Feed) Finish(ctx context.Context) (Change, error) {
	done := Change{Keys: len(f.changed)}
	keys := make([]inventory.AffectedKey, 0, len(f.changed))
	for key := range f.changed {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compareKeys)
	seen := map[string]bool{}
	for chunk := range slices.Chunk(keys, keyChunk) {
		packages, err := f.matcher.store.PackagesByKeys(ctx, chunk)
		if err != nil {
			return done, fmt.Errorf("packages named by changed advisories: %w", err)
		}
		packages = slices.DeleteFunc(packages, func(p inventory.Package) bool {
			again := seen[p.PURL]
			seen[p.PURL] = true
			return again
		})
		n, err := f.matcher.packages(ctx, packages)
		if done.Packages += n; err != nil {
			return done, fmt.Errorf("match packages named by changed advisories: %w", err)
		}
	}
	clear(f.changed)
	return done, nil
}

func compareKeys(a, b inventory.AffectedKey) int {
	if c := strings.Compare(a.Ecosystem, b.Ecosystem); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// packages matches packages and saves their verdicts, a chunk at a time.
func (m *Matcher) packages(ctx context.Context, packages []inventory.Package) (int, error) {
	done := 0
	for chunk := range slices.Chunk(packages, packageChunk) {
		candidates, err := m.store.Candidates(ctx, keysOf(chunk))
		if err != nil {
			return done, fmt.Errorf("advisories of %d packages: %w", len(chunk), err)
		}
		matched, verdicts := All(chunk, candidates)
		if err := m.store.SaveVerdicts(ctx, matched, verdicts); err != nil {
			return done, fmt.Errorf("save verdicts of %d packages: %w", len(chunk), err)
		}
		done += len(chunk)
	}
	return done, nil
}

func keysOf(packages []inventory.Package) []inventory.AffectedKey {
	seen := map[inventory.AffectedKey]bool{}
	var keys []inventory.AffectedKey
	for _, p := range packages {
		for _, key := range KeysOf(p) {
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// All matches packages against candidates by key. It answers every purl, also of
// packages without a verdict: they are matched too.
func All(packages []inventory.Package, candidates map[inventory.AffectedKey][]inventory.Advisory) (purls []string, verdicts []inventory.Verdict) {
	purls = make([]string, 0, len(packages))
	for _, p := range packages {
		purls = append(purls, p.PURL)
		verdicts = append(verdicts, Verdicts(p, candidatesOf(p, candidates))...)
	}
	return purls, verdicts
}

// candidatesOf are the advisories under a package's keys, each once.
func candidatesOf(p inventory.Package, byKey map[inventory.AffectedKey][]inventory.Advisory) []inventory.Advisory {
	keys := KeysOf(p)
	switch {
	case len(keys) == 0:
		return nil
	case len(keys) == 1 || len(byKey[keys[1]]) == 0:
		return byKey[keys[0]]
	case len(byKey[keys[0]]) == 0:
		return byKey[keys[1]]
	}
	out := slices.Clone(byKey[keys[0]])
	seen := make(map[string]bool, len(out))
	for i := range out {
		seen[out[i].ID] = true
	}
	for _, a := range byKey[keys[1]] {
		if !seen[a.ID] {
			out = append(out, a)
		}
	}
	return out
}
