package match_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/match"
	"github.com/tallyman-dev/tallyman/internal/store"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

func openStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), KeysOf: match.KeysOf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// spy counts what a matcher asks of the store, and can fail or interfere.
type spy struct {
	*store.Store
	matched []string
	fail    error
	before  func() // called once, before verdicts are saved
}

func (s *spy) SaveVerdictsAt(ctx context.Context, revision int64, matched []string, verdicts []inventory.Verdict) error {
	if s.fail != nil {
		return s.fail
	}
	if do := s.before; do != nil {
		s.before = nil
		do()
	}
	s.matched = append(s.matched, matched...)
	return s.Store.SaveVerdictsAt(ctx, revision, matched, verdicts)
}

func findings(t *testing.T, s *store.Store, img inventory.Image) []string {
	t.Helper()
	list, err := s.Findings(t.Context(), img.Digest)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, f := range list {
		out = append(out, f.Package+" "+f.ID+" "+strings.Join(f.FixedVersions, ","))
	}
	return out
}

func newer(a inventory.Advisory, hours int) inventory.Advisory {
	a.Modified = a.Modified.Add(time.Duration(hours) * time.Hour)
	return a
}

func TestMatcherKeepsTheLedgerTrue(t *testing.T) {
	ctx, s := t.Context(), &spy{Store: openStore(t)}
	m := match.New(s)
	img := storetest.Index(t, s.Store, "app", storetest.Layer{Name: "one", Add: []string{"npm/a@1.0.0", "npm/b@1.0.0", "pypi/c@1.0"}})

	if _, err := m.Update(ctx, []inventory.Advisory{aliased(adv("GHSA-1", entry("npm|a", ">=0", "<1.2.0")), "CVE-2024-0001")}); err != nil {
		t.Fatal(err)
	}
	if err := m.Image(ctx, img.Digest); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a CVE-2024-0001 1.2.0"}, findings(t, s.Store, img)); diff != "" {
		t.Fatal(diff)
	}
	if got, err := s.Image(ctx, img.Digest); err != nil || got.State != inventory.StateAnalysed {
		t.Errorf("image is %s (%v)", got.State, err)
	}

	// A change of one advisory matches again only the packages it names.
	s.matched = nil
	change, err := m.Update(ctx, []inventory.Advisory{
		newer(aliased(adv("GHSA-1", entry("npm|a", ">=0", "<1.1.0")), "CVE-2024-0001"), 1), adv("PYSEC-1", entry("PyPI|C", ">=0")), adv("X-9", entry("npm|zzz", ">=0")),
	})
	if err != nil || change.Packages != 2 || change.Keys != 3 {
		t.Errorf("change %+v, %v", change, err)
	}
	if diff := cmp.Diff([]string{"pkg:npm/a@1.0.0", "pkg:pypi/c@1.0"}, s.matched); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"c PYSEC-1 ", "a CVE-2024-0001 1.1.0"}, findings(t, s.Store, img)); diff != "" {
		t.Error(diff)
	}

	// The same again is no news.
	s.matched = nil
	if change, err = m.Update(ctx, []inventory.Advisory{adv("PYSEC-1", entry("PyPI|C", ">=0"))}); err != nil || change != (match.Change{}) || s.matched != nil {
		t.Errorf("change %+v, matched %v, %v", change, s.matched, err)
	}

	// Withdrawn, and no longer naming a package: the findings go.
	gone := newer(adv("PYSEC-1", entry("PyPI|C", ">=0")), 5)
	gone.Withdrawn = &then
	moved := newer(aliased(adv("GHSA-1", entry("npm|b", ">=0")), "CVE-2024-0001"), 5)
	if _, err := m.Update(ctx, []inventory.Advisory{gone, moved}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b CVE-2024-0001 "}, findings(t, s.Store, img)); diff != "" {
		t.Error(diff)
	}
}

func TestMatcherNewImageOnlyItsOwn(t *testing.T) {
	ctx, s := t.Context(), &spy{Store: openStore(t)}
	m := match.New(s)
	if _, err := m.Update(ctx, []inventory.Advisory{adv("X-1", entry("npm|a", ">=0"))}); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{{"pkg:npm/a@1.0.0"}, {"pkg:npm/b@1.0.0"}} {
		s.matched = nil
		names := []string{"npm/a@1.0.0", "npm/b@1.0.0"}[:i+1]
		img := storetest.Index(t, s.Store, fmt.Sprintf("app-%d", i), storetest.Layer{Name: fmt.Sprint(i), Add: names})
		for range 2 { // a job may run twice
			if err := m.Image(ctx, img.Digest); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, s.matched); diff != "" {
			t.Error(diff)
		}
	}
}

// TestMatcherWhileAdvisoriesChange: a verdict of what was known before must not stand
// as one of what is known now.
func TestMatcherWhileAdvisoriesChange(t *testing.T) {
	ctx, s := t.Context(), &spy{Store: openStore(t)}
	m := match.New(s)
	img := storetest.Index(t, s.Store, "app", storetest.Layer{Name: "one", Add: []string{"npm/a@1.0.0"}})
	s.before = func() {
		if _, err := s.SaveAdvisories(ctx, []inventory.Advisory{adv("X-1", entry("npm|a", ">=0"))}, match.AdvisoryKeys); err != nil {
			t.Error(err)
		}
	}
	if err := m.Image(ctx, img.Digest); err != nil {
		t.Fatal(err)
	}
	if left, err := s.UnmatchedPackages(ctx, img.Digest); err != nil || len(left) != 1 {
		t.Errorf("%d unmatched, %v: the change was lost", len(left), err)
	}
	if n, err := m.Rest(ctx); err != nil || n != 1 {
		t.Errorf("matched %d, %v", n, err)
	}
	if diff := cmp.Diff([]string{"a X-1 "}, findings(t, s.Store, img)); diff != "" {
		t.Error(diff)
	}
}

// TestMatcherIsCutOff: what an update saved before it failed is matched by the next.
func TestMatcherIsCutOff(t *testing.T) {
	ctx, s := t.Context(), &spy{Store: openStore(t)}
	m := match.New(s)
	img := storetest.Index(t, s.Store, "app", storetest.Layer{Name: "one", Add: []string{"npm/a@1.0.0"}})
	s.fail = errors.New("disk full")
	if _, err := m.Update(ctx, []inventory.Advisory{adv("X-1", entry("npm|a", ">=0"))}); !errors.Is(err, s.fail) {
		t.Errorf("got %v", err)
	}
	if err := m.Image(ctx, img.Digest); err == nil || !strings.Contains(err.Error(), img.Digest) {
		t.Errorf("got %v", err)
	}
	s.fail = nil
	if n, err := m.Rest(ctx); err != nil || n != 1 || len(findings(t, s.Store, img)) != 1 {
		t.Errorf("matched %d, %v", n, err)
	}
}
