package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func matchTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"advisories in and out":            testAdvisories,
		"a changed advisory":               testChangedAdvisory,
		"events exactly once":              testEvents,
		"counts follow verdicts":           testRefresh,
		"old knowledge never wins":         testRevision,
		"kev and epss":                     testScores,
		"packages without an ecosystem":    testMatchless,
		"a newer indexer knows a source":   testPackageChange,
		"verdicts on packages nobody has":  testStrayVerdict,
		"one flaw said twice of a package": testFlawTwice,
	}
}

func save(t *testing.T, s *store.Store, recs ...inventory.Advisory) []inventory.AffectedKey {
	t.Helper()
	changed, err := s.SaveAdvisories(t.Context(), recs, AdvisoryKeys)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func key(ecosystem, name string) inventory.AffectedKey {
	return inventory.AffectedKey{Ecosystem: ecosystem, Name: name}
}

func testAdvisories(t *testing.T, s *store.Store) {
	ctx := t.Context()
	one := Advisory("DSA-1", Start, "Debian:12/openssl", "Debian:13/openssl")
	two := Advisory("GHSA-2", Start, "npm/left-pad", "npm/right-pad")
	want := []inventory.AffectedKey{key("Debian", "openssl"), key("npm", "left-pad"), key("npm", "right-pad")}
	if diff := cmp.Diff(want, save(t, s, two, one)); diff != "" {
		t.Error(diff)
	}
	if changed := save(t, s, one, two); len(changed) != 0 {
		t.Errorf("the same again changed %v", changed)
	}
	got, err := s.Candidates(ctx, []inventory.AffectedKey{key("npm", "left-pad"), key("Debian", "openssl"), key("npm", "nothing")})
	if err != nil || len(got) != 2 || len(got[key("npm", "left-pad")]) != 1 || got[key("Debian", "openssl")][0].ID != "DSA-1" ||
		len(got[key("Debian", "openssl")][0].Affected) != 2 {
		t.Errorf("Candidates = %+v, %v", got, err)
	}
	raw, err := s.Advisory(ctx, "DSA-1")
	if err != nil || string(raw.Raw) != `{"id":"DSA-1"}` {
		t.Errorf("Advisory = %s, %v", raw.Raw, err)
	}
	at := time.Now().Add(-time.Minute)
	if err := s.AdvisoriesSynced(ctx, "osv", at); err != nil {
		t.Fatal(err)
	}
	st, err := s.Status(ctx)
	if err != nil || st.Advisories.Records != 2 || st.Advisories.Newest == nil || !st.Advisories.Newest.Equal(Start) || *st.Advisories.AgeS < 59 {
		t.Errorf("Status = %+v, %v", st.Advisories, err)
	}
	older := Advisory("DSA-1", Start.Add(-time.Hour), "Debian:12/other")
	if changed := save(t, s, older); len(changed) != 0 {
		t.Errorf("an older record changed %v", changed)
	}
}

func testChangedAdvisory(t *testing.T, s *store.Store) {
	ctx := t.Context()
	img := Index(t, s, "app", base, app)
	Judge(t, s, img.Digest)
	unmatched := func() (purls []string) {
		t.Helper()
		list, err := s.UnmatchedPackages(ctx, img.Digest)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			purls = append(purls, p.PURL)
		}
		return purls
	}
	if got := unmatched(); len(got) != 0 {
		t.Errorf("unmatched after the match: %v", got)
	}
	save(t, s, Advisory("A-1", Start, "Debian:12/openssl"))
	if diff := cmp.Diff([]string{"pkg:deb/openssl@3.0.11"}, unmatched()); diff != "" {
		t.Errorf("a crash now would lose it: %s", diff)
	}
	// The record moves to another package: both are looked at again.
	changed := save(t, s, Advisory("A-1", After(time.Hour), "Debian:12/zlib"))
	if diff := cmp.Diff([]inventory.AffectedKey{key("Debian", "openssl"), key("Debian", "zlib")}, changed); diff != "" {
		t.Error(diff)
	}
	packages, err := s.PackagesByKeys(ctx, changed)
	if err != nil || len(packages) != 2 || packages[0].PURL != "pkg:deb/openssl@3.0.11" || packages[1].Licenses == nil {
		t.Errorf("PackagesByKeys = %+v, %v", packages, err)
	}
	if got, err := s.Candidates(ctx, changed); err != nil || len(got) != 1 || len(got[key("Debian", "zlib")]) != 1 {
		t.Errorf("Candidates = %v, %v", got, err)
	}
	withdrawn := Advisory("A-1", After(2*time.Hour), "Debian:12/zlib")
	at := After(2 * time.Hour)
	withdrawn.Withdrawn = &at
	if diff := cmp.Diff([]inventory.AffectedKey{key("Debian", "zlib")}, save(t, s, withdrawn)); diff != "" {
		t.Error(diff)
	}
	if got, err := s.Candidates(ctx, changed); err != nil || len(got) != 0 {
		t.Errorf("withdrawn: %v, %v", got, err)
	}
	if all, err := s.Unmatched(ctx, 10); err != nil || len(all) != 2 {
		t.Errorf("Unmatched = %v, %v", all, err)
	}
}

