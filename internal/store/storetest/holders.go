package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func holderTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"who has a package":           testHolders,
		"who had it then":             testHoldersThen,
		"who has it, by random trees": testHoldersRandom,
		"packages by name":            testPackagesNamed,
		"packages with a flaw":        testPackagesWithFlaw,
		"owned packages do not count": testHoldersFree,
		"files":                       testHoldersOfFile,
		"indexes":                     testHoldersOfIndex,
		"ecosystems":                  testEcosystems,
	}
}

// holders lists "reference@layer" of whoever holds packages, and checks the counts.
func holders(t *testing.T, s *store.Store, q inventory.HolderQuery) []string {
	t.Helper()
	var n inventory.Reach
	tags := map[string]bool{}
	rows := []string{}
	err := s.Holders(t.Context(), q, func(got inventory.Reach) error { n = got; return nil }, func(h inventory.Holding) error {
		tags[h.Reference] = true
		row := fmt.Sprintf("%s@%d", strings.TrimPrefix(h.Reference, "acme.example/"), h.Layer)
		if h.State != inventory.HoldingPresent {
			row += " " + h.State
		}
		rows = append(rows, row)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n.Tags != len(tags) {
		t.Errorf("%d tags are promised, %d come", n.Tags, len(tags))
	}
	slices.Sort(rows)
	return rows
}

func purls(specs ...string) inventory.HolderQuery {
	q := inventory.HolderQuery{}
	for _, spec := range specs {
		q.PURLs = append(q.PURLs, Package(spec).PURL)
	}
	return q
}

// threeImages is a base, an image on it that keeps the base's package, and one that removes it.
func threeImages(t *testing.T, s *store.Store) (id int64) {
	t.Helper()
	base := Layer{Name: "base", Add: []string{"deb/openssl@3.0.9", "deb/zlib@1"}}
	id = Connect(t, s, "acme")
	all := []inventory.Sighting{}
	for _, img := range []inventory.Image{
		Index(t, s, "base", base),
		Index(t, s, "keeps", base, Layer{Name: "own", Add: []string{"npm/a@1"}}),
		Index(t, s, "drops", base, Layer{Name: "purge", Remove: []string{"deb/openssl@3.0.9"}}),
		Index(t, s, "again", base, Layer{Name: "purge", Remove: []string{"deb/openssl@3.0.9"}}, Layer{Name: "back", Add: []string{"deb/openssl@3.0.9"}}),
	} {
		for _, name := range []string{"base", "keeps", "drops", "again"} {
			if img.Digest == Digest("image "+name) {
				all = append(all, Sight("k/"+name+":1", img.Digest, Start))
			}
		}
	}
	Look(t, s, id, Start, all...)
	return id
}

func testHolders(t *testing.T, s *store.Store) {
	threeImages(t, s)
	for _, tt := range []struct {
		q    inventory.HolderQuery
		want []string
	}{
		{purls("deb/openssl@3.0.9"), []string{"k/again:1@2", "k/base:1@0", "k/keeps:1@0"}},
		{purls("npm/a@1"), []string{"k/keeps:1@1"}},
		{purls("npm/a@1", "deb/zlib@1"), []string{"k/again:1@0", "k/base:1@0", "k/drops:1@0", "k/keeps:1@0", "k/keeps:1@1"}},
		{purls("npm/nothing@1"), []string{}},
		{purls(), []string{}},
	} {
		if diff := cmp.Diff(tt.want, holders(t, s, tt.q)); diff != "" {
			t.Errorf("%v: %s", tt.q.PURLs, diff)
		}
	}
}

func testHoldersThen(t *testing.T, s *store.Store) {
	id := threeImages(t, s)
	keeps, drops := Digest("image keeps"), Digest("image drops")
	Look(t, s, id, After(2*time.Hour), Sight("k/keeps:1", drops, After(2*time.Hour))) // moves away
	gone, err := s.LiveTags(t.Context(), id, "k")
	if err != nil {
		t.Fatal(err)
	}
	gone = slices.DeleteFunc(gone, func(l inventory.LiveTag) bool { return l.Image != "again" })
	_, err = s.RecordLook(t.Context(), inventory.Look{Integration: id, Kind: inventory.LookReconcile, Gone: gone, At: After(4 * time.Hour), Indexer: 1})
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) *time.Time { t := After(d); return &t }
	q := purls("deb/openssl@3.0.9")
	for _, tt := range []struct {
		at   *time.Time
		gone bool
		want []string
	}{
		{nil, false, []string{"k/base:1@0"}},
		{nil, true, []string{"k/again:1@2 gone", "k/base:1@0", "k/keeps:1@0 gone"}},
		{at(-time.Hour), false, []string{}},
		{at(time.Hour), false, []string{"k/again:1@2 gone", "k/base:1@0", "k/keeps:1@0 gone"}},
		{at(3 * time.Hour), false, []string{"k/again:1@2 gone", "k/base:1@0"}},
		{at(5 * time.Hour), false, []string{"k/base:1@0"}},
	} {
		q.AsOf, q.Gone = tt.at, tt.gone
		if diff := cmp.Diff(tt.want, holders(t, s, q)); diff != "" {
			t.Errorf("%v %v: %s", tt.at, tt.gone, diff)
		}
	}
	_ = keeps
}

// testHoldersRandom holds the walk to what each image says of itself.
func testHoldersRandom(t *testing.T, s *store.Store) {
	rnd := rand.New(rand.NewPCG(1, 2))
	id := Connect(t, s, "acme")
	packages := []string{"npm/a@1", "npm/b@1", "npm/c@1", "deb/d@1"}
	stacks := [][]Layer{{}}
	want := map[string][]string{}
	var sights []inventory.Sighting
	for n := range 40 {
		below := stacks[rnd.IntN(len(stacks))]
		has := map[string]bool{}
		since := map[string]int{}
		for i, l := range below {
			apply(has, since, l, i)
		}
		own := Layer{Name: fmt.Sprint("l", n)}
		for _, p := range packages {
			switch {
			case has[p] && rnd.IntN(4) == 0:
				own.Remove = append(own.Remove, p)
			case !has[p] && rnd.IntN(3) == 0:
				own.Add = append(own.Add, p)
			}
		}
		layers := append(slices.Clone(below), own)
		stacks = append(stacks, layers)
		apply(has, since, own, len(layers)-1)
		img := Index(t, s, fmt.Sprint("i", n), layers...)
		for tag := range rnd.IntN(3) {
			ref := fmt.Sprintf("k/i%d:%d", n, tag)
			sights = append(sights, Sight(ref, img.Digest, Start))
			for p := range has {
				want[p] = append(want[p], fmt.Sprintf("%s@%d", ref, since[p]))
			}
		}
	}
	Look(t, s, id, Start, sights...)
	for _, p := range packages {
		slices.Sort(want[p])
		if diff := cmp.Diff(want[p], holders(t, s, purls(p))); diff != "" {
			t.Errorf("%s: %s", p, diff)
		}
	}
}

func apply(has map[string]bool, since map[string]int, l Layer, depth int) {
	for _, p := range l.Remove {
		delete(has, p)
	}
	for _, p := range l.Add {
		has[p], since[p] = true, depth
	}
}

func testPackagesNamed(t *testing.T, s *store.Store) {
	img, chains := Build("x", Layer{Name: "x", Add: []string{
		"npm/a@1", "npm/a@2", "npm/ab@1", "pypi/a@1", "deb/a@1", "deb/lib-a@1", "maven/org.a:core@1", "npm/x/core@2", "npm/100%_core@1",
	}})
	for i := range chains[0].Added {
		if chains[0].Added[i].Name == "lib-a" {
			chains[0].Added[i].SourceName = "a"
		}
	}
	if err := s.SaveImage(t.Context(), img, chains); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		q    inventory.PackageQuery
		want string
	}{
		{inventory.PackageQuery{Names: []string{"a"}}, "pkg:deb/a@1 pkg:deb/lib-a@1 pkg:npm/a@1 pkg:npm/a@2 pkg:pypi/a@1"},
		{inventory.PackageQuery{PURL: "pkg:npm/a"}, "pkg:npm/a@1 pkg:npm/a@2"},
		{inventory.PackageQuery{Names: []string{"zzz"}, Keys: []inventory.AffectedKey{{Ecosystem: "PyPI", Name: "a"}}}, "pkg:pypi/a@1"},
		{inventory.PackageQuery{Names: []string{"core"}}, "pkg:maven/org.a:core@1 pkg:npm/x/core@2"},
		{inventory.PackageQuery{Names: []string{"%"}}, ""},
		{inventory.PackageQuery{PURL: "pkg:npm/"}, ""},
		{inventory.PackageQuery{}, ""},
	} {
		found, err := s.PackagesNamed(t.Context(), tt.q)
		if err != nil || found == nil {
			t.Fatal(found, err)
		}
		var got []string
		for _, p := range found {
			got = append(got, p.PURL)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%+v: %q, want %q", tt.q, strings.Join(got, " "), tt.want)
		}
	}
}

