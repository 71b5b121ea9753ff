package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/match"
)

// delta is how many records a day changes.
const delta = 2000

// importFeed makes a feed after real records and brings it in: all of it, and then what a
// day changes of it.
func (b *bench) importFeed(ctx context.Context) error {
	if b.osv == "" {
		return nil
	}
	models, err := b.records()
	if err != nil {
		return err
	}
	whole, day := filepath.Join(b.dir, "feed.zip"), filepath.Join(b.dir, "day.zip")
	if err := b.write(whole, models, b.feed, 0); err != nil {
		return err
	}
	if err := b.write(day, models, delta, 1); err != nil {
		return err
	}
	start := time.Now()
	if err := b.bring(ctx, whole); err != nil {
		return err
	}
	took := time.Since(start)
	fmt.Fprintf(b.out, "%-52s %10s  (%.0f records/s with their matches)\n", fmt.Sprintf("a fresh feed of %d records imported and matched", b.feed), took.Round(time.Millisecond), float64(b.feed)/took.Seconds())
	err = b.timed(fmt.Sprintf("a day's %d changed records, with their events", delta), func() error { return b.bring(ctx, day) })
	if err != nil {
		return err
	}
	err = b.timed("counts of all images made again, behind", func() error {
		for {
			if more, err := b.store.RefreshCounts(ctx, 2000); err != nil || !more {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	for _, path := range []string{whole, day} {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the feed: %w", err)
		}
	}
	return nil
}

func (b *bench) bring(ctx context.Context, path string) error {
	feed := match.New(b.store).Feed()
	if _, err := advisory.Import(ctx, path, sink{feed}); err != nil {
		return err
	}
	_, err := feed.Finish(ctx)
	return err
}

type sink struct{ *match.Feed }

func (sink) KEV(context.Context, []inventory.KEV) error   { return nil }
func (sink) EPSS(context.Context, []inventory.EPSS) error { return nil }

// records reads real records to make others after.
func (b *bench) records() (all []map[string]any, err error) {
	zips, err := filepath.Glob(filepath.Join(b.osv, "*", "all.zip"))
	if err != nil || len(zips) == 0 {
		return nil, fmt.Errorf("no <Ecosystem>/all.zip in %s: %w", b.osv, err)
	}
	const most = 20_000
	for _, path := range zips {
		z, err := zip.OpenReader(path)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		for _, f := range z.File {
			if len(all) == most || !strings.HasSuffix(f.Name, ".json") {
				continue
			}
			in, err := f.Open()
			if err != nil {
				return nil, fmt.Errorf("open %s: %w", f.Name, err)
			}
			raw, err := io.ReadAll(in)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", f.Name, err)
			}
			var rec map[string]any
			if json.Unmarshal(raw, &rec) == nil && rec["id"] != nil && rec["withdrawn"] == nil {
				all = append(all, rec)
			}
		}
		if err := z.Close(); err != nil {
			return nil, fmt.Errorf("close %s: %w", path, err)
		}
	}
	return all, nil
}

// write makes records: the words and ratings of real ones, about packages of the fleet and
// of others, for nine in ten advisories name what nobody has.
func (b *bench) write(path string, models []map[string]any, n, revision int) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make the feed: %w", err)
	}
	z := zip.NewWriter(f)
	for i := range n {
		rec := map[string]any{}
		for k, v := range models[i%len(models)] {
			rec[k] = v
		}
		id := fmt.Sprintf("SCALE-%d", i)
		rec["id"], rec["aliases"], rec["upstream"], rec["related"] = id, []string{fmt.Sprintf("CVE-2026-%d", 100_000+i)}, nil, nil
		rec["modified"] = b.made.began.Add(time.Duration(revision) * time.Hour).Format(time.RFC3339)
		rec["affected"] = []any{affected(i, revision)}
		w, err := z.Create(id + ".json")
		if err != nil {
			return fmt.Errorf("make the feed: %w", err)
		}
		if err := json.NewEncoder(w).Encode(rec); err != nil {
			return fmt.Errorf("make the feed: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("make the feed: %w", err)
	}
	return f.Close()
}

func affected(i, revision int) map[string]any {
	ecosystem, name, kind, fixed := "npm", fmt.Sprint("unheard-of-", i), "SEMVER", fmt.Sprintf("1.%d.0", 1+(i+revision)%9)
	switch {
	case i%10 == 0:
		name = fmt.Sprint("library-", i/10%40_000)
	case i%100 == 1:
		ecosystem, name, kind, fixed = "Debian:12", fmt.Sprint("os-package-", i/100%osCount), "ECOSYSTEM", fmt.Sprintf("%d.0-1", 1+(i/30_000+revision)%40)
	}
	return map[string]any{
		"package": map[string]any{"ecosystem": ecosystem, "name": name},
		"ranges":  []any{map[string]any{"type": kind, "events": []any{map[string]any{"introduced": "0"}, map[string]any{"fixed": fixed}}}},
	}
}
