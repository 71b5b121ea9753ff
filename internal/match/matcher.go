package match

import (
	"context"
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Store is what matching needs of the ledger.
type Store interface {
	// UnmatchedPackages are the packages of an image (or index) that are not yet matched
	// against the advisories of now, Unmatched those of the whole ledger, at most limit.
	UnmatchedPackages(ctx context.Context, digest string) ([]inventory.Package, error)
	Unmatched(ctx context.Context, limit int) ([]inventory.Package, error)
	// Revision grows with every change of the advisories.
	Revision(ctx context.Context) (int64, error)
	// Candidates are the advisories that name each of the keys.
	Candidates(ctx context.Context, keys []inventory.AffectedKey) (map[inventory.AffectedKey][]inventory.Advisory, error)
	// SaveVerdictsAt replaces all verdicts of the packages (by purl) and marks them
	// matched, except those that advisories newer than the revision name.
	SaveVerdictsAt(ctx context.Context, revision int64, matched []string, verdicts []inventory.Verdict) error
	// FinishImage makes the image analysed when no package of it is unmatched.
	FinishImage(ctx context.Context, digest string) error
	// SaveAdvisories keeps new and changed records and makes unmatched the packages that
	// they name or named. It answers the keys of those packages.
	SaveAdvisories(ctx context.Context, records []inventory.Advisory,
		keysOf func(inventory.Advisory) []inventory.AffectedKey) ([]inventory.AffectedKey, error)
}

const (
	packageChunk = 100 // packages matched at a time: bounds the advisories in memory
	restChunk    = 500 // unmatched packages asked for at a time
	maxStalls    = 20  // times that nothing is left fewer before Rest gives up
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
	if err == nil {
		err = m.packages(ctx, packages)
	}
	if err == nil {
		err = m.store.FinishImage(ctx, digest)
	}
	if err != nil {
		return fmt.Errorf("match %s: %w", digest, err)
	}
	return nil
}

// Change is what an update of the advisories did.
type Change struct {
	Keys     int // ecosystem and name pairs that new or changed advisories name
	Packages int // package versions matched again
}

// Update keeps advisories and matches again only the packages that they name.
func (m *Matcher) Update(ctx context.Context, records []inventory.Advisory) (Change, error) {
	feed := m.Feed()
	if err := feed.Advisories(ctx, records); err != nil {
		return feed.change, err
	}
	return feed.Finish(ctx)
}

// Feed is an update that comes in batches: a whole feed names most packages many times,
// and matches each once, at Finish. Until then the packages that it names are unmatched
// and keep the verdicts they had, also when the process ends.
type Feed struct {
	matcher *Matcher
	change  Change
}

// Feed begins an update.
func (m *Matcher) Feed() *Feed { return &Feed{matcher: m} }

// Advisories keeps a batch and makes unmatched the packages that it names.
func (f *Feed) Advisories(ctx context.Context, batch []inventory.Advisory) error {
	changed, err := f.matcher.store.SaveAdvisories(ctx, batch, AdvisoryKeys)
	f.change.Keys += len(changed)
	if err != nil {
		return fmt.Errorf("save %d advisories: %w", len(batch), err)
	}
	return nil
}

// Finish matches what the batches named. It is worth calling after a failure of the
// feed too: what was saved counts.
func (f *Feed) Finish(ctx context.Context) (Change, error) {
	packages, err := f.matcher.Rest(ctx)
	f.change.Packages += packages
	return f.change, err
}

// Rest matches every package that is unmatched, whatever left it so: a feed, or an
// import that was cut off. It answers how many it matched.
func (m *Matcher) Rest(ctx context.Context) (int, error) {
	done, stalls, last := 0, 0, ""
	for {
		packages, err := m.store.Unmatched(ctx, restChunk)
		if err != nil {
			return done, fmt.Errorf("packages to match: %w", err)
		}
		if len(packages) == 0 {
			return done, nil
		}
		// Advisories that change meanwhile leave packages unmatched: they are taken again.
		if packages[0].PURL != last {
			stalls = 0
		} else if stalls++; stalls > maxStalls {
			return done, inventory.Errorf(inventory.ErrUnavailable, "match %s: its advisories keep changing", last)
		}
		last = packages[0].PURL
		if err := m.packages(ctx, packages); err != nil {
			return done, err
		}
		done += len(packages)
	}
}

// packages matches packages and saves their verdicts, a chunk at a time.
func (m *Matcher) packages(ctx context.Context, packages []inventory.Package) error {
	for chunk := range slices.Chunk(packages, packageChunk) {
		revision, err := m.store.Revision(ctx)
		if err != nil {
			return fmt.Errorf("state of the advisories: %w", err)
		}
		candidates, err := m.store.Candidates(ctx, keysOf(chunk))
		if err != nil {
			return fmt.Errorf("advisories of %d packages: %w", len(chunk), err)
		}
		matched, verdicts := All(chunk, candidates)
		if err := m.store.SaveVerdictsAt(ctx, revision, matched, verdicts); err != nil {
			return fmt.Errorf("save verdicts of %d packages: %w", len(chunk), err)
		}
	}
	return nil
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
	bySource := map[sourceVersion][]inventory.Verdict{}
	for _, p := range packages {
		purls = append(purls, p.PURL)
		source, shared := sourceVersionOf(p)
		known, ok := bySource[source]
		if !ok {
			known = Verdicts(p, candidatesOf(p, candidates))
			if shared {
				bySource[source] = known
			}
		}
		from := len(verdicts)
		verdicts = append(verdicts, known...)
		for i := range verdicts[from:] {
			verdicts[from+i].PURL = p.PURL
		}
	}
	return purls, verdicts
}

// sourceVersion is what decides for all packages that one source package was built into.
type sourceVersion struct{ ecosystem, name, version string }

// sourceVersionOf is shared only where nothing but the source package decides.
func sourceVersionOf(p inventory.Package) (key sourceVersion, shared bool) {
	base, _ := split(p.Ecosystem)
	if kind := familyOf(base); !kind.source || kind.binary {
		return sourceVersion{}, false
	}
	name, version := sourceOf(p)
	return sourceVersion{p.Ecosystem, name, version}, true
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
