package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// ReaderStore is what is read to answer for one reference.
type ReaderStore interface {
	Resolve(ctx context.Context, ref string) (inventory.TagRow, error)
	Image(ctx context.Context, digest string) (inventory.Image, error)
	Placed(ctx context.Context, chainID string, indexer int) ([]inventory.Placed, error)
	Bases(ctx context.Context, chainID string) ([]inventory.Base, error)
	Findings(ctx context.Context, digest string) ([]inventory.Finding, error)
	Status(ctx context.Context) (inventory.Status, error)
}

// Reader puts together what is known of a reference, from what the ledger keeps apart.
type Reader struct {
	Store ReaderStore
	// Coverage answers what says why a package cannot be assessed by the advisories at
	// hand; "" means that it can. Nil means: whatever belongs to no ecosystem.
	Coverage func(ctx context.Context) (func(inventory.Package) string, error)
	// Exceptions answers the decisions that findings do not count; nil means none.
	Exceptions func(ctx context.Context) ([]inventory.Exception, error)
}

// Open answers the dossier of a reference; platform chooses among the images of an
// index and may be left empty. A tag that waits or failed has a dossier too: its
// lists are empty and its state says why.
func (rd *Reader) Open(ctx context.Context, ref, platform string) (inventory.Dossier, error) {
	var d inventory.Dossier
	row, err := rd.Store.Resolve(ctx, ref)
	if err != nil {
		return d, err
	}
	d.Tag = row
	d.Image = inventory.Image{Digest: row.Digest, MediaType: row.MediaType, State: row.State, Problem: row.Problem}
	img, err := rd.Store.Image(ctx, row.Digest)
	switch {
	case errors.Is(err, inventory.ErrNotFound):
		return rd.fill(ctx, d)
	case err != nil:
		return d, fmt.Errorf("image of %s: %w", ref, err)
	}
	d.Image = img
	if img.Kind != inventory.IndexKind {
		if platform != "" && !matchesPlatform(img.Platform, platform) {
			return d, noPlatform(row.Reference, platform, []string{img.Platform})
		}
		return rd.fill(ctx, d)
	}
	d.Index = &img
	member, err := chooseMember(row.Reference, img, platform)
	if err != nil {
		return d, err
	}
	d.Image = inventory.Image{Digest: member.Digest, Platform: member.Platform, State: inventory.StateWaiting}
	one, err := rd.Store.Image(ctx, member.Digest)
	if err != nil && !errors.Is(err, inventory.ErrNotFound) {
		return d, fmt.Errorf("image %s of %s: %w", member.Digest, ref, err)
	}
	if err == nil {
		d.Image = one
	}
	return rd.fill(ctx, d)
}

// fill reads packages and findings of the image of d and makes its two documents.
func (rd *Reader) fill(ctx context.Context, d inventory.Dossier) (inventory.Dossier, error) {
	img := d.Image
	var placed []inventory.Placed
	var bases []inventory.Base
	var findings []inventory.Finding
	var err error
	if img.ChainID != "" {
		if placed, err = rd.Store.Placed(ctx, img.ChainID, img.Indexer); err != nil {
			return d, fmt.Errorf("packages of %s: %w", img.Digest, err)
		}
		if bases, err = rd.Store.Bases(ctx, img.ChainID); err != nil {
			return d, fmt.Errorf("bases of %s: %w", img.Digest, err)
		}
	}
	if img.State == inventory.StateAnalysed {
		if findings, err = rd.Store.Findings(ctx, img.Digest); err != nil {
			return d, fmt.Errorf("findings of %s: %w", img.Digest, err)
		}
	}
	d.Image.Layers = markBase(img.Layers, bases)
	d.SBOM = inventory.SBOM{
		Reference: d.Tag.Reference, Digest: img.Digest, Platform: img.Platform, Distro: img.Distro,
		Layers: orNone(d.Image.Layers), Base: orNone(bases), Origin: img.Origin,
		Packages: orNone(placed), Problems: orNone(img.Problems), Attached: orNone(img.Attached),
	}
	d.Report = inventory.Report{
		Reference: d.Tag.Reference, Digest: img.Digest, Platform: img.Platform,
		Findings: orNone(findings), Summary: inventory.Count(findings),
	}
	if err := rd.except(ctx, &d); err != nil {
		return d, err
	}
	if d.Report.Unknown, err = rd.unknown(ctx, placed); err != nil {
		return d, err
	}
	d.Report.AdvisoriesAsOf, err = rd.advisoriesAsOf(ctx)
	return d, err
}

