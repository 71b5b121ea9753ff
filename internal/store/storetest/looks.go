package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func lookTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"twice is once":                testLookTwice,
		"older never overwrites":       testOlderSighting,
		"moved, gone, back":            testTagLife,
		"created is the image's":       testCreated,
		"missed":                       testMissed,
		"cursors and hints":            testCursorsHints,
		"a bad digest changes nothing": testBadDigest,
		"what is queued":               testQueued,
		"newest first":                 testNewestFirst,
		"requests":                     testRequests,
		"sources":                      testSources,
	}
}

func testLookTwice(t *testing.T, s *store.Store) {
	id := Connect(t, s, "one")
	sightings := []inventory.Sighting{
		Sight("local/b:1", Digest("x"), Start), Sight("local/a:2", Digest("y"), Start), Sight("local/a:1", Digest("x"), Start),
		Sight("other/a:1", Digest("x"), Start),
	}
	if res := Look(t, s, id, Start, sightings...); res != (inventory.LookResult{New: 4, Queued: 2}) {
		t.Errorf("first: %+v", res)
	}
	if res := Look(t, s, id, Start, sightings...); res != (inventory.LookResult{}) {
		t.Errorf("again: %+v", res)
	}
	live, err := s.LiveTags(t.Context(), id, "local")
	if err != nil {
		t.Fatal(err)
	}
	want := []inventory.LiveTag{
		{Key: "local", Image: "a", Tag: "1", Digest: Digest("x"), Seen: Start},
		{Key: "local", Image: "a", Tag: "2", Digest: Digest("y"), Seen: Start},
		{Key: "local", Image: "b", Tag: "1", Digest: Digest("x"), Seen: Start},
	}
	if diff := cmp.Diff(want, live); diff != "" {
		t.Error(diff)
	}
}

// testCreated tells when an image was made only by the image itself: the time of the
// registry's file is when it was pushed.
func testCreated(t *testing.T, s *store.Store) {
	id := Connect(t, s, "one")
	made := Start.Add(-48 * time.Hour)
	img, chains := Build("app", base)
	img.Created = &made
	if err := s.SaveImage(t.Context(), img, chains); err != nil {
		t.Fatal(err)
	}
	known, failed := Sight("local/app:1", img.Digest, Start), Sight("local/app:2", Digest("broken"), Start)
	known.Created, failed.Created = Start, Start
	Look(t, s, id, Start, known, failed)
	for name, want := range map[string]*time.Time{"local/app:1": &made, "local/app:2": nil} {
		row, err := s.Resolve(t.Context(), name)
		if err != nil || !cmp.Equal(row.Created, want) || row.Pushed == nil {
			t.Errorf("%s: created %v, pushed %v, %v; want created %v", name, row.Created, row.Pushed, err, want)
		}
	}
}

