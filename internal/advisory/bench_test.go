package advisory_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/advisory"
)

// BenchmarkImport reads the OSV zips of TALLYMAN_TRUTH_DATA (a directory with
// osv/<Ecosystem>/all.zip) and states records per second.
func BenchmarkImport(b *testing.B) {
	root := os.Getenv("TALLYMAN_TRUTH_DATA")
	if root == "" {
		b.Skip("set TALLYMAN_TRUTH_DATA to a directory with osv/<Ecosystem>/all.zip")
	}
	b.ReportAllocs()
	records := 0
	for b.Loop() {
		got, err := advisory.Import(b.Context(), filepath.Join(root, "osv"), &sink{})
		if err != nil {
			b.Fatal(err)
		}
		records += got.Records
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}
