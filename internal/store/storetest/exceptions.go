package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func exceptionTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"exceptions and counts":    testExceptionCounts,
		"exceptions expire":        testExceptionExpires,
		"exceptions of a product":  testExceptionProduct,
		"exceptions are one scope": testExceptionScope,
	}
}

// excepted is two images that share a flawed package, in two repositories.
func excepted(t *testing.T, s *store.Store) (one, two inventory.Image) {
	t.Helper()
	base := Layer{Name: "base", Add: []string{"npm/a@1"}}
	one, two = Index(t, s, "one", base), Index(t, s, "two", base, Layer{Name: "own", Add: []string{"npm/b@1"}})
	id := Connect(t, s, "acme")
	Look(t, s, id, Start, Sight("k/one:1", one.Digest, Start), Sight("k/two:1", two.Digest, Start))
	Judge(t, s, one.Digest, Verdict("npm/a@1", "CVE-1", inventory.Critical, "2"))
	Judge(t, s, two.Digest, Verdict("npm/b@1", "CVE-2", inventory.High, ""))
	if err := s.SaveKEV(t.Context(), []inventory.KEV{{CVE: "CVE-1"}}); err != nil {
		t.Fatal(err)
	}
	return one, two
}

// counted is critical and high of both images, as the list of tags has them.
func counted(t *testing.T, s *store.Store) (all [4]int) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.RefreshCounts(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
	}
	for i, row := range walk(t, s, inventory.TagFilter{}) {
		all[2*i], all[2*i+1] = row.Findings.Critical, row.Findings.High
	}
	return all
}

func testExceptionCounts(t *testing.T, s *store.Store) {
	one, two := excepted(t, s)
	if got := counted(t, s); got != [4]int{1, 0, 1, 1} {
		t.Fatalf("before: %v", got)
	}
	for name, tt := range map[string]struct {
		e     inventory.Exception
		want  [4]int
		hides inventory.Hides
	}{
		"everywhere":       {inventory.Exception{CVE: "CVE-1", All: true}, [4]int{0, 0, 0, 1}, inventory.Hides{Findings: 2, Flaws: 1, Images: 2, KEV: 2}},
		"by an alias":      {inventory.Exception{CVE: "GHSA-CVE-1", Aliases: []string{"CVE-1"}, All: true}, [4]int{0, 0, 0, 1}, inventory.Hides{Findings: 2, Flaws: 1, Images: 2, KEV: 2}},
		"one image":        {inventory.Exception{CVE: "CVE-1", Image: two.Digest}, [4]int{1, 0, 0, 1}, inventory.Hides{Findings: 1, Flaws: 1, Images: 1, KEV: 1}},
		"another image":    {inventory.Exception{CVE: "CVE-2", Image: one.Digest}, [4]int{1, 0, 1, 1}, inventory.Hides{}},
		"a package":        {inventory.Exception{Package: "b", All: true}, [4]int{1, 0, 1, 0}, inventory.Hides{Findings: 1, Flaws: 1, Images: 1}},
		"a purl":           {inventory.Exception{Package: "pkg:npm/a@1", All: true}, [4]int{0, 0, 0, 1}, inventory.Hides{Findings: 2, Flaws: 1, Images: 2, KEV: 2}},
		"another version":  {inventory.Exception{Package: "pkg:npm/a@2", All: true}, [4]int{1, 0, 1, 1}, inventory.Hides{}},
		"a repository":     {inventory.Exception{CVE: "CVE-1", Repository: "k/two"}, [4]int{1, 0, 0, 1}, inventory.Hides{Findings: 1, Flaws: 1, Images: 1, KEV: 1}},
		"a repository key": {inventory.Exception{CVE: "CVE-1", Repository: "k"}, [4]int{0, 0, 0, 1}, inventory.Hides{Findings: 2, Flaws: 1, Images: 2, KEV: 2}},
	} {
		tt.e.Status = inventory.VEXFixed
		hides, err := s.PreviewExceptions(t.Context(), []inventory.Exception{tt.e})
		if err != nil || hides != tt.hides {
			t.Errorf("%s: hides %+v, %v, want %+v", name, hides, err, tt.hides)
		}
		if got := counted(t, s); got != [4]int{1, 0, 1, 1} {
			t.Errorf("%s: a preview changes counts: %v", name, got)
		}
		saved, err := s.SaveExceptions(t.Context(), []inventory.Exception{tt.e})
		if err != nil || len(saved) != 1 || saved[0].ID == 0 {
			t.Fatal(saved, err)
		}
		if got := counted(t, s); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
		row, err := s.Resolve(t.Context(), "k/two:1")
		if err != nil || row.Findings.Critical != tt.want[2] {
			t.Errorf("%s: resolved with %+v, %v", name, row.Findings, err)
		}
		if err := s.RemoveException(t.Context(), saved[0].ID); err != nil {
			t.Fatal(err)
		}
		if got := counted(t, s); got != [4]int{1, 0, 1, 1} {
			t.Errorf("%s: afterwards %v", name, got)
		}
	}
	if err := s.RemoveException(t.Context(), 999); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("remove what is not there: %v", err)
	}
}

