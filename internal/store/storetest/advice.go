package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func adviceTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"siblings of a base":   testSiblings,
		"siblings by platform": testSiblingsOfIndex,
		"bases among stacks":   testBasesAmong,
		"scores of some flaws": testScoresOf,
	}
}

func siblings(t *testing.T, s *store.Store, d string) (rows []string) {
	t.Helper()
	all, err := s.Siblings(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		row := strings.TrimPrefix(b.Reference, "acme.example/")
		if b.Same {
			row += " same"
		}
		rows = append(rows, row)
	}
	return rows
}

func testSiblings(t *testing.T, s *store.Store) {
	id := Connect(t, s, "acme")
	old := Index(t, s, "old", Layer{Name: "old", Add: []string{"npm/a@1"}})
	Judge(t, s, old.Digest, Verdict("npm/a@1", "CVE-1", inventory.High, "2"))
	fresh := Index(t, s, "fresh", Layer{Name: "fresh", Add: []string{"npm/a@2"}})
	Judge(t, s, fresh.Digest)
	other := Index(t, s, "other", Layer{Name: "other"})
	Judge(t, s, other.Digest)
	Look(t, s, id, Start, Sight("k/base:1", old.Digest, Start), Sight("k/base:1.0", old.Digest, Start), Sight("k/elsewhere:1", other.Digest, Start),
		Sight("k/base:waits", Digest("nobody indexed it"), Start))
	later := After(time.Hour)
	Look(t, s, id, later, Sight("k/base:1", fresh.Digest, later), Sight("k/base:2", other.Digest, later))
	if diff := cmp.Diff([]string{"k/base:1.0 same", "k/base:1 same", "k/base:2"}, siblings(t, s, old.Digest)); diff != "" {
		t.Error(diff)
	}
	all, err := s.Siblings(t.Context(), old.Digest)
	if err != nil || all[0].Findings.High != 1 || all[0].Findings.Fixable != 1 || all[0].Packages != 1 || all[0].Size == 0 || all[1].Findings.High != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := s.Siblings(t.Context(), Digest("unknown")); err == nil {
		t.Error("an unknown image has siblings")
	}
}

func testSiblingsOfIndex(t *testing.T, s *store.Store) {
	id := Connect(t, s, "acme")
	var sights []inventory.Sighting
	for _, tag := range []string{"1", "2"} {
		amd := Index(t, s, "amd"+tag, Layer{Name: "amd" + tag})
		arm, chains := Build("arm"+tag, Layer{Name: "arm" + tag})
		arm.Platform = "linux/arm64"
		if err := s.SaveImage(t.Context(), arm, chains); err != nil {
			t.Fatal(err)
		}
		index := inventory.Image{Digest: Digest("index" + tag), MediaType: "m", Kind: inventory.IndexKind, Indexer: 1, Members: []inventory.IndexMember{
			{Digest: amd.Digest, Kind: inventory.ImageKind, Platform: "linux/amd64"}, {Digest: arm.Digest, Kind: inventory.ImageKind, Platform: "linux/arm64"},
		}}
		if err := s.SaveImage(t.Context(), index, nil); err != nil {
			t.Fatal(err)
		}
		sights = append(sights, Sight("k/base:"+tag, index.Digest, Start))
	}
	Look(t, s, id, Start, sights...)
	all, err := s.Siblings(t.Context(), Digest("image arm1"))
	if err != nil || len(all) != 2 || all[1].Digest != Digest("image arm2") || all[0].Reference != "acme.example/k/base:1" {
		t.Errorf("%+v, %v", all, err)
	}
}

func testBasesAmong(t *testing.T, s *store.Store) {
	id := Connect(t, s, "acme")
	low, mid := Layer{Name: "low"}, Layer{Name: "mid"}
	one, two := Index(t, s, "one", low), Index(t, s, "two", low, mid)
	Look(t, s, id, Start, Sight("k/one:1", one.Digest, Start), Sight("k/two:1", two.Digest, Start))
	got, err := s.BasesAmong(t.Context(), []string{one.ChainID, Digest("unknown"), two.ChainID})
	var names []string
	for _, b := range got {
		names = append(names, b.Reference)
	}
	if diff := cmp.Diff([]string{"acme.example/k/two:1", "acme.example/k/one:1"}, names); diff != "" || err != nil || got[0].Layers != 2 {
		t.Error(diff, got, err)
	}
	if none, err := s.BasesAmong(t.Context(), nil); err != nil || none == nil || len(none) > 0 {
		t.Error(none, err)
	}
}

func testScoresOf(t *testing.T, s *store.Store) {
	ctx := t.Context()
	if err := s.SaveKEV(ctx, []inventory.KEV{{CVE: "CVE-1", Due: new(Start)}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveEPSS(ctx, []inventory.EPSS{{CVE: "CVE-1", Score: 0.5, Percentile: 0.9}, {CVE: "CVE-2", Score: 0.1}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Scores(ctx, []string{"CVE-1", "CVE-2", "CVE-3"})
	if err != nil || len(got) != 2 || !got["CVE-1"].KEV || !got["CVE-1"].KEVDue.Equal(Start) || got["CVE-1"].EPSS.Score != 0.5 || got["CVE-2"].KEV {
		t.Errorf("%+v, %v", got, err)
	}
}