// advisoriesAsOf is when advisories were last brought up to date.
func (rd *Reader) advisoriesAsOf(ctx context.Context) (*time.Time, error) {
	st, err := rd.Store.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if st.Advisories.AgeS == nil {
		return st.Advisories.Newest, nil
	}
	// To the minute: the age is counted anew with every reading, and a report that
	// says the same should be the same.
	at := time.Now().UTC().Add(-time.Duration(*st.Advisories.AgeS) * time.Second).Truncate(time.Minute)
	return &at, nil
}

// unknown names the packages that cannot be assessed, each once.
func (rd *Reader) unknown(ctx context.Context, placed []inventory.Placed) ([]inventory.Unknown, error) {
	why := func(p inventory.Package) string {
		if p.Ecosystem == "" {
			return "not assessed: no advisories are kept for packages of this kind"
		}
		return ""
	}
	if rd.Coverage != nil {
		var err error
		if why, err = rd.Coverage(ctx); err != nil {
			return nil, fmt.Errorf("what advisories cover: %w", err)
		}
	}
	out := []inventory.Unknown{}
	seen := map[string]bool{}
	for _, p := range placed {
		if p.OwnedBy != "" || seen[p.PURL] { // its owner is assessed in its place
			continue
		}
		if reason := why(p.Package); reason != "" {
			seen[p.PURL] = true
			out = append(out, inventory.Unknown{PURL: p.PURL, Ecosystem: p.Ecosystem, Reason: reason})
		}
	}
	return out, nil
}

// markBase marks the layers that come from the longest known base.
func markBase(layers []inventory.ImageLayer, bases []inventory.Base) []inventory.ImageLayer {
	longest := 0
	for _, b := range bases {
		longest = max(longest, b.Layers)
	}
	out := slices.Clone(layers)
	for i := range out {
		out[i].Base = out[i].Base || i < longest
	}
	return out
}

func chooseMember(ref string, index inventory.Image, platform string) (inventory.IndexMember, error) {
	var images []inventory.IndexMember
	var names []string
	for _, m := range index.Members {
		if m.Kind == inventory.ImageKind {
			images = append(images, m)
			names = append(names, m.Platform)
		}
	}
	if platform == "" {
		for _, want := range []string{"linux/amd64", "linux/"} {
			for _, m := range images {
				if strings.HasPrefix(m.Platform, want) {
					return m, nil
				}
			}
		}
		if len(images) > 0 {
			return images[0], nil
		}
		return inventory.IndexMember{}, inventory.Errorf(inventory.ErrUnsupported, "%s holds no platform image", ref)
	}
	for _, m := range images {
		if matchesPlatform(m.Platform, platform) {
			return m, nil
		}
	}
	return inventory.IndexMember{}, noPlatform(ref, platform, names)
}

// matchesPlatform takes "linux/arm64" and "arm64" for "linux/arm64/v8".
func matchesPlatform(have, want string) bool {
	want = strings.TrimSuffix(want, "/")
	if !strings.Contains(want, "/") {
		want = "linux/" + want
	}
	return have == want || strings.HasPrefix(have, want+"/")
}

func noPlatform(ref, platform string, have []string) error {
	return inventory.Errorf(inventory.ErrNotFound, "%s has no platform %s", ref, shorten(platform)).
		WithRemedy("it has: %s", strings.Join(have, ", "))
}

func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
