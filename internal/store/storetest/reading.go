package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func readTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"an empty ledger":     testEmpty,
		"pages":               testPages,
		"filters":             testFilters,
		"references":          testResolve,
		"hostile cursors":     testCursor,
		"delete":              testDelete,
		"repositories":        testRepositories,
		"lag and the tallies": testStatus,
	}
}

func testEmpty(t *testing.T, s *store.Store) {
	ctx := t.Context()
	st, err := s.Status(ctx)
	if err != nil || st.Integrations == nil || st.Requests == nil || st.Advisories.AgeS != nil || st.TagsSeen != 0 {
		t.Errorf("Status = %+v, %v", st, err)
	}
	page, err := s.Tags(ctx, inventory.TagFilter{})
	if err != nil || page.Rows == nil || page.Total != 0 || page.Next != "" {
		t.Errorf("Tags = %+v, %v", page, err)
	}
	if _, err := s.Resolve(ctx, "a:1"); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("Resolve: %v", err)
	}
	if _, err := s.Findings(ctx, Digest("x")); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("Findings: %v", err)
	}
	if got, err := s.Bases(ctx, Digest("x")); err != nil || got == nil {
		t.Errorf("Bases = %v, %v", got, err)
	}
	if err := s.FinishImage(ctx, Digest("x")); err != nil {
		t.Errorf("FinishImage: %v", err)
	}
	if err := s.Ping(ctx); err != nil {
		t.Error(err)
	}
}

// fleet makes 3 integrations x 4 repositories x 5 tags, some analysed with findings.
func fleet(t *testing.T, s *store.Store) {
	t.Helper()
	severities := []string{inventory.Critical, inventory.High, inventory.Low}
	for i, name := range []string{"two", "one", "three"} {
		id := Connect(t, s, name)
		var all []inventory.Sighting
		for r := range 4 {
			for tag := range 5 {
				word := fmt.Sprint(name, r, tag)
				d := Digest("image " + word)
				if tag%2 == 0 {
					pkg := "npm/" + word + "@1"
					img := Index(t, s, word, Layer{Name: word, Add: []string{pkg}})
					fixed := ""
					if r == 0 {
						fixed = "2"
					}
					Judge(t, s, img.Digest, Verdict(pkg, "CVE-"+word, severities[tag/2], fixed))
				}
				at := After(time.Duration(i*100+r*10+tag) * time.Minute)
				all = append(all, Sight(fmt.Sprintf("k%d/app%d:t%d", r%2, r, tag), d, at))
			}
		}
		Look(t, s, id, Start, all...)
	}
}

func walk(t *testing.T, s *store.Store, f inventory.TagFilter) (rows []inventory.TagRow) {
	t.Helper()
	for {
		page, err := s.Tags(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, page.Rows...)
		if f.Limit > 0 && len(page.Rows) > f.Limit {
			t.Fatalf("a page of %d", len(page.Rows))
		}
		if page.Next == "" {
			if page.Total != len(rows) {
				t.Errorf("%+v: total %d, rows %d", f, page.Total, len(rows))
			}
			return rows
		}
		f.After = page.Next
	}
}

func testPages(t *testing.T, s *store.Store) {
	fleet(t, s)
	for _, sort := range []string{"", "name", "pushed", "severity"} {
		whole := walk(t, s, inventory.TagFilter{Sort: sort})
		paged := walk(t, s, inventory.TagFilter{Sort: sort, Limit: 7})
		if len(whole) != 60 {
			t.Errorf("sorted by %q: %d rows", sort, len(whole))
		}
		if diff := cmp.Diff(whole, paged); diff != "" {
			t.Errorf("sorted by %q: %s", sort, diff)
		}
		for i := 1; i < len(whole); i++ {
			a, b := whole[i-1], whole[i]
			switch sort {
			case "pushed":
				if a.Pushed.Before(*b.Pushed) {
					t.Errorf("%s before %s", a.Reference, b.Reference)
				}
			case "severity":
				if a.Findings == nil && b.Findings != nil || a.Findings != nil && b.Findings != nil && a.Findings.Critical < b.Findings.Critical {
					t.Errorf("%s before %s", a.Reference, b.Reference)
				}
			default:
				name := func(r inventory.TagRow) string {
					return strings.Join([]string{r.Integration, r.RepositoryKey, r.Image, r.Tag}, "\x00")
				}
				if name(a) >= name(b) {
					t.Errorf("%s before %s", a.Reference, b.Reference)
				}
			}
		}
	}
}

