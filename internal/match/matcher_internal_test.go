package match

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TestAllSharesSources holds the short cut of All to Verdicts itself.
func TestAllSharesSources(t *testing.T) {
	record := inventory.Advisory{ID: "X-1", Affected: []inventory.Affected{{
		Ecosystem: "Debian:12", Name: "openssl", Ranges: []inventory.Range{{Events: []inventory.Event{{Introduced: "0"}, {Fixed: "2-1"}}}},
	}}}
	candidates := map[inventory.AffectedKey][]inventory.Advisory{{Ecosystem: "Debian", Name: "openssl"}: {record}}
	packages := []inventory.Package{
		{PURL: "a", Name: "libssl3", Version: "1-1", SourceName: "openssl", Ecosystem: "Debian:12"},
		{PURL: "b", Name: "openssl", Version: "1-1", Ecosystem: "Debian:12"},
		{PURL: "c", Name: "openssl", Version: "2-1", Ecosystem: "Debian:12"},
		{PURL: "d", Name: "openssl", Version: "1-1", Ecosystem: "Debian:11"},
		{PURL: "e", Name: "openssl", Version: "1-1", Ecosystem: ""},
	}
	purls, got := All(packages, candidates)
	var want []inventory.Verdict
	for _, p := range packages {
		want = append(want, Verdicts(p, candidatesOf(p, candidates))...)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 2 {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, purls); diff != "" {
		t.Error(diff)
	}
}
