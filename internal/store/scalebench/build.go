package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/match"
)

// batch is how many images are saved, or tags seen, in one call.
const batch = 200

// build fills the ledger as watchers do: images, and then the tags that lead to them.
func (b *bench) build(ctx context.Context, database string) error {
	id, err := b.store.AddIntegration(ctx, inventory.Integration{Name: "fleet", Kind: inventory.KindArtifactory, URL: "https://registry.example", Registry: "registry.example"}, inventory.Secrets{})
	if err != nil {
		return err
	}
	start := time.Now()
	if err := b.saveImages(ctx); err != nil {
		return err
	}
	known := time.Since(start)
	for from := 0; from < b.images; from += 1000 {
		look := inventory.Look{Integration: id, Kind: inventory.LookReconcile, At: b.made.began.Add(2000 * time.Hour), Indexer: 1, Partial: true}
		for n := from; n < min(from+1000, b.images); n++ {
			look.Sightings = append(look.Sightings, b.made.sighting(n))
		}
		if _, err := b.store.RecordLook(ctx, look); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.out, "%-52s %10s  (%.0f images/s, %.0f tags/s)\n", fmt.Sprintf("%d images and tags recorded", b.images), time.Since(start).Round(time.Second),
		float64(b.images)/known.Seconds(), float64(b.images)/(time.Since(start)-known).Seconds())
	if err := b.timed("all packages matched for the first time", func() error { _, err := match.New(b.store).Rest(ctx); return err }); err != nil {
		return err
	}
	if err := b.timed("bitmaps of packages that many have", func() error { return b.store.Tidy(ctx) }); err != nil {
		return err
	}
	return b.diskUse(database)
}

// diskUse says how large the ledger is.
func (b *bench) diskUse(database string) error {
	if database == "" {
		size := b.size()
		fmt.Fprintf(b.out, "%-52s %10d  (%d bytes an image)\n", "bytes on disk", size, size/int64(b.images))
	}
	return nil
}

// saveImages saves images two batches at a time, as two workers would.
func (b *bench) saveImages(ctx context.Context) error {
	const first = 2000 // one after the other, so that the bases are there
	if err := b.saveRange(ctx, 0, min(first, b.images)); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for from := first; from < b.images; from += batch {
		g.Go(func() error { return b.saveRange(ctx, from, min(from+batch, b.images)) })
	}
	return g.Wait()
}

func (b *bench) saveRange(ctx context.Context, from, to int) error {
	for n := from; n < to; n++ {
		img, chains := b.made.image(n)
		if err := b.store.SaveImage(ctx, img, chains); err != nil {
			return fmt.Errorf("image %d: %w", n, err)
		}
	}
	return nil
}

func (b *bench) size() (total int64) {
	_ = filepath.WalkDir(b.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total
}
