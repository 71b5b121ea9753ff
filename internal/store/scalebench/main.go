// Command scalebench fills a ledger with a made-up fleet through the store's own calls, and
// measures what questions cost: how far a new advisory reaches and whom first, who has a
// package, the report of an image, a feed. It is a measuring tool and no part of Tallyman.
//
//	scalebench -images 100000 -osv DIR [-data DIR | -database postgres://…] [-built]
//
// The fleet: 100 distribution bases, 5,000 bases of teams on them, and one layer of its own
// for every image; about 400 packages an image; one image in twenty rewrites the database
// of its distribution, one in twenty removes packages. DIR holds real OSV records, as
// <Ecosystem>/all.zip: advisories are made after them, for packages of the fleet.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tallyman-dev/tallyman/internal/match"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "scalebench:", err)
		os.Exit(1)
	}
}

type bench struct {
	out    io.Writer
	store  *store.Store
	made   *fleet
	images int
	osv    string
	feed   int
	dir    string
	each   int // advisories measured of every reach
}

func run(ctx context.Context, args []string, out io.Writer) error {
	b := bench{out: out}
	fs := flag.NewFlagSet("scalebench", flag.ContinueOnError)
	fs.IntVar(&b.images, "images", 100_000, "images, and tags")
	fs.StringVar(&b.osv, "osv", "", "directory of real OSV records, as <Ecosystem>/all.zip; empty = no feed is measured")
	fs.IntVar(&b.feed, "feed", 300_000, "advisories made after them")
	fs.StringVar(&b.dir, "data", "", "data directory that stays; empty = one that goes")
	fs.IntVar(&b.each, "each", 50, "advisories measured of every reach")
	built := fs.Bool("built", false, "the ledger is there from an earlier run of as many images: only ask")
	database := fs.String("database", "", "postgres://…; empty = SQLite in the data directory")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "scalebench")
		if err != nil {
			return fmt.Errorf("make a directory: %w", err)
		}
		defer os.RemoveAll(dir)
		b.dir = dir
	}
	var err error
	b.store, err = store.Open(ctx, store.Options{Dir: b.dir, URL: *database, KeysOf: match.KeysOf})
	if err != nil {
		return err
	}
	defer b.store.Close() //nolint:errcheck // nothing is written any more
	b.made = newFleet(b.images)
	if *built {
		return b.questions(ctx)
	}
	if err := b.build(ctx, *database); err != nil {
		return err
	}
	if err := b.importFeed(ctx); err != nil {
		return err
	}
	return b.questions(ctx)
}

// timed says how long something took.
func (b *bench) timed(what string, do func() error) error {
	start := time.Now()
	err := do()
	if err == nil {
		fmt.Fprintf(b.out, "%-52s %10s\n", what, time.Since(start).Round(time.Millisecond))
	}
	return err
}
