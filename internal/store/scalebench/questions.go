package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

var errEnough = errors.New("a page is full")

const page = 100

// sample is what one question cost.
type sample struct {
	took time.Duration
	rows int
}

// questions asks what people ask, of packages that few and many images have.
func (b *bench) questions(ctx context.Context) error {
	if err := b.timed("the tree of chains read into memory", func() error { return b.ask(ctx, osPackage(0, 299, 9).PURL, nil) }); err != nil {
		return err
	}
	var all []sample
	for _, reach := range []struct {
		name     string
		from, to int
		purls    []string
	}{
		{"reach of about 1", 1, 3, b.rare()},
		{"reach of about 100", 60, 200, b.libraries(0.02, 0.5)},
		{"reach of about 10,000 (or a hundredth)", b.images / 300, b.images / 50, b.ofBases(10, osCount)},
		{"reach of 300,000 and more (or a third)", b.images / 4, b.images, b.ofBases(0, 10)},
	} {
		var some []sample
		for _, purl := range reach.purls {
			if len(some) == b.each {
				break
			}
			var one sample
			if err := b.ask(ctx, purl, &one); err != nil {
				return err
			}
			if one.rows >= reach.from && one.rows <= reach.to {
				some = append(some, one)
			}
		}
		b.show("who has it, exact count and first page: "+reach.name, some)
		all = append(all, some...)
	}
	b.show("all of these", all)
	if err := b.stream(ctx); err != nil {
		return err
	}
	return b.reports(ctx)
}

// ask counts exactly who has a package and reads the first page.
func (b *bench) ask(ctx context.Context, purl string, s *sample) error {
	start := time.Now()
	var n inventory.Reach
	rows := 0
	err := b.store.Holders(ctx, inventory.HolderQuery{PURLs: []string{purl}, Free: true},
		func(r inventory.Reach) error { n = r; return nil },
		func(inventory.Holding) error {
			if rows++; rows == page {
				return errEnough
			}
			return nil
		})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if want := min(n.Tags, page); rows != want {
		return fmt.Errorf("%s: %d rows on the page, %d tags", purl, rows, n.Tags)
	}
	if s != nil {
		*s = sample{time.Since(start), n.Images}
	}
	return nil
}

func (b *bench) stream(ctx context.Context) error {
	start, rows := time.Now(), 0
	err := b.store.Holders(ctx, inventory.HolderQuery{PURLs: []string{osPackage(40, 0, 0).PURL}}, func(inventory.Reach) error { return nil },
		func(inventory.Holding) error { rows++; return nil })
	took := time.Since(start)
	fmt.Fprintf(b.out, "%-52s %10s  (%.0f rows/s)\n", fmt.Sprintf("%d rows of who has one package", rows), took.Round(time.Millisecond), float64(rows)/took.Seconds())
	return err
}

func (b *bench) reports(ctx context.Context) error {
	var some []sample
	for i := range 200 {
		img, _ := b.made.image(i * b.images / 200)
		start := time.Now()
		findings, err := b.store.Findings(ctx, img.Digest)
		if err != nil {
			return err
		}
		some = append(some, sample{time.Since(start), len(findings)})
	}
	b.show("the report of an image", some)
	return nil
}

func (b *bench) show(what string, some []sample) {
	if len(some) == 0 {
		fmt.Fprintf(b.out, "%-70s none\n", what)
		return
	}
	slices.SortFunc(some, func(a, c sample) int { return int(a.took - c.took) })
	rows := 0
	for _, s := range some {
		rows += s.rows
	}
	ms := func(p int) float64 {
		return float64(some[min(len(some)*p/100, len(some)-1)].took.Microseconds()) / 1000
	}
	fmt.Fprintf(b.out, "%-70s n=%d, mean of %d rows: p50 %.1f ms, p95 %.1f ms, most %.1f ms\n", what, len(some), rows/len(some), ms(50), ms(95), ms(100))
}

func (b *bench) rare() (purls []string) {
	for i := range 4 * b.each {
		purls = append(purls, npm(fmt.Sprint("application-", i*7%min(b.images, 400_000)), "1.0.0").PURL)
	}
	return purls
}

// libraries are packages from between two ranks of frequency, 0 = the most frequent.
func (b *bench) libraries(from, to float64) (purls []string) {
	for i := range 40 * b.each {
		x := from + (to-from)*float64(i)/float64(40*b.each)
		purls = append(purls, npm(fmt.Sprint("library-", int(40_000*x*x*x)), fmt.Sprintf("1.%d.0", i%10)).PURL)
	}
	return purls
}

func (b *bench) ofBases(from, to int) (purls []string) {
	seen := map[string]bool{}
	for d := range distros {
		for p := from; p < to; p++ {
			if purl := osPackage(d, p, 0).PURL; !seen[purl] {
				seen[purl] = true
				purls = append(purls, purl)
			}
		}
	}
	return purls
}