func testPackagesWithFlaw(t *testing.T, s *store.Store) {
	img := Index(t, s, "x", Layer{Name: "x", Add: []string{"npm/a@1", "npm/b@1"}})
	Judge(t, s, img.Digest, Verdict("npm/a@1", "CVE-1", inventory.High, ""), Verdict("npm/b@1", "CVE-2", inventory.High, ""))
	adv := Advisory("GHSA-CVE-1", Start, "npm/a")
	adv.Aliases = []string{"CVE-1", "CVE-2"} // CVE-2's verdict does not say so: it is not of this advisory
	if _, err := s.SaveAdvisories(t.Context(), []inventory.Advisory{adv}, AdvisoryKeys); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"CVE-1": "pkg:npm/a@1", "GHSA-CVE-1": "pkg:npm/a@1", "CVE-3": ""} {
		found, err := s.PackagesWithFlaw(t.Context(), id)
		got := ""
		for _, p := range found {
			got += p.PURL
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", id, got, err)
		}
	}
}

func testHoldersFree(t *testing.T, s *store.Store) {
	id := Connect(t, s, "acme")
	owned := Index(t, s, "owned", Layer{Name: "o", Add: []string{"deb/d@1", "pypi/a@1 in usr/lib of pkg:deb/d@1"}})
	free := Index(t, s, "free", Layer{Name: "f", Add: []string{"pypi/a@1 in opt"}})
	both := Index(t, s, "both", Layer{Name: "o", Add: []string{"deb/d@1", "pypi/a@1 in usr/lib of pkg:deb/d@1"}}, Layer{Name: "b", Add: []string{"pypi/a@1 in opt"}})
	Look(t, s, id, Start, Sight("k/owned:1", owned.Digest, Start), Sight("k/free:1", free.Digest, Start), Sight("k/both:1", both.Digest, Start))
	q := purls("pypi/a@1")
	if diff := cmp.Diff([]string{"k/both:1@0", "k/free:1@0", "k/owned:1@0"}, holders(t, s, q)); diff != "" {
		t.Error(diff)
	}
	q.Free = true
	if diff := cmp.Diff([]string{"k/both:1@0", "k/free:1@0"}, holders(t, s, q)); diff != "" {
		t.Errorf("free: %s", diff)
	}
}

