package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func baselineTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"left until it is sighted":  testBaseline,
		"gone with its integration": testBaselineDeleted,
		"recorded with its look":    testBaselineAtomic,
	}
}

func testBaseline(t *testing.T, s *store.Store) {
	ctx := t.Context()
	one, two := Connect(t, s, "one"), Connect(t, s, "two")
	look := inventory.Look{
		Integration: one, Kind: inventory.LookReconcile, At: Start, Indexer: 1, NotSelected: 3,
		Baseline: []inventory.Sighting{
			Sight("local/b:1", Digest("y"), Start), Sight("local/a:2", Digest("x"), Start), Sight("local/a:1", Digest("x"), Start),
		},
		Sightings: []inventory.Sighting{Sight("local/c:1", Digest("z"), Start)},
	}
	for range 2 { // the same look twice is the same look
		res, err := s.RecordLook(ctx, look)
		if err != nil || res.Queued > 1 {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	want := []inventory.LiveTag{
		{Key: "local", Image: "a", Tag: "1", Digest: Digest("x")},
		{Key: "local", Image: "a", Tag: "2", Digest: Digest("x")},
		{Key: "local", Image: "b", Tag: "1", Digest: Digest("y")},
	}
	wantBaseline(t, s, one, want)
	wantBaseline(t, s, two, []inventory.LiveTag{})
	if live, err := s.LiveTags(ctx, one, ""); err != nil || len(live) != 1 || live[0].Image != "c" {
		t.Errorf("LiveTags = %+v, %v", live, err)
	}
	st, err := s.Status(ctx)
	if err != nil || st.TagsSeen != 1 || st.NotSelected != 3 {
		t.Errorf("Status = %+v, %v", st, err)
	}
	// Another integration's look takes nothing out, the own one takes what it sights.
	Look(t, s, two, After(time.Hour), Sight("local/a:1", Digest("x"), After(time.Hour)))
	wantBaseline(t, s, one, want)
	if res := Look(t, s, one, After(time.Hour), Sight("local/a:2", Digest("w"), After(time.Hour)), Sight("other/a:1", Digest("x"), After(time.Hour))); res.New != 2 {
		t.Errorf("%+v", res)
	}
	wantBaseline(t, s, one, []inventory.LiveTag{want[0], want[2]})
}

func testBaselineDeleted(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	look := inventory.Look{Integration: id, Kind: inventory.LookReconcile, At: Start, Baseline: []inventory.Sighting{Sight("local/a:1", Digest("x"), Start)}}
	if _, err := s.RecordLook(ctx, look); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteIntegration(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	wantBaseline(t, s, id, []inventory.LiveTag{})
}

func testBaselineAtomic(t *testing.T, s *store.Store) {
	id := Connect(t, s, "one")
	look := inventory.Look{
		Integration: id, Kind: inventory.LookReconcile, At: Start, Cursors: map[string]string{"baseline": "yes"},
		Baseline: []inventory.Sighting{Sight("local/a:1", Digest("x"), Start), Sight("local/a:2", "sha256:short", Start)},
	}
	if _, err := s.RecordLook(t.Context(), look); err == nil {
		t.Error("a bad digest was taken")
	}
	wantBaseline(t, s, id, []inventory.LiveTag{})
	if got, err := s.Cursor(t.Context(), id, "baseline"); err != nil || got != "" {
		t.Errorf("Cursor = %q, %v", got, err)
	}
}

func wantBaseline(t *testing.T, s *store.Store, id int64, want []inventory.LiveTag) {
	t.Helper()
	got, err := s.Baseline(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
