package inventory_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func TestSamePackage(t *testing.T) {
	for _, tt := range []struct {
		pattern, purl string
		want          bool
	}{
		{"pkg:npm/a", "pkg:npm/a@1", true},
		{"pkg:npm/a@1", "pkg:npm/a@1?x=y", true},
		{"pkg:npm/a@2", "pkg:npm/a@1", false},
		{"pkg:npm/%40s/a", "pkg:npm/%40s/a@1", true},
		{"pkg:npm/@s/a@1", "pkg:npm/%40s/a@1", true},
		{"pkg:golang/x/y@v1.0", "pkg:golang/x/y@1.0", true},
		{"pkg:deb/debian/a?arch=amd64", "pkg:deb/debian/a@1?arch=arm64", false},
		{"pkg:pypi/A_b", "pkg:pypi/a-b@1", true},
		{"a", "pkg:npm/a@1", false},
		{"pkg:npm", "pkg:npm/a@1", false},
		{"pkg:npm/%zz", "pkg:npm/%zz@1", false},
	} {
		if got := inventory.SamePackage(tt.pattern, tt.purl); got != tt.want {
			t.Errorf("%s and %s: %v", tt.pattern, tt.purl, got)
		}
	}
}

func TestExceptionHits(t *testing.T) {
	at := inventory.Where{Digests: []string{"sha256:1", "sha256:index"}, Repository: inventory.Repository{Key: "prod", Image: "team/app"}}
	for _, tt := range []struct {
		e    inventory.Exception
		want bool
	}{
		{inventory.Exception{}, false},
		{inventory.Exception{All: true}, true},
		{inventory.Exception{Image: "sha256:index"}, true},
		{inventory.Exception{Image: "sha256:2", All: true}, false},
		{inventory.Exception{Repository: "prod"}, true},
		{inventory.Exception{Repository: "prod/team/app"}, true},
		{inventory.Exception{Repository: "team/app"}, true},
		{inventory.Exception{Repository: "prod/*"}, true},
		{inventory.Exception{Repository: "*/app"}, true},
		{inventory.Exception{Repository: "p*/t*/a*p"}, true},
		{inventory.Exception{Repository: "prod/other"}, false},
		{inventory.Exception{Repository: "app"}, false},
	} {
		if got := tt.e.HitsPlace(at); got != tt.want {
			t.Errorf("%+v: %v", tt.e, got)
		}
	}
	e := inventory.Exception{CVE: "CVE-1", Aliases: []string{"GHSA-1"}}
	if !e.HitsFlaw("x", "ghsa-1") || e.HitsFlaw("CVE-2") || !(&inventory.Exception{}).HitsFlaw("any") {
		t.Error("flaws")
	}
}
