package match

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// BenchmarkImage matches one believable image of 500 packages against all advisories of
// the full truth, from candidates in memory.
func BenchmarkImage(b *testing.B) {
	root := truthData(b)
	l := load(b, filepath.Join(root, "osv"))
	packages := imageOf500(b, root)
	candidates := map[inventory.AffectedKey][]inventory.Advisory{}
	n := 0
	for _, p := range packages {
		for _, key := range KeysOf(p) {
			candidates[key] = l.byKey[key]
		}
		n += len(candidatesOf(p, candidates))
	}
	b.ReportAllocs()
	verdicts := 0
	for b.Loop() {
		_, v := All(packages, candidates)
		verdicts = len(v)
	}
	b.ReportMetric(float64(n), "candidates")
	b.ReportMetric(float64(verdicts), "verdicts")
}

// imageOf500 is 150 Debian packages with the sources most written about, and packages
// of the truth's other ecosystems, each once; what is short is filled up with names nobody wrote
// about, as most packages of an image are.
func imageOf500(b *testing.B, root string) []inventory.Package {
	b.Helper()
	var out []inventory.Package
	seen := map[string]bool{}
	count := map[string]int{}
	for _, p := range readLines[pair](b, filepath.Join(root, "truth", "eval-pairs.jsonl")) {
		base, _ := split(p.Ecosystem)
		limit := map[string]int{"Debian": 150, "npm": 150, "Go": 60, "PyPI": 40, "Maven": 30, "RubyGems": 20}[base]
		one := p.pkg()
		if base == "Debian" {
			one.Ecosystem = "Debian:11"
		}
		if key := one.Ecosystem + one.Name; !seen[key] && count[base] < limit {
			seen[key] = true
			count[base]++
			out = append(out, one)
		}
	}
	for i := len(out); i < 500; i++ {
		name := fmt.Sprintf("unheard-of-%d", i)
		out = append(out, inventory.Package{PURL: "pkg:npm/" + name + "@1.0.0", Name: name, Version: "1.0.0", Ecosystem: "npm"})
	}
	return out
}

func BenchmarkCompare(b *testing.B) {
	for _, tc := range [][3]string{
		{"Debian:12", "3.0.11-1~deb12u2", "3.0.15-1~deb12u1"},
		{"npm", "1.2.3-beta.2", "1.2.3"},
		{"Go", "0.0.0-20220622213112-05595931fe9d", "0.0.0-20231012003039-104605ab7028"},
		{"Alpine:v3.18", "1.36.1-r2", "1.36.1-r15"},
		{"Red Hat:enterprise_linux:9", "0:3.0.7-27.el9", "0:3.0.7-28.el9_4"},
		{"PyPI", "2.0.0rc1", "2.0.0.post1"},
		{"Maven", "2.15.0-rc1", "2.17.1"},
	} {
		b.Run(tc[0], func(b *testing.B) {
			for b.Loop() {
				if _, err := Compare(tc[0], tc[1], tc[2]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