// testNewestFirst works a first connect in the order of the days, and of one day by
// the number of tags; what a poll brings goes before all that.
func testNewestFirst(t *testing.T, s *store.Store) {
	id := Connect(t, s, "one")
	day := func(n int) time.Time { return Start.Truncate(24*time.Hour).AddDate(0, 0, -n) }
	pushed := func(sg inventory.Sighting, at time.Time) inventory.Sighting { sg.Pushed = at; return sg }
	look := func(kind string, at time.Time, sightings ...inventory.Sighting) {
		t.Helper()
		if _, err := s.RecordLook(t.Context(), inventory.Look{Integration: id, Kind: kind, At: at, Sightings: sightings}); err != nil {
			t.Fatal(err)
		}
	}
	look(inventory.LookReconcile, Start,
		pushed(Sight("local/a:1", Digest("old"), Start), day(9)),
		pushed(Sight("local/b:1", Digest("one tag"), Start), day(1).Add(2*time.Hour)),
		pushed(Sight("local/c:1", Digest("two tags"), Start), day(1)), pushed(Sight("local/c:2", Digest("two tags"), Start), day(1)),
		pushed(Sight("local/d:1", Digest("newest"), Start), day(0)))
	look(inventory.LookPoll, After(time.Minute), pushed(Sight("local/e:1", Digest("news"), After(time.Minute)), day(20)))
	var got []string
	done := make(chan struct{})
	h := queue.Handler{Do: func(_ context.Context, w queue.Work) error {
		var args store.DigestArgs
		err := json.Unmarshal(w.Args, &args)
		if got = append(got, args.Digest); len(got) == 5 {
			close(done)
		}
		return err
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Queue().Run(ctx, queue.Handlers{store.JobIndex: h}, 1) }()
	<-done
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	want := []string{Digest("news"), Digest("newest"), Digest("two tags"), Digest("one tag"), Digest("old")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func testOlderSighting(t *testing.T, s *store.Store) {
	id := Connect(t, s, "one")
	Look(t, s, id, After(time.Hour), Sight("local/a:1", Digest("new"), After(time.Hour)))
	res := Look(t, s, id, After(time.Minute), Sight("local/a:1", Digest("old"), After(time.Minute)))
	if res.Moved != 0 {
		t.Errorf("an older look moved the tag: %+v", res)
	}
	row, err := s.Resolve(t.Context(), "one.example/local/a:1")
	if err != nil || row.Digest != Digest("new") {
		t.Errorf("Resolve = %+v, %v", row, err)
	}
	// Within one look the newest sighting counts, whatever the order.
	res = Look(t, s, id, After(2*time.Hour), Sight("local/a:1", Digest("newest"), After(2*time.Hour)), Sight("local/a:1", Digest("old"), After(time.Minute)))
	if res.Moved != 1 {
		t.Errorf("%+v", res)
	}
	if row, err = s.Resolve(t.Context(), "one.example/local/a:1"); err != nil || row.Digest != Digest("newest") {
		t.Errorf("Resolve = %+v, %v", row, err)
	}
}

func testTagLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	at := func(h int) time.Time { return After(time.Duration(h) * time.Hour) }
	Look(t, s, id, at(0), Sight("local/a:1", Digest("x"), at(0)))
	if res := Look(t, s, id, at(1), Sight("local/a:1", Digest("y"), at(1))); res.Moved != 1 || res.Queued != 1 {
		t.Errorf("moved: %+v", res)
	}
	gone := func(lookAt, seen time.Time) inventory.LookResult {
		res, err := s.RecordLook(ctx, inventory.Look{
			Integration: id, Kind: inventory.LookReconcile, At: lookAt,
			Gone: []inventory.LiveTag{{Key: "local", Image: "a", Tag: "1", Digest: Digest("y"), Seen: seen}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if res := gone(at(2), at(0)); res.Gone != 0 {
		t.Errorf("gone by what was believed before the last sighting: %+v", res)
	}
	if res := gone(at(2), at(1)); res.Gone != 1 {
		t.Errorf("gone: %+v", res)
	}
	if res := gone(at(2), at(1)); res.Gone != 0 {
		t.Errorf("gone again: %+v", res)
	}
	if live, err := s.LiveTags(ctx, id, ""); err != nil || len(live) != 0 {
		t.Errorf("LiveTags = %v, %v", live, err)
	}
	page, err := s.Tags(ctx, inventory.TagFilter{Gone: true})
	if err != nil || page.Total != 1 || page.Rows[0].Gone == nil || !page.Rows[0].Gone.Equal(at(2)) {
		t.Errorf("Tags = %+v, %v", page, err)
	}
	Look(t, s, id, at(1), Sight("local/a:1", Digest("y"), at(1)))
	if live, err := s.LiveTags(ctx, id, ""); err != nil || len(live) != 0 {
		t.Errorf("a sighting from before it went brought it back: %v, %v", live, err)
	}
	Look(t, s, id, at(5), Sight("local/a:1", Digest("y"), at(5)))
	row, err := s.Resolve(ctx, "local/a:1")
	if err != nil || row.Gone != nil || !row.FirstSeen.Equal(at(0)) || !row.LastSeen.Equal(at(5)) {
		t.Errorf("Resolve = %+v, %v", row, err)
	}
	moves, err := s.TagHistory(ctx, row.ID)
	if err != nil {
		t.Fatal(err)
	}
	to := func(h int) *time.Time { t := at(h); return &t }
	want := []inventory.TagMove{
		{Digest: Digest("y"), From: at(5)},
		{Digest: Digest("y"), From: at(1), To: to(2)},
		{Digest: Digest("x"), From: at(0), To: to(1)},
	}
	if diff := cmp.Diff(want, moves); diff != "" {
		t.Error(diff)
	}
	events, err := s.Events(ctx, 0, 100)
	if err != nil || len(events) != 2 || events[0].Kind != store.EventTagMoved || events[1].Kind != store.EventTagGone ||
		events[0].Reference != "one.example/local/a:1" {
		t.Errorf("Events = %+v, %v", events, err)
	}
}

func testMissed(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	Look(t, s, id, Start, Sight("local/a:1", Digest("x"), Start), Sight("local/a:2", Digest("x"), Start))
	for want := 1; want <= 2; want++ {
		live, err := s.LiveTags(ctx, id, "local")
		if err != nil {
			t.Fatal(err)
		}
		at := After(time.Duration(want) * time.Hour)
		if _, err := s.RecordLook(ctx, inventory.Look{Integration: id, Kind: inventory.LookReconcile, At: at, Missed: live[:1]}); err != nil {
			t.Fatal(err)
		}
		if live, err = s.LiveTags(ctx, id, "local"); err != nil || live[0].Missed != want || live[1].Missed != 0 {
			t.Errorf("LiveTags = %+v, %v", live, err)
		}
	}
	Look(t, s, id, After(3*time.Hour), Sight("local/a:1", Digest("x"), After(3*time.Hour)))
	if live, err := s.LiveTags(ctx, id, "local"); err != nil || live[0].Missed != 0 {
		t.Errorf("after a sighting: %+v, %v", live, err)
	}
}

func testCursorsHints(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	if got, err := s.Cursor(ctx, id, "aql"); err != nil || got != "" {
		t.Errorf("Cursor = %q, %v", got, err)
	}
	for _, image := range []string{"a", "b"} {
		if err := s.AddHint(ctx, id, inventory.Hint{Key: "local", Image: image, Tag: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddHint(ctx, id+99, inventory.Hint{}); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("hint for nobody: %v", err)
	}
	hints, err := s.Hints(ctx, id)
	if err != nil || len(hints) != 2 || hints[0].Image != "a" || hints[1].Image != "b" {
		t.Fatalf("Hints = %+v, %v", hints, err)
	}
	look := inventory.Look{Integration: id, Kind: inventory.LookReconcile, At: Start, Cursors: map[string]string{"aql": "7", "x": "y"}, HintsUpTo: hints[0].ID, NotSelected: 3}
	for range 2 {
		if _, err := s.RecordLook(ctx, look); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Cursor(ctx, id, "aql"); err != nil || got != "7" {
		t.Errorf("Cursor = %q, %v", got, err)
	}
	if hints, err = s.Hints(ctx, id); err != nil || len(hints) != 1 || hints[0].Image != "b" {
		t.Errorf("Hints = %+v, %v", hints, err)
	}
	st, err := s.Status(ctx)
	if err != nil || st.NotSelected != 3 || st.Integrations[0].LastReconcile == nil || !st.Integrations[0].LastReconcile.Equal(Start) {
		t.Errorf("Status = %+v, %v", st, err)
	}
}

func testBadDigest(t *testing.T, s *store.Store) {
	id := Connect(t, s, "one")
	for _, bad := range []string{"", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "latest"} {
		_, err := s.RecordLook(t.Context(), inventory.Look{
			Integration: id, Kind: inventory.LookPoll, At: Start, Cursors: map[string]string{"c": "1"},
			Sightings: []inventory.Sighting{Sight("local/a:1", Digest("x"), Start), Sight("local/a:2", bad, Start)},
		})
		if !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("digest %q: %v", bad, err)
		}
	}
	if page, err := s.Tags(t.Context(), inventory.TagFilter{}); err != nil || page.Total != 0 {
		t.Errorf("Tags = %+v, %v", page, err)
	}
	if got, err := s.Cursor(t.Context(), id, "c"); err != nil || got != "" {
		t.Errorf("Cursor = %q, %v", got, err)
	}
}

func testQueued(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	img := Index(t, s, "known", Layer{Name: "l", Add: []string{"other/thing@1"}})
	if err := s.FailImage(ctx, Digest("nobody"), "x", true); err != nil {
		t.Errorf("failure of an unknown image: %v", err)
	}
	look := func(kind string, indexer int, force bool) int {
		t.Helper()
		res, err := s.RecordLook(ctx, inventory.Look{
			Integration: id, Kind: kind, At: Start, Indexer: indexer, Force: force,
			Sightings: []inventory.Sighting{Sight("local/a:1", img.Digest, Start), Sight("local/a:2", Digest("flaky"), Start), Sight("local/a:3", Digest("broken"), Start)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return res.Queued
	}
	if n := look(inventory.LookPoll, 1, false); n != 2 {
		t.Errorf("first look queued %d", n)
	}
	for d, retry := range map[string]bool{"flaky": true, "broken": false} {
		if err := s.FailImage(ctx, Digest(d), "it broke", retry); err != nil {
			t.Fatal(err)
		}
	}
	drain(t, s, store.JobIndex)
	if n := look(inventory.LookPoll, 1, false); n != 0 {
		t.Errorf("a poll queued %d failures again", n)
	}
	if n := look(inventory.LookReconcile, 1, false); n != 1 {
		t.Errorf("a reconcile queued %d, want what may pass", n)
	}
	if n := look(inventory.LookPoll, 2, false); n != 1 {
		t.Errorf("a newer indexer queued %d, want what was indexed", n)
	}
	if n := look(inventory.LookPoll, 1, true); n != 1 {
		t.Errorf("force queued %d, want what does not wait already", n)
	}
}

func testRequests(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	for range 2 {
		if err := s.AddRequests(ctx, id, map[string]int64{"aql": 1, "blob": 2, "ping": 0}, 100, 1); err != nil {
			t.Fatal(err)
		}
	}
	st, err := s.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"aql": 2, "blob": 4}, st.Requests); diff != "" || st.LayerBytes != 200 || st.LayersRead != 2 {
		t.Errorf("%s %+v", diff, st.Tally)
	}
}

func testSources(t *testing.T, s *store.Store) {
	ctx := t.Context()
	one, two := Connect(t, s, "one"), Connect(t, s, "two")
	Look(t, s, one, Start, Sight("local/a:1", Digest("x"), Start), Sight("prod/a:1", Digest("x"), After(time.Hour)))
	Look(t, s, two, Start, Sight("local/multi:1", Digest("index"), After(2*time.Hour)))
	err := s.SaveImage(ctx, inventory.Image{
		Digest: Digest("index"), Kind: inventory.IndexKind, Indexer: 1,
		Members: []inventory.IndexMember{{Digest: Digest("x"), Kind: inventory.ImageKind, Platform: "linux/amd64"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	places := func() (out []string) {
		t.Helper()
		src, err := s.Sources(ctx, Digest("x"))
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range src {
			out = append(out, one.Key+"/"+one.Image+":"+one.Tag)
		}
		return out
	}
	if diff := cmp.Diff([]string{"local/multi:1", "prod/a:1", "local/a:1"}, places()); diff != "" {
		t.Error(diff)
	}
	if err := s.SetIntegrationState(ctx, two, inventory.IntegrationPaused, "", ""); err != nil {
		t.Fatal(err)
	}
	_, err = s.RecordLook(ctx, inventory.Look{Integration: one, Kind: inventory.LookReconcile, At: After(3 * time.Hour), Gone: []inventory.LiveTag{{Key: "prod", Image: "a", Tag: "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"local/a:1"}, places()); diff != "" {
		t.Error(diff)
	}
}