func testEvents(t *testing.T, s *store.Store) {
	ctx := t.Context()
	img := Index(t, s, "app", base)
	openssl := Package("deb/openssl@3.0.11").PURL
	judge := func(verdicts ...inventory.Verdict) {
		t.Helper()
		if err := s.SaveVerdicts(ctx, []string{openssl}, verdicts); err != nil {
			t.Fatal(err)
		}
	}
	Judge(t, s, img.Digest, Verdict("deb/openssl@3.0.11", "CVE-1", inventory.Low, "")) // first match: news of the image, not of the advisory
	high := Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, "3.0.12")
	appeared := Verdict("deb/openssl@3.0.11", "CVE-2", inventory.Medium, "")
	for range 3 {
		judge(high, appeared)
	}
	for range 2 {
		judge(high)
	}
	judge(high, appeared)
	events, err := s.Events(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.Kind+" "+e.Flaw)
	}
	want := []string{"image_indexed ", "severity_changed CVE-1", "became_fixable CVE-1", "finding_appeared CVE-2", "finding_withdrawn CVE-2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if e := events[1]; e.PURL != openssl || e.Severity != inventory.High || e.Advisory != "ADV-CVE-1" {
		t.Errorf("%+v", e)
	}
	if later, err := s.Events(ctx, events[3].ID, 100); err != nil || len(later) != 1 {
		t.Errorf("after an id: %v, %v", later, err)
	}
	found, err := s.Findings(ctx, img.Digest)
	if err != nil || len(found) != 2 || found[0].Severity != inventory.High || found[0].FirstSeen.After(*found[1].FirstSeen) {
		t.Errorf("Findings = %+v, %v", found, err)
	}
}

