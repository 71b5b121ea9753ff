package store_test

import (
	"slices"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

// TestNothingKnownIsNotZero: an image without findings is only clean when advisories
// are kept for something in it.
func TestNothingKnownIsNotZero(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o store.Options) {
		o.Covers = func(advisories []string) func(string) bool {
			return func(ecosystem string) bool { return slices.Contains(advisories, ecosystem) }
		}
		s := open(t, o)
		id := storetest.Connect(t, s, "one")
		deb := storetest.Index(t, s, "deb", storetest.Layer{Name: "deb", Add: []string{"deb/openssl@3"}})
		npm := storetest.Index(t, s, "npm", storetest.Layer{Name: "npm", Add: []string{"npm/left-pad@1"}})
		storetest.Look(t, s, id, storetest.Start, storetest.Sight("local/deb:1", deb.Digest, storetest.Start), storetest.Sight("local/npm:1", npm.Digest, storetest.Start))
		storetest.Judge(t, s, deb.Digest)
		storetest.Judge(t, s, npm.Digest)
		known := func(want ...bool) {
			t.Helper()
			page, err := s.Tags(t.Context(), inventory.TagFilter{})
			if err != nil {
				t.Fatal(err)
			}
			var got []bool
			for _, row := range page.Rows {
				one, err := s.Resolve(t.Context(), row.Reference)
				if err != nil || (one.Findings != nil) != (row.Findings != nil) {
					t.Errorf("%s alone has %v, %v", row.Reference, one.Findings, err)
				}
				got = append(got, row.Findings != nil)
			}
			if !slices.Equal(got, want) {
				t.Errorf("known %v, want %v", got, want)
			}
		}
		known(false, false)
		save := func(of string) {
			t.Helper()
			if _, err := s.SaveAdvisories(t.Context(), []inventory.Advisory{storetest.Advisory("A-"+of, storetest.Start, of)}, storetest.AdvisoryKeys); err != nil {
				t.Fatal(err)
			}
		}
		save("npm/something-else")
		known(false, true)
		save("Debian:12/something-else")
		known(true, true)
	})
}
