package store_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
	"github.com/tallyman-dev/tallyman/internal/store"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

// fleetSize is how many tags the benchmarks put into the ledger: TALLYMAN_BENCH_TAGS, or 5,000.
func fleetSize() int {
	if n, err := strconv.Atoi(os.Getenv("TALLYMAN_BENCH_TAGS")); err == nil && n > 0 {
		return n
	}
	return 5000
}

func benchDatabases(b *testing.B, bench func(b *testing.B, o store.Options)) {
	b.Run("SQLite", func(b *testing.B) { bench(b, store.Options{Dir: b.TempDir(), KeysOf: storetest.KeysOf}) })
	b.Run("Postgres", func(b *testing.B) {
		bench(b, store.Options{URL: storetest.Postgres(b), KeysOf: storetest.KeysOf})
	})
}

func benchOpen(b *testing.B, o store.Options) *store.Store {
	b.Helper()
	s, err := store.Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// layers of image i: one of ten bases of 100 packages, one of 50 team layers, one of its own.
func fleetLayers(i int) []storetest.Layer {
	distro := storetest.Layer{Name: fmt.Sprint("distro", i%10)}
	for p := range 100 {
		distro.Add = append(distro.Add, fmt.Sprintf("deb/p%d@%d", p, i%10))
	}
	team := storetest.Layer{Name: fmt.Sprint("team", i%50)}
	for p := range 40 {
		team.Add = append(team.Add, fmt.Sprintf("npm/t%d@%d", p, i%50))
	}
	own := storetest.Layer{Name: fmt.Sprint("own", i), Add: []string{fmt.Sprintf("npm/own%d@1", i), fmt.Sprintf("npm/common@%d", i%7)}}
	return []storetest.Layer{distro, team, own}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// timed runs fn n times and reports the median and the 95th percentile.
func timed(b *testing.B, name string, n int, fn func()) {
	b.Helper()
	times := make([]time.Duration, n)
	for i := range times {
		start := time.Now()
		fn()
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(times[n/2]), name+"-p50-ms")
	b.ReportMetric(ms(times[n*95/100]), name+"-p95-ms")
}

// BenchmarkLedger fills a ledger through the store's own calls and reads it.
func BenchmarkLedger(b *testing.B) {
	benchDatabases(b, func(b *testing.B, o store.Options) {
		ctx := context.Background()
		s := benchOpen(b, o)
		id := benchConnect(b, s)
		n := fleetSize()
		start := time.Now()
		for from := 0; from < n; from += 1000 {
			var sightings []inventory.Sighting
			for i := from; i < min(n, from+1000); i++ {
				ref := fmt.Sprintf("docker-%d/team%d/app%d:v%d", i%5, i%50, i/20, i%20)
				sightings = append(sightings, storetest.Sight(ref, storetest.Digest("image "+fmt.Sprint("i", i)), storetest.After(time.Duration(i)*time.Second)))
			}
			_, err := s.RecordLook(ctx, inventory.Look{Integration: id, Kind: inventory.LookReconcile, At: storetest.After(time.Hour), Sightings: sightings})
			must(b, err)
		}
		b.ReportMetric(float64(n)/time.Since(start).Seconds(), "sightings/s")
		start = time.Now()
		for i := range n {
			img, chains := storetest.Build(fmt.Sprint("i", i), fleetLayers(i)...)
			must(b, s.SaveImage(ctx, img, chains))
			if i%50 == 0 || i < 60 {
				judgeAll(b, s, img.Digest)
			}
		}
		for {
			rest, err := s.Unmatched(ctx, 1000)
			must(b, err)
			if len(rest) == 0 {
				break
			}
			judge(b, s, rest)
		}
		for i := range n {
			must(b, s.FinishImage(ctx, storetest.Digest("image "+fmt.Sprint("i", i))))
		}
		b.ReportMetric(float64(n)/time.Since(start).Seconds(), "images/s")
		read(b, s)
	})
}

func benchConnect(b *testing.B, s *store.Store) int64 {
	b.Helper()
	id, err := s.AddIntegration(context.Background(), inventory.Integration{Name: "one", Registry: "one.example"}, inventory.Secrets{})
	must(b, err)
	return id
}

func judgeAll(b *testing.B, s *store.Store, digest string) {
	b.Helper()
	unmatched, err := s.UnmatchedPackages(context.Background(), digest)
	must(b, err)
	judge(b, s, unmatched)
}

// judge finds something in every third package.
func judge(b *testing.B, s *store.Store, packages []inventory.Package) {
	b.Helper()
	var purls []string
	var verdicts []inventory.Verdict
	for i, p := range packages {
		purls = append(purls, p.PURL)
		if i%3 == 0 {
			v := storetest.Verdict("npm/x@1", fmt.Sprint("CVE-", i, p.Name), inventory.Severities[i%5], "9")
			v.PURL = p.PURL
			verdicts = append(verdicts, v)
		}
	}
	must(b, s.SaveVerdicts(context.Background(), purls, verdicts))
}

func read(b *testing.B, s *store.Store) {
	b.Helper()
	ctx := context.Background()
	var next string
	for _, f := range []struct {
		name   string
		filter inventory.TagFilter
	}{
		{"page", inventory.TagFilter{Limit: 50}},
		{"by-severity", inventory.TagFilter{Limit: 50, Sort: "severity", Severity: inventory.Critical}},
		{"by-push", inventory.TagFilter{Limit: 50, Sort: "pushed"}},
		{"search", inventory.TagFilter{Limit: 50, Name: "team7/app1"}},
		{"newest", inventory.TagFilter{Limit: 50, Newest: true}},
	} {
		timed(b, f.name, 20, func() {
			page, err := s.Tags(ctx, f.filter)
			must(b, err)
			next = page.Next
			if len(page.Rows) == 0 {
				b.Fatalf("%s: nothing", f.name)
			}
		})
	}
	_ = next
	page, err := s.Tags(ctx, inventory.TagFilter{Limit: 50})
	must(b, err)
	timed(b, "next-page", 20, func() {
		_, err := s.Tags(ctx, inventory.TagFilter{Limit: 50, After: page.Next})
		must(b, err)
	})
	timed(b, "tag-counts", 20, func() { _, err := s.TagCounts(ctx, inventory.TagFilter{Newest: true}); must(b, err) })
	timed(b, "flaws", 20, func() { _, err := s.FleetFlaws(ctx, inventory.FlawFilter{Limit: 50}); must(b, err) })
	timed(b, "packages", 20, func() { _, err := s.FleetPackages(ctx, inventory.PackageFilter{Limit: 50}); must(b, err) })
	timed(b, "bases", 20, func() { _, err := s.BaseImages(ctx); must(b, err) })
	timed(b, "status", 10, func() { _, err := s.Status(ctx); must(b, err) })
	timed(b, "resolve", 20, func() { _, err := s.Resolve(ctx, page.Rows[7].Reference); must(b, err) })
	timed(b, "findings", 20, func() { _, err := s.Findings(ctx, page.Rows[7].Digest); must(b, err) })
}

// BenchmarkImport imports advisories while a reader and another writer go on, and
// reports how long the other writer had to wait.
func BenchmarkImport(b *testing.B) {
	benchDatabases(b, func(b *testing.B, o store.Options) {
		ctx := context.Background()
		s := benchOpen(b, o)
		id := benchConnect(b, s)
		const records = 20000
		body := slices.Repeat([]byte("words of an advisory "), 100)
		recs := make([]inventory.Advisory, records)
		for i := range recs {
			recs[i] = storetest.Advisory(fmt.Sprint("ADV-", i), storetest.Start, fmt.Sprintf("npm/p%d", i%9000))
			recs[i].Raw = append(slices.Clone(recs[i].Raw), body...)
			recs[i].Details = string(body[:1000])
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			start := time.Now()
			if _, err := s.SaveAdvisories(ctx, recs, storetest.AdvisoryKeys); err != nil {
				b.Error(err)
			}
			b.ReportMetric(records/time.Since(start).Seconds(), "records/s")
		}()
		var waits []time.Duration
		for importing := true; importing; {
			select {
			case <-done:
				importing = false
			case <-time.After(5 * time.Millisecond):
				start := time.Now()
				must(b, s.AddRequests(ctx, id, map[string]int64{"aql": 1}, 0, 0))
				waits = append(waits, time.Since(start))
			}
		}
		slices.Sort(waits)
		b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "wait-p50-ms")
		b.ReportMetric(float64(waits[len(waits)-1].Microseconds())/1000, "wait-max-ms")
	})
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIdle reports what waiting for jobs costs, and how soon one is begun.
func BenchmarkIdle(b *testing.B) {
	benchDatabases(b, func(b *testing.B, o store.Options) {
		s := benchOpen(b, o)
		ctx, cancel := context.WithCancel(context.Background())
		begun := make(chan time.Time, 1)
		nothing := queue.Handler{Do: func(context.Context, queue.Work) error { begun <- time.Now(); return nil }}
		done := make(chan error, 1)
		go func() {
			done <- s.Queue().Run(ctx, queue.Handlers{"look": nothing, "index": nothing, "match": nothing}, 3)
		}()
		time.Sleep(2 * time.Second)
		before, start := cpu(), time.Now()
		time.Sleep(10 * time.Second)
		b.ReportMetric(100*float64(cpu()-before)/float64(time.Since(start)), "%core")
		timed(b, "begin", 40, func() {
			must(b, s.Enqueue(ctx, queue.Job{Kind: "index"}))
			<-begun
		})
		cancel()
		must(b, <-done)
	})
}
