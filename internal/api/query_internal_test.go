package api

import (
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func FuzzReadQuestion(f *testing.F) {
	for _, seed := range []string{
		"openssl <3.0.12", "pkg:npm/%40babel/core@7.0.0 >=1, <2", "pkg:deb/debian/openssl@3.0.9-1?arch=amd64&distro=debian-12",
		"CVE-2021-44228", "GHSA-jfh8-c2jp-5v3q", "DSA-5678-1", "sha256:00", "@scope/name@1", "a = 1:2.3-4", "x!=1!2.0", "🦊 <1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := readQuestion(text)
		if err != nil {
			return
		}
		if q.name == "" && q.purl == "" {
			t.Fatalf("%q asks for nothing", text)
		}
		if len(q.conditions) > maxConditions {
			t.Fatalf("%d conditions", len(q.conditions))
		}
		compare := func(string, string, string) (int, error) { return 0, inventory.ErrInvalid }
		if _, err := q.holds(inventory.Package{Version: "1"}, compare); err != nil && len(q.conditions) == 0 {
			t.Fatal(err)
		}
		q.packages()
	})
}
