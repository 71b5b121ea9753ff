package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func watchTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"saved questions":          testWatches,
		"what an image holds":      testContent,
		"an image is met once":     testSpotted,
		"only later images are it": testAskedOfLater,
		"tags as they were":        testTagsThen,
	}
}

func watch(t *testing.T, s *store.Store, name, query string) inventory.Watch {
	t.Helper()
	w, err := s.AddWatch(t.Context(), inventory.Watch{Name: name, Query: query, Ecosystem: "npm", Author: "sec"})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func testWatches(t *testing.T, s *store.Store) {
	ctx := t.Context()
	second, first := watch(t, s, "b", "lodash <4"), watch(t, s, "a", "CVE-1")
	if _, err := s.AddWatch(ctx, first); !errors.Is(err, inventory.ErrConflict) {
		t.Errorf("a name twice: %v", err)
	}
	all, err := s.Watches(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]inventory.Watch{first, second}, all); diff != "" {
		t.Error(diff)
	}
	if err := s.RemoveWatch(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveWatch(ctx, "a"); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if all, err := s.Watches(ctx); err != nil || len(all) != 1 {
		t.Errorf("%+v %v", all, err)
	}
}

func testContent(t *testing.T, s *store.Store) {
	ctx := t.Context()
	sum, lost := strings.TrimPrefix(Digest("jar"), "sha256:"), strings.TrimPrefix(Digest("lost"), "sha256:")
	img, chains := Build("app", Layer{Name: "base", Add: []string{"npm/a@1", "npm/gone@1"}}, Layer{Name: "own", Add: []string{"npm/b@2"}, Remove: []string{"npm/gone@1"}})
	chains[0].Files = []inventory.File{{Path: "app/a.jar", SHA256: sum}, {Path: "app/b.jar", SHA256: lost}}
	chains[1].FilesGone = chains[0].Files[1:]
	if err := s.SaveImage(ctx, img, chains); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Content(ctx, img.Digest, nil); err != nil || !c.Analysed.IsZero() {
		t.Errorf("before it is matched: %+v %v", c, err)
	}
	v := Verdict("npm/b@2", "CVE-1", inventory.High, "")
	v.Aliases, v.AdvisoryID = []string{"GHSA-1"}, "OSV-1"
	Judge(t, s, img.Digest, v)
	c, err := s.Content(ctx, img.Digest, []string{sum, lost, strings.Repeat("0", 64)})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, p := range c.Packages {
		names = append(names, p.Name)
	}
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]bool{"CVE-1": true, "GHSA-1": true, "OSV-1": true}, c.Flaws); diff != "" {
		t.Error(diff)
	}
	if !c.Files[sum] || c.Files[lost] || c.Files[strings.Repeat("0", 64)] {
		t.Errorf("%v", c.Files)
	}
	if c, err := s.Content(ctx, Digest("nobody's"), nil); err != nil || !c.Analysed.IsZero() {
		t.Errorf("an unknown image: %+v %v", c, err)
	}
}

func testSpotted(t *testing.T, s *store.Store) {
	ctx := t.Context()
	Channel(t, s, "team", "https://receiver.example")
	img := Index(t, s, "app", base)
	w := watch(t, s, "old", "openssl")
	for range 2 {
		if err := s.Spotted(ctx, w, img.Digest); err != nil {
			t.Fatal(err)
		}
	}
	all := news(t, s, true)
	if len(all) != 1 || all[0].Kind != inventory.NewsWatch || all[0].Watch != "old" || all[0].Query != "openssl" || all[0].Digest != img.Digest {
		t.Errorf("%+v", all)
	}
	if got, err := s.Watches(ctx); err != nil || got[0].Images != 1 || got[0].Last == nil {
		t.Errorf("%+v %v", got, err)
	}
	if err := s.RemoveWatch(ctx, "old"); err != nil {
		t.Fatal(err)
	}
	if err := s.Spotted(ctx, w, Digest("another")); err != nil {
		t.Errorf("a watch that is gone: %v", err)
	}
	if all := news(t, s, true); len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

func testAskedOfLater(t *testing.T, s *store.Store) {
	early := Index(t, s, "early", base)
	Judge(t, s, early.Digest)
	if got := stats(t, s, store.JobSpot); got.Waiting != 0 {
		t.Errorf("asked without a question: %+v", got)
	}
	watch(t, s, "old", "openssl")
	Judge(t, s, early.Digest) // analysed before: finishing it again asks nothing
	if got := stats(t, s, store.JobSpot); got.Waiting != 0 {
		t.Errorf("an earlier image is asked: %+v", got)
	}
	late := Index(t, s, "late", base) // every package of it is known: it needs no match
	Judge(t, s, late.Digest)
	if got := stats(t, s, store.JobSpot); got.Waiting != 1 {
		t.Errorf("a later image is not asked: %+v", got)
	}
}

func testTagsThen(t *testing.T, s *store.Store) {
	id := threeImages(t, s)
	drops := Digest("image drops")
	Look(t, s, id, After(2*time.Hour), Sight("k/keeps:1", drops, After(2*time.Hour))) // moves
	live, err := s.LiveTags(t.Context(), id, "k")
	if err != nil {
		t.Fatal(err)
	}
	var gone []inventory.LiveTag
	for _, l := range live {
		if l.Image == "again" {
			gone = append(gone, l)
		}
	}
	_, err = s.RecordLook(t.Context(), inventory.Look{Integration: id, Kind: inventory.LookReconcile, Gone: gone, At: After(4 * time.Hour), Indexer: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		at   time.Duration
		want []string // "image: of which image"
	}{
		{-time.Hour, []string{}},
		{time.Hour, []string{"again: again", "base: base", "drops: drops", "keeps: keeps"}},
		{3 * time.Hour, []string{"again: again", "base: base", "drops: drops", "keeps: drops"}},
		{5 * time.Hour, []string{"base: base", "drops: drops", "keeps: drops"}},
	} {
		at := After(tt.at)
		got := []string{}
		f := inventory.TagFilter{AsOf: &at, Limit: 1, Key: "k"} // a page a row: cursors hold
		for {
			page, err := s.Tags(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if page.Total != len(tt.want) {
				t.Errorf("after %s: %d tags are promised, want %d", tt.at, page.Total, len(tt.want))
			}
			for _, row := range page.Rows {
				for _, name := range []string{"again", "base", "drops", "keeps"} {
					if row.Digest == Digest("image "+name) {
						got = append(got, row.Image+": "+name)
					}
				}
				if moved := row.Image == "keeps" && row.Digest != drops; moved != (row.Pushed == nil) {
					t.Errorf("after %s: pushed %v", tt.at, row.Pushed)
				}
			}
			if f.After = page.Next; f.After == "" {
				break
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("after %s: %s", tt.at, diff)
		}
	}
	now := After(time.Hour)
	for _, bad := range []inventory.TagFilter{{AsOf: &now, Newest: true}, {AsOf: &now, Sort: "pushed"}} {
		if _, err := s.Tags(t.Context(), bad); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
