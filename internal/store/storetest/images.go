package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// drain does every job of a kind that waits, doing nothing.
func drain(t *testing.T, s *store.Store, kind string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- s.Queue().Run(ctx, queue.Handlers{kind: {Do: func(context.Context, queue.Work) error { return nil }}}, 4)
	}()
	for waiting := 1; waiting > 0; {
		time.Sleep(20 * time.Millisecond)
		rows, err := s.Queue().Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiting = 0
		for _, st := range rows {
			if st.Kind == kind {
				waiting = st.Waiting + st.Running
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func layerTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"save and read": testLayer,
		"leases":        testLeases,
	}
}

func testLayer(t *testing.T, s *store.Store) {
	ctx := t.Context()
	rec := inventory.LayerRecord{DiffID: Digest("diff"), Digest: Digest("blob"), Size: 7, Indexer: 1, Body: []byte("what was found")}
	for range 2 {
		if err := s.SaveLayer(ctx, rec); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.LayerBodies(ctx, []string{rec.DiffID, Digest("other")}, 1)
	if err != nil || len(got) != 1 || string(got[rec.DiffID]) != "what was found" {
		t.Errorf("LayerBodies = %v, %v", got, err)
	}
	if got, err := s.LayerBodies(ctx, []string{rec.DiffID}, 2); err != nil || len(got) != 0 {
		t.Errorf("another indexer knows the layer: %v, %v", got, err)
	}
	verified, err := s.VerifiedDiffID(ctx, []string{Digest("blob"), Digest("other")})
	if err != nil || len(verified) != 1 || verified[Digest("blob")] != rec.DiffID {
		t.Errorf("VerifiedDiffID = %v, %v", verified, err)
	}
	if err := s.SaveLayer(ctx, inventory.LayerRecord{DiffID: "nonsense"}); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("a bad diff ID: %v", err)
	}
}

func testLeases(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b, c := Digest("a"), Digest("b"), Digest("c")
	missing := func(holder string, ids ...string) []string {
		t.Helper()
		got, err := s.MissingLayers(ctx, ids, 1, holder)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff([]string{b, a}, missing("first", b, a, b)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{c}, missing("second", a, b, c)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{a}, missing("first", a)); diff != "" {
		t.Errorf("a holder asks again: %s", diff)
	}
	if leased, err := s.Leased(ctx, []string{a, b, c}, 1, "second"); err != nil || !cmp.Equal(leased, []string{a, b}) {
		t.Errorf("Leased = %v, %v", leased, err)
	}
	if err := s.SaveLayer(ctx, inventory.LayerRecord{DiffID: a, Digest: Digest("blob a"), Indexer: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.ReleaseLayers(ctx, []string{b}, 1, "first"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{b}, missing("second", a, b)); diff != "" {
		t.Error(diff)
	}
}

func imageTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"from waiting to analysed": testImage,
		"shared chains":            testSharedChains,
		"unknown parent":           testUnknownParent,
		"removed packages":         testRemoved,
		"failed and back":          testFailed,
		"an index":                 testIndex,
	}
}

var (
	base = Layer{Name: "base", Add: []string{"deb/openssl@3.0.11", "deb/zlib@1.2"}}
	app  = Layer{Name: "app", Add: []string{"npm/left-pad@1.0.0 in app/node_modules/left-pad/package.json"}}
)

func testImage(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	img, chains := Build("app", base, app)
	Look(t, s, id, Start, Sight("local/app:1", img.Digest, Start))
	for range 2 {
		if err := s.SaveImage(ctx, img, chains); err != nil {
			t.Fatal(err)
		}
	}
	row, err := s.Resolve(ctx, "local/app:1")
	if err != nil || row.State != inventory.StateWaiting || row.Findings != nil {
		t.Errorf("before the match: %+v, %v", row, err)
	}
	unmatched, err := s.UnmatchedPackages(ctx, img.Digest)
	if err != nil || len(unmatched) != 3 {
		t.Fatalf("UnmatchedPackages = %v, %v", unmatched, err)
	}
	verdicts := []inventory.Verdict{
		Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, "3.0.12"),
		Verdict("npm/left-pad@1.0.0", "CVE-1", inventory.Critical, ""),
		Verdict("npm/left-pad@1.0.0", "CVE-2", inventory.Low, ""),
	}
	Judge(t, s, img.Digest, verdicts...)
	if row, err = s.Resolve(ctx, "local/app:1"); err != nil || row.State != inventory.StateAnalysed || row.Packages != 3 || row.Source == "" {
		t.Errorf("after the match: %+v, %v", row, err)
	}
	want := inventory.Counts{Critical: 1, Low: 1, Fixable: 1, FixableBy: [5]int{1}}
	if diff := cmp.Diff(&want, row.Findings); diff != "" {
		t.Error(diff)
	}
	found, err := s.Findings(ctx, img.Digest)
	if err != nil || len(found) != 3 {
		t.Fatalf("Findings = %v, %v", found, err)
	}
	if got := inventory.Count(found); got != want {
		t.Errorf("counts of the list %+v, of the row %+v", got, want)
	}
	if f := found[0]; f.ID != "CVE-1" || f.Severity != inventory.Critical || f.Layer != 1 || f.LayerDiffID != Digest("layer app") || f.Origin != "own" ||
		f.FirstSeen == nil || f.CVSS == nil || f.EPSS != nil || !cmp.Equal(f.Locations, []string{"app/node_modules/left-pad/package.json"}) {
		t.Errorf("first finding %+v", f)
	}
	back, err := s.Image(ctx, img.Digest)
	if err != nil {
		t.Fatal(err)
	}
	img.State = inventory.StateAnalysed
	img.Members, img.Problems, img.Attached = []inventory.IndexMember{}, []inventory.LayerProblem{}, []inventory.Attached{}
	c := &img.Config
	c.Entrypoint, c.Cmd, c.Ports, c.Volumes, c.History = []string{}, []string{}, []string{}, []string{}, []inventory.History{}
	if diff := cmp.Diff(img, back); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Image(ctx, Digest("nobody")); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("unknown image: %v", err)
	}
}