func testFilters(t *testing.T, s *store.Store) {
	fleet(t, s)
	for _, tc := range []struct {
		f    inventory.TagFilter
		want int
	}{
		{inventory.TagFilter{Integration: "one"}, 20},
		{inventory.TagFilter{Integration: "nobody"}, 0},
		{inventory.TagFilter{Key: "k1"}, 30},
		{inventory.TagFilter{Key: "k1", Image: "app3"}, 15},
		{inventory.TagFilter{State: inventory.StateAnalysed}, 36},
		{inventory.TagFilter{State: inventory.StateWaiting, Integration: "two"}, 8},
		{inventory.TagFilter{Severity: inventory.Critical}, 12},
		{inventory.TagFilter{Severity: inventory.Medium}, 0},
		{inventory.TagFilter{Fixable: true}, 9},
		{inventory.TagFilter{Severity: inventory.High, Fixable: true}, 3},
		{inventory.TagFilter{Name: "K1/APP1:T"}, 15},
		{inventory.TagFilter{Name: "app_"}, 0},
		{inventory.TagFilter{Name: `%'"\`}, 0},
		{inventory.TagFilter{Newest: true}, 12},
	} {
		if rows := walk(t, s, tc.f); len(rows) != tc.want {
			t.Errorf("%+v: %d rows, want %d", tc.f, len(rows), tc.want)
		}
		tc.f.Limit = 2
		if rows := walk(t, s, tc.f); len(rows) != tc.want {
			t.Errorf("%+v: %d rows, want %d", tc.f, len(rows), tc.want)
		}
	}
	for _, row := range walk(t, s, inventory.TagFilter{Newest: true}) {
		if row.Tag != "t4" {
			t.Errorf("newest of %s is %s", row.Image, row.Tag)
		}
	}
	for _, bad := range []inventory.TagFilter{{State: "x"}, {Severity: "x"}, {Sort: "x"}} {
		if _, err := s.Tags(t.Context(), bad); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func testCursor(t *testing.T, s *store.Store) {
	fleet(t, s)
	page, err := s.Tags(t.Context(), inventory.TagFilter{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []string{"x", "!!!", page.Next[:len(page.Next)-3], "bnVsbA", "eyJzIjoiIiwiYSI6W251bGwsbnVsbCxudWxsLG51bGxdLCJ0IjowfQ"} {
		if _, err := s.Tags(t.Context(), inventory.TagFilter{After: after}); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("cursor %q: %v", after, err)
		}
	}
	if _, err := s.Tags(t.Context(), inventory.TagFilter{After: page.Next, Sort: "pushed"}); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("a cursor of another order: %v", err)
	}
}

func testResolve(t *testing.T, s *store.Store) {
	ctx := t.Context()
	one := Connect(t, s, "one")
	sub, err := s.AddIntegration(ctx, inventory.Integration{Name: "sub", Registry: "art.example:8443", SubdomainMode: true}, inventory.Secrets{})
	if err != nil {
		t.Fatal(err)
	}
	Look(t, s, one, Start, Sight("local/team/app:1", Digest("a"), Start), Sight("prod/team/app:1", Digest("b"), Start),
		Sight("local/solo:latest", Digest("c"), Start), Sight("local/twin:1", Digest("d"), Start))
	Look(t, s, sub, Start, Sight("docker/team/app:1", Digest("e"), Start), Sight("docker/x:1", Digest("a"), Start))
	for _, tc := range []struct{ ref, reference, digest string }{
		{"one.example/local/team/app:1", "one.example/local/team/app:1", "a"},
		{"local/team/app:1", "one.example/local/team/app:1", "a"},
		{"prod/team/app:1", "one.example/prod/team/app:1", "b"},
		{"docker.art.example:8443/team/app:1", "docker.art.example:8443/team/app:1", "e"},
		{"solo", "one.example/local/solo:latest", "c"},
		{"one.example/local/solo", "one.example/local/solo:latest", "c"},
		{"twin:1", "one.example/local/twin:1", "d"},
		{"registry://local/twin:1", "one.example/local/twin:1", "d"},
		{"local/team/app@" + Digest("a"), "one.example/local/team/app:1", "a"},
		{"one.example/local/team/app:1@" + Digest("a"), "one.example/local/team/app:1", "a"},
		{Digest("b"), "one.example/prod/team/app:1", "b"},
		{Digest("a"), "one.example/local/team/app:1", "a"},
	} {
		row, err := s.Resolve(ctx, tc.ref)
		if err != nil || row.Reference != tc.reference || row.Digest != Digest(tc.digest) {
			t.Errorf("Resolve(%s) = %s %s, %v", tc.ref, row.Reference, row.Digest, err)
		}
	}
	if _, err := s.Resolve(ctx, "team/app:1"); !errors.Is(err, inventory.ErrInvalid) ||
		!strings.Contains(err.Error(), "docker.art.example:8443/team/app:1, one.example/local/team/app:1, one.example/prod/team/app:1") {
		t.Errorf("ambiguous: %v", err)
	}
	for _, ref := range []string{"nobody", "twin:2", "other.example/local/twin:1", "local/team/app@" + Digest("z"), Digest("z"), "a/b/c/d/e/f:g"} {
		if _, err := s.Resolve(ctx, ref); !errors.Is(err, inventory.ErrNotFound) {
			t.Errorf("Resolve(%s): %v", ref, err)
		}
	}
	for _, ref := range []string{"", "twin@sha256:12", "sha256:zz", ":", "@"} {
		if _, err := s.Resolve(ctx, ref); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("Resolve(%s): %v", ref, err)
		}
	}
}

func testDelete(t *testing.T, s *store.Store) {
	ctx := t.Context()
	keep, drop := Connect(t, s, "keep"), Connect(t, s, "drop")
	mine, shared, theirs := Index(t, s, "mine", base, Layer{Name: "mine", Add: []string{"npm/mine@1"}}),
		Index(t, s, "shared", base, app), Index(t, s, "theirs", base, app, Layer{Name: "theirs", Add: []string{"npm/theirs@1"}})
	for _, img := range []inventory.Image{mine, shared, theirs} {
		for _, l := range img.Layers {
			if err := s.SaveLayer(ctx, inventory.LayerRecord{DiffID: l.DiffID, Digest: l.Digest, Indexer: 1, Body: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		Judge(t, s, img.Digest, Verdict("npm/mine@1", "CVE-1", inventory.High, ""), Verdict("npm/theirs@1", "CVE-2", inventory.High, ""))
	}
	err := s.SaveImage(ctx, inventory.Image{Digest: Digest("index"), Kind: inventory.IndexKind, Indexer: 1, Members: []inventory.IndexMember{
		{Digest: theirs.Digest, Kind: inventory.ImageKind, Platform: "linux/amd64"}, {Digest: shared.Digest, Kind: inventory.ImageKind, Platform: "linux/arm64"},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	Look(t, s, keep, Start, Sight("l/mine:1", mine.Digest, Start), Sight("l/shared:1", shared.Digest, Start))
	before, err := s.Size(ctx)
	if err != nil {
		t.Fatal(err)
	}
	Look(t, s, drop, Start, Sight("l/shared:1", shared.Digest, Start), Sight("l/multi:1", Digest("index"), Start), Sight("l/new:1", Digest("new"), Start))
	Look(t, s, drop, After(time.Hour), Sight("l/new:1", Digest("newer"), After(time.Hour)))
	if err := s.DeleteIntegration(ctx, "drop"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteIntegration(ctx, "drop"); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	after, err := s.Size(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// What only "drop" brought: the index, its own image with one layer, package and verdict.
	before["integration"]--
	before["image"] -= 2
	before["index_member"] -= 2
	for _, table := range []string{"layer", "layer_blob", "chain", "chain_package", "package", "package_key", "verdict"} {
		before[table]--
	}
	before["event"] = after["event"] // what happened, happened
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	if found, err := s.Findings(ctx, mine.Digest); err != nil || len(found) != 1 {
		t.Errorf("Findings = %v, %v", found, err)
	}
	if placed, err := s.Placed(ctx, shared.ChainID, 1); err != nil || len(placed) != 3 {
		t.Errorf("Placed = %v, %v", placed, err)
	}
}

func testRepositories(t *testing.T, s *store.Store) {
	fleet(t, s)
	all, next, err := s.Repositories(t.Context(), inventory.TagFilter{Integration: "one"})
	if err != nil || next != "" || len(all) != 4 {
		t.Fatalf("%d, %v", len(all), err)
	}
	for _, r := range all {
		if r.Tags != 5 || r.Newest.Tag != "t4" || r.Newest.Findings == nil {
			t.Errorf("%+v", r)
		}
	}
}

func testStatus(t *testing.T, s *store.Store) {
	ctx := t.Context()
	fleet(t, s)
	id := Connect(t, s, "live")
	img := Index(t, s, "pushed", base)
	// A push that was seen while we were looking.
	sg := Sight("l/pushed:1", img.Digest, time.Now())
	sg.Pushed = time.Now().Add(10 * time.Millisecond)
	Look(t, s, id, time.Now(), sg)
	time.Sleep(30 * time.Millisecond)
	Judge(t, s, img.Digest)
	st, err := s.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if st.TagsSeen != 61 || st.Analysed != 37 || st.Waiting != 24 || st.TagsSeen != st.Analysed+st.Failed+st.Unsupported+st.Waiting {
		t.Errorf("%+v", st.Tally)
	}
	for _, is := range st.Integrations {
		if is.Name == "live" && (is.LagP50 == nil || *is.LagP50 < 0 || *is.LagP50 > 60_000 || *is.LagP95 < *is.LagP50) {
			t.Errorf("lag %v %v", is.LagP50, is.LagP95)
		}
		if is.Name != "live" && is.LagP50 != nil {
			t.Errorf("lag of %s, whose pushes were before its time", is.Name)
		}
	}
}