func testExceptionExpires(t *testing.T, s *store.Store) {
	excepted(t, s)
	soon := time.Now().Add(300 * time.Millisecond)
	_, err := s.SaveExceptions(t.Context(), []inventory.Exception{
		{CVE: "CVE-1", All: true, Status: inventory.VEXFixed, Expires: &soon}, {CVE: "CVE-2", Repository: "k/*", Status: inventory.VEXFixed, Expires: &soon},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := counted(t, s); got != [4]int{} {
		t.Errorf("in force: %v", got)
	}
	time.Sleep(time.Until(soon) + 10*time.Millisecond)
	if got := counted(t, s); got != [4]int{1, 0, 1, 1} {
		t.Errorf("expired: %v", got)
	}
	all, err := s.Exceptions(t.Context())
	if err != nil || len(all) != 2 || !all[0].Expired {
		t.Errorf("%+v, %v", all, err)
	}
}

func testExceptionProduct(t *testing.T, s *store.Store) {
	id := Connect(t, s, "acme")
	inside := Index(t, s, "one", Layer{Name: "in", Add: []string{"npm/product@1 in bin/product", "npm/lib@1 in bin/product"}})
	beside := Index(t, s, "two", Layer{Name: "out", Add: []string{"npm/product@1 in bin/product", "npm/lib@1 in bin/other"}})
	Look(t, s, id, Start, Sight("k/one:1", inside.Digest, Start), Sight("k/two:1", beside.Digest, Start))
	Judge(t, s, inside.Digest, Verdict("npm/lib@1", "CVE-1", inventory.High, ""))
	Judge(t, s, beside.Digest)
	e := inventory.Exception{CVE: "CVE-1", Package: "pkg:npm/lib", Product: "pkg:npm/product", All: true, Status: inventory.VEXFixed}
	hides, err := s.PreviewExceptions(t.Context(), []inventory.Exception{e})
	if err != nil || hides != (inventory.Hides{Findings: 1, Flaws: 1, Images: 1}) {
		t.Errorf("%+v, %v", hides, err)
	}
	if _, err := s.SaveExceptions(t.Context(), []inventory.Exception{e}); err != nil {
		t.Fatal(err)
	}
	if got := counted(t, s); got != [4]int{0, 0, 0, 1} {
		t.Errorf("counts %v", got)
	}
}

func testExceptionScope(t *testing.T, s *store.Store) {
	excepted(t, s)
	for _, reason := range []string{"first", "second"} {
		if _, err := s.SaveExceptions(t.Context(), []inventory.Exception{{CVE: "CVE-1", All: true, Status: inventory.VEXAffected, Reason: reason}}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Exceptions(t.Context())
	if err != nil || len(all) != 1 || all[0].Reason != "second" || all[0].Created == nil {
		t.Errorf("%+v, %v", all, err)
	}
}
