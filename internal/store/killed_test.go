package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

// judgedPackages is how many packages an update of the advisories changes.
const judgedPackages = 150

func judgedPackage(i int) string { return fmt.Sprintf("npm/p%d@1", i) }

// judgeEverything is an update in small steps: of every package one flaw becomes worse
// and fixable, one appears and one goes; half way, one enters KEV. begun is told once.
func judgeEverything(ctx context.Context, s *store.Store, begun func()) error {
	for i := range judgedPackages {
		if i == 1 {
			begun()
		}
		if i == judgedPackages/2 {
			if err := s.SaveKEV(ctx, []inventory.KEV{{CVE: "CVE-0"}, {CVE: "CVE-1"}}); err != nil {
				return err
			}
		}
		record := storetest.Advisory(fmt.Sprint("A-", i), storetest.Start, fmt.Sprint("npm/p", i))
		if _, err := s.SaveAdvisories(ctx, []inventory.Advisory{record}, storetest.AdvisoryKeys); err != nil {
			return err
		}
		revision, err := s.Revision(ctx)
		if err != nil {
			return err
		}
		err = s.SaveVerdictsAt(ctx, revision, []string{storetest.Package(judgedPackage(i)).PURL}, []inventory.Verdict{
			storetest.Verdict(judgedPackage(i), "CVE-1", inventory.High, "2"), storetest.Verdict(judgedPackage(i), "CVE-2", inventory.Low, ""),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// TestEventsOnceAlthoughKilled kills the update at moments that nobody chose, again and
// again, and lets another finish it: every event is there, and none is there twice.
func TestEventsOnceAlthoughKilled(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o store.Options) {
		s := open(t, o)
		var packages []string
		var before []inventory.Verdict
		for i := range judgedPackages {
			packages = append(packages, judgedPackage(i))
			before = append(before, storetest.Verdict(judgedPackage(i), "CVE-1", inventory.Low, ""), storetest.Verdict(judgedPackage(i), "CVE-3", inventory.Low, ""))
		}
		img := storetest.Index(t, s, "app", storetest.Layer{Name: "app", Add: packages})
		storetest.Judge(t, s, img.Digest, before...)
		if err := s.SaveKEV(t.Context(), []inventory.KEV{{CVE: "CVE-0"}}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			cmd := child(t, "judge", o, "", "judging")
			time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
			kill(cmd)
		}
		if err := judgeEverything(t.Context(), s, func() {}); err != nil {
			t.Fatal(err)
		}
		if left, err := s.Unmatched(t.Context(), 10); err != nil || len(left) != 0 {
			t.Errorf("%d packages are left, %v", len(left), err)
		}
		all, err := s.Events(t.Context(), 0, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		times := map[string]int{}
		kinds := map[string]int{}
		for _, e := range all {
			times[e.Kind+" "+e.Flaw+" "+e.PURL]++
			kinds[e.Kind+" "+e.Flaw]++
		}
		for what, n := range times {
			if n != 1 {
				t.Errorf("%s: %d times", what, n)
			}
		}
		for _, what := range []string{"severity_changed CVE-1", "became_fixable CVE-1", "finding_appeared CVE-2", "finding_withdrawn CVE-3"} {
			if kinds[what] != judgedPackages {
				t.Errorf("%s: of %d packages, want %d", what, kinds[what], judgedPackages)
			}
		}
		if kinds["entered_kev CVE-1"] != 1 || kinds["entered_kev CVE-0"] != 0 {
			t.Errorf("kev: %v", kinds)
		}
	})
}
