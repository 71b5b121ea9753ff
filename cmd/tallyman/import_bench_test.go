package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/match"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// BenchmarkImport reads the OSV zips of TALLYMAN_TRUTH_DATA (a directory with
// osv/<Ecosystem>/all.zip) into a new ledger, from the file to the last row, and states
// records per second of one core's time: other work on the machine does not count.
func BenchmarkImport(b *testing.B) {
	root := os.Getenv("TALLYMAN_TRUTH_DATA")
	if root == "" {
		b.Skip("set TALLYMAN_TRUTH_DATA to a directory with osv/<Ecosystem>/all.zip")
	}
	records := 0
	var spent time.Duration
	for b.Loop() {
		s, err := store.Open(b.Context(), store.Options{Dir: b.TempDir(), KeysOf: match.KeysOf})
		if err != nil {
			b.Fatal(err)
		}
		before := cpuTime(b)
		got, err := advisory.Import(b.Context(), filepath.Join(root, "osv"), sinkTo{s})
		if err != nil {
			b.Fatal(err)
		}
		spent += cpuTime(b) - before
		records += got.Records
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(records)/spent.Seconds(), "records/cpu-s")
}

// sinkTo keeps what an import reads.
type sinkTo struct{ *store.Store }

func (s sinkTo) Advisories(ctx context.Context, batch []inventory.Advisory) error {
	_, err := s.SaveAdvisories(ctx, batch, match.AdvisoryKeys)
	return err
}

func (s sinkTo) KEV(ctx context.Context, all []inventory.KEV) error   { return s.SaveKEV(ctx, all) }
func (s sinkTo) EPSS(ctx context.Context, all []inventory.EPSS) error { return s.SaveEPSS(ctx, all) }

// cpuTime is what the process has taken of the processor so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
