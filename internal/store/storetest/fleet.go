package storetest

import (
	"errors"
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

func fleetTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"flaws of the fleet":            testFleetFlaws,
		"flaws counted by random trees": testFleetRandom,
		"packages of the fleet":         testFleetPackages,
		"base images":                   testBaseImages,
		"places":                        testPlaces,
		"retry":                         testRetry,
		"severities of tags":            testTagCounts,
	}
}

func testFleetFlaws(t *testing.T, s *store.Store) {
	threeImages(t, s)
	v := Verdict("deb/openssl@3.0.9", "CVE-1", inventory.Critical, "3.0.12")
	w := Verdict("npm/a@1", "CVE-2", inventory.High, "")
	judgeFleet(t, s, v, w)
	page, err := s.FleetFlaws(t.Context(), inventory.FlawFilter{})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, f := range page.Rows {
		got = append(got, fmt.Sprintln(f.ID, f.Severity, f.Fixable, f.Images, f.Repositories, f.Packages))
	}
	// The image that removes openssl does not have it; the one that brings it back has.
	want := []string{"CVE-1 critical true 3 3 [openssl]\n", "CVE-2 high false 1 1 [a]\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, tt := range []struct {
		f    inventory.FlawFilter
		want int
	}{
		{inventory.FlawFilter{Severity: inventory.High}, 1},
		{inventory.FlawFilter{Fixable: true}, 1},
		{inventory.FlawFilter{KEV: true}, 0},
		{inventory.FlawFilter{Text: "OpenSSL"}, 1},
		{inventory.FlawFilter{Text: "cve-"}, 2},
		{inventory.FlawFilter{Sort: "images", Limit: 1}, 2},
	} {
		page, err := s.FleetFlaws(t.Context(), tt.f)
		if err != nil || page.Total != tt.want {
			t.Errorf("%+v: %d, %v; want %d", tt.f, page.Total, err, tt.want)
		}
	}
	flawPages(t, s)
	d, err := s.Flaw(t.Context(), "CVE-1")
	if err != nil || len(d.Affected) != 1 || d.Affected[0].Images != 3 || d.Severity != inventory.Critical {
		t.Errorf("flaw: %+v, %v", d, err)
	}
	if _, err := s.Flaw(t.Context(), "CVE-9"); err == nil {
		t.Error("a flaw that nobody knows is found")
	}
	places, err := s.FlawPlaces(t.Context(), "CVE-1", "", 2)
	if err != nil || places.Total != 3 || len(places.Rows) != 2 || places.Next == "" {
		t.Fatalf("places: %+v, %v", places, err)
	}
	rest, err := s.FlawPlaces(t.Context(), "CVE-1", places.Next, 2)
	if err != nil || len(rest.Rows) != 1 || rest.Rows[0].Tags[0].Origin != "base" || rest.Rows[0].Image != "keeps" {
		t.Errorf("second page: %+v, %v", rest, err)
	}
	if tag := places.Rows[0].Tags[0]; places.Rows[0].Image != "again" || tag.Layer != 2 || tag.Origin != "own" {
		t.Errorf("brought back: %+v", places.Rows[0])
	}
}

