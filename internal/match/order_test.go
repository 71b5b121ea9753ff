package match

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/osv-scalibr/semantic"
)

// truthData is the directory with the full truth: TALLYMAN_TRUTH_DATA, or the data that
// stands beside a developer's checkout. Without it the facts in testdata are used.
func truthData(t testing.TB) string {
	t.Helper()
	for _, dir := range []string{os.Getenv("TALLYMAN_TRUTH_DATA"), "../../../shared/data"} {
		if info, err := os.Stat(filepath.Join(dir, "truth")); dir != "" && err == nil && info.IsDir() {
			return dir
		}
	}
	t.Skip("the full truth is not here: set TALLYMAN_TRUTH_DATA to its directory")
	return ""
}

func ecosystemOfFile(name string) string {
	eco, _, _ := strings.Cut(filepath.Base(name), "-versions")
	return map[string]string{
		"alpine": "Alpine:v3.20", "cran": "CRAN", "debian": "Debian:12", "hackage": "Hackage", "maven": "Maven",
		"nuget": "NuGet", "packagist": "Packagist", "pub": "Pub", "pypi": "PyPI", "redhat": "Red Hat:enterprise_linux:9",
		"rubygems": "RubyGems", "semver": "npm",
	}[eco]
}

// checkOrder reads lines "A < B" and holds Compare to each, both ways round.
func checkOrder(t *testing.T, file string) int {
	t.Helper()
	ecosystem := ecosystemOfFile(file)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, n := bufio.NewScanner(f), 0
	for lines.Scan() {
		part := strings.Fields(lines.Text())
		if len(part) != 3 || strings.HasPrefix(part[0], "#") || strings.HasPrefix(part[0], "//") {
			continue
		}
		n++
		want := strings.Index("<=>", part[1]) - 1
		got, err := Compare(ecosystem, part[0], part[2])
		if err != nil || got != want {
			t.Errorf("%s: %s: got %d (%v)", filepath.Base(file), lines.Text(), got, err)
		}
		if back, err := Compare(ecosystem, part[2], part[0]); err != nil || back != -want {
			t.Errorf("%s: %s: the other way round got %d (%v)", filepath.Base(file), lines.Text(), back, err)
		}
	}
	return n
}

func TestOrderTruth(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(truthData(t), "versions", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no version files: %v", err)
	}
	total := 0
	for _, file := range files {
		total += checkOrder(t, file)
	}
	t.Logf("%d lines of %d files", total, len(files))
}

// FuzzQuick holds the quick ways to semantic's.
func FuzzQuick(f *testing.F) {
	for _, pair := range [][2]string{
		{"1.2.3", "v1.2.3-rc.1+build"},
		{"1.0.0-0.2019", "1.0.0-alpha"},
		{"1:2.3~rc1-4", "2.3-4+deb12u1"},
		{"2.36-9+deb12u4", "2.36-9+deb12u10"},
		{"1.0-", "1.0"},
		{"0", "0-0"},
		{"1.2.3", "1.2.10.0"},
		{"1.02.3-r1", "1.2.3-r10"},
		{"1.0.0", "1"},
		{"1.2.3-a..b", "1.2.3--a"},
		{"1..2", "1.2"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, ecosystem := range []string{"Debian", "npm", "PyPI", "RubyGems", "Maven", "Alpine"} {
			o, _ := orderOf(ecosystem)
			got, ok := o.quick(a, b)
			if !ok {
				continue
			}
			v, err := semantic.Parse(a, o.native)
			if err != nil {
				t.Fatalf("%s: quick took %q, semantic did not: %v", ecosystem, a, err)
			}
			if want, err := v.CompareStr(b); err != nil || want != got {
				t.Fatalf("%s: %q ? %q: quick %d, semantic %d (%v)", ecosystem, a, b, got, want, err)
			}
		}
	})
}