func testHoldersOfFile(t *testing.T, s *store.Store) {
	id := Connect(t, s, "acme")
	sum := strings.TrimPrefix(Digest("jar"), "sha256:")
	base := Layer{Name: "base", Add: []string{"npm/a@1"}}
	img, chains := Build("has", base, Layer{Name: "top"})
	chains[0].Files = []inventory.File{{Path: "app/a.jar", SHA256: sum}}
	other, more := Build("lost", base, Layer{Name: "rm"})
	more[0].Files = chains[0].Files
	more[1].FilesGone = chains[0].Files
	for _, one := range []struct {
		img    inventory.Image
		chains []inventory.ChainRecord
	}{{img, chains}, {other, more}} {
		if err := s.SaveImage(t.Context(), one.img, one.chains); err != nil {
			t.Fatal(err)
		}
	}
	Look(t, s, id, Start, Sight("k/has:1", img.Digest, Start), Sight("k/lost:1", other.Digest, Start))
	if diff := cmp.Diff([]string{"k/has:1@0"}, holders(t, s, inventory.HolderQuery{File: sum})); diff != "" {
		t.Error(diff)
	}
	if got := holders(t, s, inventory.HolderQuery{File: strings.Repeat("0", 64)}); len(got) > 0 {
		t.Errorf("an unknown file is in %v", got)
	}
	if err := s.Holders(t.Context(), inventory.HolderQuery{File: "zz"}, nil, nil); err == nil {
		t.Error("zz is a hash")
	}
}

func testHoldersOfIndex(t *testing.T, s *store.Store) {
	id := Connect(t, s, "acme")
	amd := Index(t, s, "amd", Layer{Name: "amd", Add: []string{"npm/a@1"}})
	arm := Index(t, s, "arm", Layer{Name: "arm", Add: []string{"npm/a@1"}})
	index := inventory.Image{Digest: Digest("index"), MediaType: "m", Kind: inventory.IndexKind, Indexer: 1, Members: []inventory.IndexMember{
		{Digest: amd.Digest, Kind: inventory.ImageKind, Platform: "linux/amd64"}, {Digest: arm.Digest, Kind: inventory.ImageKind, Platform: "linux/arm64"},
	}}
	if err := s.SaveImage(t.Context(), index, nil); err != nil {
		t.Fatal(err)
	}
	Look(t, s, id, Start, Sight("k/multi:1", index.Digest, Start), Sight("k/arm:1", arm.Digest, Start))
	if diff := cmp.Diff([]string{"k/arm:1@0", "k/multi:1@0"}, holders(t, s, purls("npm/a@1"))); diff != "" {
		t.Error(diff)
	}
	var n inventory.Reach
	err := s.Holders(t.Context(), purls("npm/a@1"), func(got inventory.Reach) error { n = got; return nil }, func(h inventory.Holding) error {
		if strings.Contains(h.Reference, "multi") && (h.Digest != index.Digest || h.Platform != "linux/amd64") {
			t.Errorf("row %+v", h)
		}
		return nil
	})
	if want := (inventory.Reach{Packages: 1, Images: 2, Tags: 2}); err != nil || n != want {
		t.Errorf("reach %+v, %v", n, err)
	}
}

func testEcosystems(t *testing.T, s *store.Store) {
	if got, err := s.Ecosystems(t.Context()); err != nil || got == nil || len(got) > 0 {
		t.Errorf("of an empty ledger: %v, %v", got, err)
	}
	adv := Advisory("A-1", Start, "Debian:12/openssl", "Debian:11/openssl", "npm/a")
	if _, err := s.SaveAdvisories(t.Context(), []inventory.Advisory{adv}, AdvisoryKeys); err != nil {
		t.Fatal(err)
	}
	got, err := s.Ecosystems(t.Context())
	if diff := cmp.Diff([]string{"Debian:11", "Debian:12", "npm"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