func testSharedChains(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	debian := Index(t, s, "debian", base)
	Look(t, s, id, Start, Sight("local/debian:12", debian.Digest, Start))
	child, chains := Build("app", base, app)
	known, err := s.KnownChains(ctx, []string{chains[0].ChainID, chains[1].ChainID}, 1)
	if err != nil || !known[chains[0].ChainID] || known[chains[1].ChainID] {
		t.Errorf("KnownChains = %v, %v", known, err)
	}
	if err := s.SaveImage(ctx, child, chains[1:]); err != nil {
		t.Fatal(err)
	}
	Look(t, s, id, Start, Sight("local/app:1", child.Digest, Start))
	Judge(t, s, child.Digest, Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, ""), Verdict("npm/left-pad@1.0.0", "CVE-2", inventory.Low, ""))
	Judge(t, s, debian.Digest)
	bases, err := s.Bases(ctx, child.ChainID)
	if err != nil || len(bases) != 1 || bases[0].Reference != "one.example/local/debian:12" || bases[0].Layers != 1 || bases[0].Digest != debian.Digest {
		t.Errorf("Bases = %+v, %v", bases, err)
	}
	if bases, err := s.Bases(ctx, debian.ChainID); err != nil || len(bases) != 0 || bases == nil {
		t.Errorf("an image is its own base: %+v, %v", bases, err)
	}
	found, err := s.Findings(ctx, child.Digest)
	if err != nil || len(found) != 2 || found[0].Origin != "base" || found[1].Origin != "own" {
		t.Errorf("Findings = %+v, %v", found, err)
	}
	img, err := s.Image(ctx, child.Digest)
	if err != nil || !img.Layers[0].Base || img.Layers[1].Base {
		t.Errorf("layers %+v, %v", img.Layers, err)
	}
	page, err := s.Tags(ctx, inventory.TagFilter{Image: "app", Key: "local"})
	if err != nil || page.Rows[0].Base != "one.example/local/debian:12" {
		t.Errorf("Tags = %+v, %v", page, err)
	}
}

func testUnknownParent(t *testing.T, s *store.Store) {
	img, chains := Build("app", base, app)
	if err := s.SaveImage(t.Context(), img, chains[1:]); !errors.Is(err, inventory.ErrUnavailable) {
		t.Errorf("without its parent: %v", err)
	}
	if err := s.SaveImage(t.Context(), img, nil); !errors.Is(err, inventory.ErrUnavailable) {
		t.Errorf("without chains: %v", err)
	}
	if _, err := s.Image(t.Context(), img.Digest); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("left behind: %v", err)
	}
}

func testRemoved(t *testing.T, s *store.Store) {
	ctx := t.Context()
	upgrade := Layer{Name: "upgrade", Add: []string{"deb/openssl@3.0.12"}, Remove: []string{"deb/openssl@3.0.11"}}
	again := Layer{Name: "again", Add: []string{"deb/openssl@3.0.11 in old/openssl", "npm/inner@1 of pkg:deb/zlib@1.2"}}
	img := Index(t, s, "app", base, upgrade, again)
	Judge(t, s, img.Digest,
		Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, "3.0.12"), Verdict("npm/inner@1", "CVE-9", inventory.Critical, ""))
	placed, err := s.Placed(ctx, img.ChainID, 1)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		purl  string
		layer int
		owner string
	}
	var got []row
	for _, p := range placed {
		got = append(got, row{p.PURL, p.Layer, p.OwnedBy})
	}
	want := []row{
		{"pkg:deb/openssl@3.0.11", 2, ""}, {"pkg:deb/openssl@3.0.12", 1, ""}, {"pkg:deb/zlib@1.2", 0, ""}, {"pkg:npm/inner@1", 2, "pkg:deb/zlib@1.2"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
		t.Error(diff)
	}
	middle := img.Layers[1].ChainID
	if placed, err = s.Placed(ctx, middle, 1); err != nil || len(placed) != 2 {
		t.Errorf("of the middle: %v, %v", placed, err)
	}
	found, err := s.Findings(ctx, img.Digest)
	if err != nil || len(found) != 1 || found[0].ID != "CVE-1" || found[0].Layer != 2 {
		t.Errorf("Findings = %+v, %v (what a distribution's package owns is matched by its owner)", found, err)
	}
	if _, err := s.Placed(ctx, Digest("nothing"), 1); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("an unknown stack: %v", err)
	}
}