func judgeFleet(t *testing.T, s *store.Store, verdicts ...inventory.Verdict) {
	t.Helper()
	rest, err := s.Unmatched(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var matched []string
	for _, p := range rest {
		matched = append(matched, p.PURL)
	}
	if err := s.SaveVerdicts(t.Context(), matched, verdicts); err != nil {
		t.Fatal(err)
	}
}

// flawPages goes through the pages one row at a time.
func flawPages(t *testing.T, s *store.Store) {
	t.Helper()
	for _, sort := range []string{"", "images", "since"} {
		var got []string
		f := inventory.FlawFilter{Sort: sort, Limit: 1}
		for range 5 {
			page, err := s.FleetFlaws(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range page.Rows {
				got = append(got, row.ID)
			}
			if f.After = page.Next; f.After == "" {
				break
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"CVE-1", "CVE-2"}, got); diff != "" {
			t.Errorf("by %q: %s", sort, diff)
		}
	}
}

// testFleetRandom holds who-has and the counts of the fleet to what the test itself knows.
func testFleetRandom(t *testing.T, s *store.Store) {
	rng := rand.New(rand.NewPCG(7, 11)) //nolint:gosec // a test repeats itself
	Connect(t, s, "acme")
	id, err := s.Integration(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	stacks := [][]Layer{nil}
	has := map[string]int{} // package -> images with a tag that have it
	var sightings []inventory.Sighting
	for i := range 60 {
		under := stacks[rng.IntN(len(stacks))]
		here := map[string]bool{}
		for _, l := range under {
			for _, p := range l.Add {
				here[p] = true
			}
			for _, p := range l.Remove {
				delete(here, p)
			}
		}
		l := Layer{Name: fmt.Sprint("l", i)}
		for p := range 4 {
			spec := fmt.Sprintf("deb/p%d@1", p)
			switch {
			case rng.IntN(3) > 0:
			case here[spec]:
				l.Remove = append(l.Remove, spec)
			default:
				l.Add = append(l.Add, spec)
			}
		}
		stack := append(slices.Clone(under), l)
		stacks = append(stacks, stack)
		img := Index(t, s, fmt.Sprint("r", i), stack...)
		if i == 30 { // half of what is asked below comes from bitmaps
			if err := s.Fold(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		if rng.IntN(4) > 0 {
			for _, p := range l.Add {
				here[p] = true
			}
			for _, p := range l.Remove {
				delete(here, p)
			}
			for p := range here {
				has[p]++
			}
			sightings = append(sightings, Sight(fmt.Sprintf("k/app%d:%d", i%7, i), img.Digest, Start))
		}
	}
	if _, err := s.RecordLook(t.Context(), inventory.Look{Integration: id.ID, Kind: inventory.LookReconcile, At: After(time.Hour), Sightings: sightings}); err != nil {
		t.Fatal(err)
	}
	var verdicts []inventory.Verdict
	for p := range 4 {
		verdicts = append(verdicts, Verdict(fmt.Sprintf("deb/p%d@1", p), fmt.Sprint("CVE-", p), inventory.High, ""))
	}
	judgeFleet(t, s, verdicts...)
	for p := range 4 {
		var want inventory.Reach
		err := s.Holders(t.Context(), purls(fmt.Sprintf("deb/p%d@1", p)), func(n inventory.Reach) error { want = n; return nil }, func(inventory.Holding) error { return nil })
		if err != nil || want.Images != has[fmt.Sprintf("deb/p%d@1", p)] {
			t.Fatalf("p%d: %d images, %v; want %d", p, want.Images, err, has[fmt.Sprintf("deb/p%d@1", p)])
		}
		page, err := s.FleetFlaws(t.Context(), inventory.FlawFilter{Text: fmt.Sprint("CVE-", p)})
		if err != nil || len(page.Rows) != 1 || page.Rows[0].Images != want.Images {
			t.Errorf("p%d: %+v, %v; want %d images", p, page.Rows, err, want.Images)
		}
		places, err := s.FlawPlaces(t.Context(), fmt.Sprint("CVE-", p), "", 0)
		tags := 0
		for _, r := range places.Rows {
			tags += len(r.Tags)
		}
		if err != nil || tags != want.Tags {
			t.Errorf("p%d: %d tags, %v; want %d", p, tags, err, want.Tags)
		}
	}
}

func testFleetPackages(t *testing.T, s *store.Store) {
	threeImages(t, s)
	page, err := s.FleetPackages(t.Context(), inventory.PackageFilter{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := s.FleetPackages(t.Context(), inventory.PackageFilter{Limit: 2, After: page.Next})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, p := range append(page.Rows, rest.Rows...) {
		got = append(got, fmt.Sprintf("%s %s %s %d", p.Name, p.Ecosystem, p.Versions[0].Version, p.Images))
	}
	want := []string{"a npm 1 1", "openssl Debian:12 3.0.9 3", "zlib Debian:12 1 4"}
	if diff := cmp.Diff(want, got); diff != "" || page.Total != 3 || rest.Next != "" {
		t.Errorf("total %d, next %q: %s", page.Total, rest.Next, diff)
	}
	for f, want := range map[inventory.PackageFilter]int{{Text: "SSL"}: 1, {Ecosystem: "Debian"}: 2, {Text: "%"}: 0, {License: "GPL"}: 0} {
		page, err := s.FleetPackages(t.Context(), f)
		if err != nil || page.Total != want {
			t.Errorf("%+v: %d, %v; want %d", f, page.Total, err, want)
		}
	}
	all, err := s.PackageEcosystems(t.Context())
	if diff := cmp.Diff([]string{"Debian", "npm"}, all); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func testBaseImages(t *testing.T, s *store.Store) {
	id := Connect(t, s, "acme")
	old, fresh := Layer{Name: "old"}, Layer{Name: "fresh"}
	look := func(at time.Duration, all ...inventory.Sighting) {
		if _, err := s.RecordLook(t.Context(), inventory.Look{Integration: id, Kind: inventory.LookPoll, At: After(at), Sightings: all}); err != nil {
			t.Fatal(err)
		}
	}
	a, b := Index(t, s, "base1", old), Index(t, s, "base2", fresh)
	behind := Index(t, s, "behind", old, Layer{Name: "app1"})
	current := Index(t, s, "current", fresh, Layer{Name: "app2"})
	look(time.Minute, Sight("k/base:1", a.Digest, After(time.Minute)), Sight("k/behind:1", behind.Digest, After(time.Minute)))
	look(time.Hour, Sight("k/base:1", b.Digest, After(time.Hour)), Sight("k/current:1", current.Digest, After(time.Hour)))
	rows, err := s.BaseImages(t.Context())
	if err != nil || len(rows) != 1 || rows[0].Image != "base" || rows[0].Children != 1 || rows[0].Stale != 1 {
		t.Errorf("%+v, %v; want base:1 with one child and one that stands on what it was", rows, err)
	}
	repo := inventory.Repository{Key: "k", Image: "base"}
	children, err := s.BaseChildren(t.Context(), "acme", repo, "1", 1)
	if err != nil || children.Children != 1 || children.Stale != 1 || len(children.Rows) != 1 || !children.Rows[0].Stale || children.Rows[0].Image != "behind" {
		t.Errorf("children: %+v, %v; want the stale one first", children, err)
	}
	if _, err := s.BaseChildren(t.Context(), "acme", repo, "9", 1); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("children of a tag that is not there: %v", err)
	}
	places, err := s.Places(t.Context(), a.Digest, 10)
	if err != nil || len(places) != 1 || places[0].To == nil || places[0].Tag != "1" {
		t.Errorf("places of what base:1 was: %+v, %v", places, err)
	}
}

func testPlaces(t *testing.T, s *store.Store) {
	id := Connect(t, s, "acme")
	img := Index(t, s, "app", Layer{Name: "l"})
	_, err := s.RecordLook(t.Context(), inventory.Look{Integration: id, Kind: inventory.LookPoll, At: After(time.Hour), Sightings: []inventory.Sighting{
		Sight("dev/app:1", img.Digest, After(time.Hour)), Sight("prod/app:1", img.Digest, After(time.Hour)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	places, err := s.Places(t.Context(), img.Digest, 10)
	got := []string{}
	for _, p := range places {
		got = append(got, strings.TrimPrefix(p.Reference, "acme.example/"))
	}
	if diff := cmp.Diff([]string{"dev/app:1", "prod/app:1"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func testRetry(t *testing.T, s *store.Store) {
	id := Connect(t, s, "acme")
	d := Digest("image broken")
	_, err := s.RecordLook(t.Context(), inventory.Look{Integration: id, Kind: inventory.LookPoll, At: After(time.Hour), Sightings: []inventory.Sighting{Sight("k/app:1", d, After(time.Hour))}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.RetryImage(t.Context(), d); err == nil {
		t.Error("an image that waits is tried again")
	}
	if err := s.FailImage(t.Context(), d, "layer 0: unexpected EOF", false); err != nil {
		t.Fatal(err)
	}
	if n, err := s.RetryImage(t.Context(), d); err != nil || n != 1 {
		t.Errorf("tried again: %d, %v", n, err)
	}
	if img, err := s.Image(t.Context(), d); err != nil || img.State != inventory.StateWaiting || img.Problem != "" {
		t.Errorf("after: %s %q, %v", img.State, img.Problem, err)
	}
}

func testTagCounts(t *testing.T, s *store.Store) {
	threeImages(t, s)
	judgeFleet(t, s, Verdict("deb/openssl@3.0.9", "CVE-1", inventory.Critical, "3.0.12"), Verdict("npm/a@1", "CVE-2", inventory.High, ""))
	for _, name := range []string{"base", "keeps", "drops", "again"} {
		if err := s.FinishImage(t.Context(), Digest("image "+name)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := s.TagCounts(t.Context(), inventory.TagFilter{Severity: inventory.High})
	want := inventory.Counts{Critical: 3, High: 1, Fixable: 3, FixableBy: [5]int{3}}
	if diff := cmp.Diff(want, c); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for _, catalogue := range [][]inventory.KEV{{{CVE: "CVE-2"}}, {{CVE: "CVE-1"}}, {}} {
		if err := s.SaveKEV(t.Context(), catalogue); err != nil {
			t.Fatal(err)
		}
		page, err := s.Tags(t.Context(), inventory.TagFilter{KEV: true})
		want := 0
		for _, k := range catalogue {
			want = map[string]int{"CVE-1": 3, "CVE-2": 1}[k.CVE]
		}
		if err != nil || page.Total != want {
			t.Errorf("%v exploited: %d tags, %v; want %d", catalogue, page.Total, err, want)
		}
	}
	c, err = s.TagCounts(t.Context(), inventory.TagFilter{Fixable: true, Name: "keeps"})
	if want := (inventory.Counts{Critical: 1, Fixable: 1, FixableBy: [5]int{1}}); c != want || err != nil {
		t.Errorf("%+v, %v", c, err)
	}
}