func refresh(t *testing.T, s *store.Store) {
	t.Helper()
	for range 100 {
		more, err := s.RefreshCounts(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
	t.Fatal("counts are never done")
}

func testRefresh(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	left, right := Index(t, s, "left", base, app), Index(t, s, "right", base, Layer{Name: "r", Add: []string{"npm/r@1"}, Remove: []string{"deb/openssl@3.0.11"}})
	Look(t, s, id, Start, Sight("local/left:1", left.Digest, Start), Sight("local/right:1", right.Digest, Start), Sight("local/multi:1", Digest("index"), Start))
	err := s.SaveImage(ctx, inventory.Image{Digest: Digest("index"), Kind: inventory.IndexKind, Indexer: 1, Members: []inventory.IndexMember{
		{Digest: left.Digest, Kind: inventory.ImageKind, Platform: "linux/amd64"}, {Digest: right.Digest, Kind: inventory.ImageKind, Platform: "linux/arm64"},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	Judge(t, s, left.Digest)
	Judge(t, s, right.Digest)
	counts := func() (out []int) {
		t.Helper()
		page, err := s.Tags(ctx, inventory.TagFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Rows {
			if row.Findings == nil {
				t.Fatalf("%s is %s", row.Reference, row.State)
			}
			out = append(out, row.Findings.Total())
		}
		return out
	}
	if diff := cmp.Diff([]int{0, 0, 0}, counts()); diff != "" {
		t.Error(diff)
	}
	err = s.SaveVerdicts(ctx, []string{Package("deb/openssl@3.0.11").PURL, Package("deb/zlib@1.2").PURL}, []inventory.Verdict{
		Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, ""), Verdict("deb/zlib@1.2", "CVE-2", inventory.Low, "1.3"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2, 2, 1}, counts()); diff != "" { // left, multi, right
		t.Error(diff)
	}
	if err := s.SaveVerdicts(ctx, []string{Package("deb/zlib@1.2").PURL}, nil); err != nil {
		t.Fatal(err)
	}
	refresh(t, s)
	if diff := cmp.Diff([]int{1, 1, 0}, counts()); diff != "" {
		t.Error(diff)
	}
	if more, err := s.RefreshCounts(ctx, 10); more || err != nil {
		t.Errorf("there is always more: %v", err)
	}
}

func testRevision(t *testing.T, s *store.Store) {
	ctx := t.Context()
	img := Index(t, s, "app", base)
	openssl := Package("deb/openssl@3.0.11").PURL
	before, err := s.Revision(ctx)
	if err != nil {
		t.Fatal(err)
	}
	save(t, s, Advisory("A-1", Start, "Debian:12/openssl"))
	now, err := s.Revision(ctx)
	if err != nil || now <= before {
		t.Fatalf("Revision %d after %d, %v", now, before, err)
	}
	if err := s.SaveVerdictsAt(ctx, now, []string{openssl}, []inventory.Verdict{Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, "")}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveVerdictsAt(ctx, before, []string{openssl, Package("deb/zlib@1.2").PURL}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishImage(ctx, img.Digest); err != nil {
		t.Fatal(err)
	}
	if found, err := s.Findings(ctx, img.Digest); err != nil || len(found) != 1 {
		t.Errorf("a slow match erased what a faster one knew: %v, %v", found, err)
	}
	if got, err := s.Image(ctx, img.Digest); err != nil || got.State != inventory.StateAnalysed {
		t.Errorf("%s, %v", got.State, err)
	}
}

func testScores(t *testing.T, s *store.Store) {
	ctx := t.Context()
	img := Index(t, s, "app", base)
	Judge(t, s, img.Digest, Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, ""), Verdict("deb/zlib@1.2", "CVE-2", inventory.Low, ""))
	due := After(24 * time.Hour)
	if err := s.SaveKEV(ctx, []inventory.KEV{{CVE: "CVE-9"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.SaveKEV(ctx, []inventory.KEV{{CVE: "CVE-1", Due: &due}, {CVE: "CVE-1"}}); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveEPSS(ctx, []inventory.EPSS{{CVE: "CVE-2", Score: 0.5, Percentile: 0.9}, {CVE: "CVE-2", Score: 0.25, Percentile: 0.75}}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := s.Findings(ctx, img.Digest)
	if err != nil || len(found) != 2 {
		t.Fatal(found, err)
	}
	if !found[0].KEV || found[0].KEVDue == nil || !found[0].KEVDue.Equal(due) || found[0].EPSS != nil {
		t.Errorf("%+v", found[0])
	}
	if found[1].KEV || found[1].EPSS == nil || found[1].EPSS.Score != 0.25 || found[1].EPSS.Percentile != 0.75 {
		t.Errorf("%+v", found[1])
	}
}

func testMatchless(t *testing.T, s *store.Store) {
	img := Index(t, s, "odd", Layer{Name: "odd", Add: []string{"generic/thing@1"}})
	got, err := s.Image(t.Context(), img.Digest)
	if err != nil || got.State != inventory.StateAnalysed {
		t.Errorf("an image that no advisory can name: %s, %v", got.State, err)
	}
	if empty := Index(t, s, "empty"); empty.Digest == "" {
		t.Fatal("no digest")
	} else if got, err := s.Image(t.Context(), empty.Digest); err != nil || got.State != inventory.StateAnalysed {
		t.Errorf("an image without layers: %s, %v", got.State, err)
	}
}

func testPackageChange(t *testing.T, s *store.Store) {
	ctx := t.Context()
	img, chains := Build("app", base)
	if err := s.SaveImage(ctx, img, chains); err != nil {
		t.Fatal(err)
	}
	Judge(t, s, img.Digest)
	img.Indexer, chains[0].Indexer = 2, 2
	chains[0].Added[0].SourceName = "openssl-src"
	chains[0].Added[0].Licenses = []string{"Apache-2.0"}
	if err := s.SaveImage(ctx, img, chains); err != nil {
		t.Fatal(err)
	}
	unmatched, err := s.UnmatchedPackages(ctx, img.Digest)
	if err != nil || len(unmatched) != 1 || unmatched[0].SourceName != "openssl-src" || !cmp.Equal(unmatched[0].Licenses, []string{"Apache-2.0"}) {
		t.Errorf("UnmatchedPackages = %+v, %v", unmatched, err)
	}
	if got, err := s.PackagesByKeys(ctx, []inventory.AffectedKey{key("Debian", "openssl")}); err != nil || len(got) != 0 {
		t.Errorf("still under its old key: %v, %v", got, err)
	}
	// A watcher that was not updated yet changes nothing back.
	img.Indexer = 1
	if err := s.SaveImage(ctx, img, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Image(ctx, img.Digest); err != nil || got.Indexer != 2 {
		t.Errorf("indexer %d, %v", got.Indexer, err)
	}
}

func testStrayVerdict(t *testing.T, s *store.Store) {
	err := s.SaveVerdicts(t.Context(), []string{"pkg:npm/nobody@1"}, []inventory.Verdict{Verdict("npm/nobody@1", "CVE-1", inventory.High, "")})
	if err != nil {
		t.Error(err)
	}
	size, err := s.Size(context.WithoutCancel(t.Context()))
	if err != nil || size["verdict"] != 0 || size["package"] != 0 {
		t.Errorf("%v, %v", size, err)
	}
}

func testFlawTwice(t *testing.T, s *store.Store) {
	img := Index(t, s, "app", base)
	mild, bad := Verdict("deb/zlib@1.2", "CVE-1", inventory.Low, ""), Verdict("deb/zlib@1.2", "CVE-1", inventory.Critical, "")
	bad.AdvisoryID = "worse"
	Judge(t, s, img.Digest, mild, bad, mild)
	found, err := s.Findings(t.Context(), img.Digest)
	if err != nil || len(found) != 1 || found[0].Advisory.ID != "worse" {
		t.Errorf("Findings = %+v, %v", found, err)
	}
}
