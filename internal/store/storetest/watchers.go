package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func watcherTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"one lives of a name":                testWatcherName,
		"errands instead of jobs":            testErrands,
		"errands are put off and end":        testErrandOutcomes,
		"records only of what is leased":     testHeldLease,
		"nobody overwrites another's images": testVouched,
		"a watcher speaks of its own images": testWatcherHas,
		"what a token vouched for, again":    testRequeue,
		"tokens are bound":                   testBinding,
	}
}

// ConnectFar adds an integration that a far watcher looks at.
func ConnectFar(t testing.TB, s *store.Store, name, watcher string) int64 {
	t.Helper()
	id, err := s.AddIntegration(t.Context(), inventory.Integration{
		Name: name, Kind: inventory.KindArtifactory, URL: "https://" + name + ".example/artifactory", Registry: name + ".example", Watcher: watcher,
	}, inventory.Secrets{})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testWatcherName(t *testing.T, s *store.Store) {
	ctx := t.Context()
	hold := func(holder string, lasts time.Duration) error { return s.HoldWatcher(ctx, "agent-7", holder, lasts) }
	if err := hold("one", time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := hold("one", time.Minute); err != nil {
		t.Errorf("the same holder again: %v", err)
	}
	if err := hold("two", time.Minute); !errors.Is(err, inventory.ErrConflict) {
		t.Errorf("a second holder: %v", err)
	}
	if err := s.HoldWatcher(ctx, "agent-8", "two", time.Minute); err != nil {
		t.Errorf("another name: %v", err)
	}
	if err := s.FreeWatcher(ctx, "agent-7", "two"); err != nil {
		t.Fatal(err)
	}
	if holds, err := s.HoldsWatcher(ctx, "agent-7", "one"); err != nil || !holds {
		t.Errorf("freed by another: %v, %v", holds, err)
	}
	if err := hold("one", -time.Second); err != nil { // it dies
		t.Fatal(err)
	}
	if err := hold("two", time.Minute); err != nil {
		t.Errorf("after the first died: %v", err)
	}
	if err := s.FreeWatcher(ctx, "agent-7", "two"); err != nil {
		t.Fatal(err)
	}
	if holds, err := s.HoldsWatcher(ctx, "agent-7", "two"); err != nil || holds {
		t.Errorf("freed and still held: %v, %v", holds, err)
	}
}

func taken(t *testing.T, s *store.Store, watcher string, limit int, held ...string) []string {
	t.Helper()
	errands, err := s.TakeErrands(t.Context(), watcher, held, limit)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range errands {
		out = append(out, e.Digest)
	}
	return out
}

func testErrands(t *testing.T, s *store.Store) {
	far, near := ConnectFar(t, s, "far", "w"), Connect(t, s, "near")
	a, b, c := Digest("a"), Digest("b"), Digest("c")
	if got := stats(t, s, store.JobLook); got.Waiting+got.Planned != 1 {
		t.Errorf("looks queued: %+v; the far one is not ours to look at", got)
	}
	res := Look(t, s, far, After(time.Hour), Sight("local/app:1", a, After(0)), Sight("local/app:2", b, After(time.Minute)))
	if res.Queued != 2 {
		t.Errorf("queued %d", res.Queued)
	}
	if res := Look(t, s, far, After(2*time.Hour), Sight("local/app:1", a, After(time.Hour))); res.Queued != 0 {
		t.Errorf("queued %d again", res.Queued)
	}
	Look(t, s, near, After(time.Hour), Sight("local/app:3", c, After(0)), Sight("local/app:4", a, After(0)))
	if got := stats(t, s, store.JobIndex); got.Waiting != 2 {
		t.Errorf("jobs: %+v", got)
	}
	if diff := cmp.Diff([]string{b, a}, taken(t, s, "w", 10)); diff != "" {
		t.Errorf("the newest push first: %s", diff)
	}
	if diff := cmp.Diff([]string{a}, taken(t, s, "w", 1, b)); diff != "" {
		t.Errorf("what is held: %s", diff)
	}
	if got := taken(t, s, "other", 10); len(got) != 0 {
		t.Errorf("another watcher's errands: %v", got)
	}
	errands, err := s.TakeErrands(t.Context(), "w", []string{b}, 1)
	if err != nil || len(errands) != 1 || errands[0].Attempt != 3 || len(errands[0].Sources) != 1 || errands[0].Sources[0].Name != "far" ||
		errands[0].Sources[0].Key != "local" || errands[0].Sources[0].Image != "app" {
		t.Errorf("%+v, %v", errands, err)
	}
	sources, err := s.Sources(t.Context(), a)
	if err != nil || len(sources) != 1 || sources[0].Name != "near" {
		t.Errorf("this server would go to %+v, %v", sources, err)
	}
	if err := s.SetIntegrationState(t.Context(), far, inventory.IntegrationPaused, "", ""); err != nil {
		t.Fatal(err)
	}
	if got := taken(t, s, "w", 10); len(got) != 0 {
		t.Errorf("errands of a paused integration: %v", got)
	}
	if err := s.AddHint(t.Context(), far, inventory.Hint{Key: "local", Image: "app"}); err != nil {
		t.Fatal(err)
	}
	if got := stats(t, s, store.JobLook); got.Waiting+got.Planned != 1 {
		t.Errorf("a hint for a far watcher made a look of ours: %+v", got)
	}
	if err := s.DeleteIntegration(t.Context(), "far"); err != nil {
		t.Fatal(err)
	}
	if _, all, err := s.Errands(t.Context(), "w"); err != nil || all != 0 {
		t.Errorf("%d errands outlive their integration, %v", all, err)
	}
}

func testErrandOutcomes(t *testing.T, s *store.Store) {
	ctx := t.Context()
	far := ConnectFar(t, s, "far", "w")
	a, b := Digest("a"), Digest("b")
	Look(t, s, far, After(0), Sight("local/app:1", a, After(0)), Sight("local/app:2", b, After(time.Minute)))
	if err := s.PutOffErrand(ctx, "w", b, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.EndErrand(ctx, "other", a); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{a}, taken(t, s, "w", 10)); diff != "" {
		t.Error(diff)
	}
	if due, all, err := s.Errands(ctx, "w"); err != nil || due != 1 || all != 2 {
		t.Errorf("due %d, all %d, %v", due, all, err)
	}
	if err := s.EndErrand(ctx, "w", a); err != nil {
		t.Fatal(err)
	}
	if due, all, err := s.Errands(ctx, "w"); err != nil || due != 0 || all != 1 {
		t.Errorf("due %d, all %d, %v", due, all, err)
	}
}

func testHeldLease(t *testing.T, s *store.Store) {
	ctx := t.Context()
	one, two := store.FarHolder+"w/1", store.FarHolder+"w/2"
	save := func(holder string) error {
		return s.SaveLayer(ctx, inventory.LayerRecord{DiffID: Digest("a"), Digest: Digest("blob a"), Indexer: 1, Body: []byte(holder), Holder: holder, Voucher: "t"})
	}
	if err := save(one); !errors.Is(err, inventory.ErrConflict) {
		t.Errorf("a layer that nobody was told to read: %v", err)
	}
	if _, err := s.MissingLayers(ctx, []string{Digest("a")}, 1, one); err != nil {
		t.Fatal(err)
	}
	if err := s.DropLeases(ctx); err != nil {
		t.Fatal(err)
	}
	if err := save(two); !errors.Is(err, inventory.ErrConflict) {
		t.Errorf("another's layer: %v", err)
	}
	if err := save(one); err != nil {
		t.Errorf("its own, after the server started anew: %v", err)
	}
	if err := save(two); err != nil {
		t.Errorf("a known layer: %v", err)
	}
	if got, err := s.LayerBodies(ctx, []string{Digest("a")}, 1); err != nil || string(got[Digest("a")]) != one {
		t.Errorf("%q, %v", got, err)
	}
}

func testVouched(t *testing.T, s *store.Store) {
	ctx := t.Context()
	save := func(voucher, layer string) {
		t.Helper()
		img, chains := Build("app", base, Layer{Name: layer, Add: []string{"npm/" + layer + "@1"}})
		img.Voucher = voucher
		if err := s.SaveImage(ctx, img, chains); err != nil {
			t.Fatal(err)
		}
	}
	stands := func(layer string) {
		t.Helper()
		img, err := s.Image(ctx, Digest("image app"))
		if err != nil || img.Layers[1].DiffID != Digest("layer "+layer) {
			t.Errorf("it does not stand on %s: %+v, %v", layer, img.Layers, err)
		}
	}
	save("t", "first")
	save("u", "lie")
	stands("first")
	save("t", "second")
	stands("second")
	save("", "ours")
	stands("ours")
	save("t", "late")
	stands("ours")
}

func testWatcherHas(t *testing.T, s *store.Store) {
	far, near := ConnectFar(t, s, "far", "w"), Connect(t, s, "near")
	Look(t, s, far, After(0), Sight("local/app:1", Digest("mine"), After(0)), Sight("local/app:2", Digest("both"), After(0)))
	Look(t, s, near, After(0), Sight("local/app:1", Digest("others"), After(0)), Sight("local/app:2", Digest("both"), After(0)))
	Look(t, s, near, After(time.Hour), Sight("local/app:1", Digest("moved"), After(time.Hour)))
	for word, want := range map[string]bool{"mine": true, "both": true, "others": false, "moved": false, "unheard of": true} {
		if got, err := s.WatcherHas(t.Context(), "w", Digest(word)); err != nil || got != want {
			t.Errorf("%s: %v, %v", word, got, err)
		}
	}
}

func packagesOf(t *testing.T, s *store.Store, digest string) int {
	t.Helper()
	img, err := s.Image(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	placed, err := s.Placed(t.Context(), img.ChainID, img.Indexer)
	if err != nil {
		t.Fatal(err)
	}
	return len(placed)
}

func testRequeue(t *testing.T, s *store.Store) {
	ctx := t.Context()
	far, near := ConnectFar(t, s, "far", "w"), Connect(t, s, "near")
	save := func(name, voucher string, layers ...Layer) string {
		t.Helper()
		img, chains := Build(name, layers...)
		img.Voucher = voucher
		for _, l := range img.Layers {
			if err := s.SaveLayer(ctx, inventory.LayerRecord{DiffID: l.DiffID, Digest: l.Digest, Indexer: 1, Body: []byte("x"), Voucher: voucher}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SaveImage(ctx, img, chains); err != nil {
			t.Fatal(err)
		}
		Judge(t, s, img.Digest) //nolint:contextcheck // the test has one of its own
		return img.Digest
	}
	other := Layer{Name: "other", Add: []string{"deb/zlib@1.2"}}
	own := save("own", "", other)
	far1 := save("far1", "t", base)
	above := save("above", "", base, app) // ours, on layers that the token vouched for
	Look(t, s, far, After(0), Sight("local/far1:1", far1, After(0)))
	Look(t, s, near, After(0), Sight("local/own:1", own, After(0)), Sight("local/above:1", above, After(0)))
	drain(t, s, store.JobIndex)

	n, err := s.Requeue(ctx, "t")
	if err != nil || n != 2 {
		t.Fatalf("requeued %d, %v", n, err)
	}
	if diff := cmp.Diff([]string{far1}, taken(t, s, "w", 10)); diff != "" {
		t.Error(diff)
	}
	if got := stats(t, s, store.JobIndex); got.Waiting != 1 {
		t.Errorf("jobs: %+v", got)
	}
	if n := packagesOf(t, s, above); n != 3 {
		t.Errorf("what was known is not to be seen meanwhile: %d packages", n)
	}
	missing, err := s.MissingLayers(ctx, []string{Digest("layer base"), Digest("layer app"), Digest("layer other")}, 1, "x")
	if err != nil || !cmp.Equal(missing, []string{Digest("layer base")}) {
		t.Errorf("missing now: %v, %v", missing, err)
	}
	if again, err := s.Requeue(ctx, "t"); err != nil || again != 0 {
		t.Errorf("a second time: %d, %v", again, err)
	}
	save("above", "", base, app)
	if n := packagesOf(t, s, above); n != 3 {
		t.Errorf("after it: %d packages", n)
	}
	if _, err := s.Requeue(ctx, ""); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("what this server found itself: %v", err)
	}
}

func testBinding(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for _, names := range [][]string{{"b", "a", "b"}, {"c"}} {
		if err := s.BindToken(ctx, "t", names); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.BindToken(ctx, "u", nil); err != nil {
		t.Fatal(err)
	}
	bound, err := s.TokenBindings(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"t": {"c"}}, bound); diff != "" {
		t.Error(diff)
	}
}