func testFailed(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	img, chains := Build("app", base)
	Look(t, s, id, Start, Sight("local/app:1", img.Digest, Start))
	if err := s.FailImage(ctx, img.Digest, "layer 3 is corrupt", false); err != nil {
		t.Fatal(err)
	}
	st, err := s.Status(ctx)
	if err != nil || st.Failed != 1 || st.TagsSeen != 1 || len(st.Integrations[0].Problems) != 1 ||
		st.Integrations[0].Problems[0] != (inventory.TagProblem{Reference: "one.example/local/app:1", Problem: "layer 3 is corrupt"}) {
		t.Errorf("Status = %+v, %v", st, err)
	}
	if err := s.SaveImage(ctx, img, chains); err != nil {
		t.Fatal(err)
	}
	Judge(t, s, img.Digest)
	// What was learned of content stays true when it cannot be fetched again.
	if err := s.FailImage(ctx, img.Digest, "timeout", true); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Image(ctx, img.Digest); err != nil || got.State != inventory.StateAnalysed || got.Problem != "" {
		t.Errorf("Image = %+v, %v", got, err)
	}
}

func testIndex(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	amd, amdChains := Build("amd", base, app)
	arm, armChains := Build("arm", base, Layer{Name: "arm app", Add: []string{"npm/other@1"}})
	arm.Platform = "linux/arm64"
	index := inventory.Image{
		Digest: Digest("index"), MediaType: "application/vnd.oci.image.index.v1+json", Kind: inventory.IndexKind, Indexer: 1,
		Members: []inventory.IndexMember{
			{Digest: amd.Digest, Kind: inventory.ImageKind, Platform: "linux/amd64"},
			{Digest: arm.Digest, Kind: inventory.ImageKind, Platform: "linux/arm64"},
			{Digest: Digest("win"), Kind: inventory.ImageKind, Platform: "windows/amd64"},
			{Digest: Digest("att"), Kind: inventory.AttestationKind, Platform: "unknown/unknown"},
		},
	}
	Look(t, s, id, Start, Sight("local/multi:1", index.Digest, Start))
	if err := s.SaveImage(ctx, amd, amdChains); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.SaveImage(ctx, index, nil); err != nil {
			t.Fatal(err)
		}
	}
	state := func() inventory.TagRow {
		t.Helper()
		row, err := s.Resolve(ctx, "local/multi:1")
		if err != nil {
			t.Fatal(err)
		}
		return row
	}
	if row := state(); row.State != inventory.StateWaiting || !cmp.Equal(row.Platforms, []string{"linux/amd64", "linux/arm64", "windows/amd64"}) {
		t.Errorf("while members wait: %+v", row)
	}
	if err := s.SaveImage(ctx, inventory.Image{Digest: Digest("win"), Kind: inventory.ImageKind, Platform: "windows/amd64", Indexer: 1, State: inventory.StateUnsupported, Problem: "not Linux"}, nil); err != nil {
		t.Fatal(err)
	}
	Judge(t, s, amd.Digest, Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, ""))
	if err := s.FailImage(ctx, arm.Digest, "timeout", true); err != nil {
		t.Fatal(err)
	}
	if row := state(); row.State != inventory.StateFailed || row.Problem != "linux/arm64: timeout" {
		t.Errorf("with a failed member: %+v", row)
	}
	if err := s.SaveImage(ctx, arm, armChains); err != nil {
		t.Fatal(err)
	}
	Judge(t, s, arm.Digest, Verdict("npm/other@1", "CVE-2", inventory.Low, "2"))
	row := state()
	if diff := cmp.Diff(&inventory.Counts{High: 1, Low: 1, Fixable: 1, FixableBy: [5]int{3: 1}}, row.Findings); diff != "" || row.State != inventory.StateAnalysed || row.Packages != 4 {
		t.Errorf("%s %+v", diff, row)
	}
	member, err := s.Resolve(ctx, arm.Digest)
	if err != nil || member.Digest != arm.Digest || member.Tag != "1" || !cmp.Equal(member.Platforms, []string{"linux/arm64"}) || member.Findings.Low != 1 || member.Findings.High != 1 {
		t.Errorf("Resolve(member) = %+v, %v", member, err)
	}
	st, err := s.Status(ctx)
	if err != nil || st.TagsSeen != 1 || st.Analysed != 1 {
		t.Errorf("Status = %+v, %v", st.Tally, err)
	}
}
