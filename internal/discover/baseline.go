package discover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	// CursorBaseline is when the baseline was recorded, or BaselineWanted.
	CursorBaseline = "baseline"
	// BaselineWanted as the value of CursorBaseline makes the next full listing the
	// baseline, whoever makes it.
	BaselineWanted = "wanted"
	// cursorPending names the repositories, one a line, that could not be listed
	// when the baseline was recorded: their first complete listing is theirs.
	cursorPending = "baseline-pending"
)

// tagName is a tag in its place.
type tagName struct{ key, image, tag string }

func nameOf(s inventory.Sighting) tagName { return tagName{s.Key, s.Image, s.Tag} }

// past is what was there before anybody watched, and what the list of images was
// when this process began.
type past struct {
	stamp   string             // CursorBaseline, "" = nothing is left out
	pending map[string]bool    // keys whose part of the baseline is not known yet
	digests map[tagName]string // the baseline: left out while a tag is the same
	images  map[inventory.Repository]bool
	fixed   map[string]bool // keys whose images are in images
	keys    []string        // the keys at the start; nil = not listed yet
}

// begins says that the next full listing becomes the baseline.
func (d *Discoverer) begins() bool {
	return d.past.stamp == BaselineWanted || d.past.stamp == "" && (d.opts.Baseline || d.opts.All)
}

// remember reads the baseline. Each full listing does: another process may have
// recorded one.
func (d *Discoverer) remember(ctx context.Context) error {
	stamp, err := d.store.Cursor(ctx, d.in.ID, CursorBaseline)
	if err != nil {
		return fmt.Errorf("baseline of %s: %w", d.in.Name, err)
	}
	pending, err := d.store.Cursor(ctx, d.in.ID, cursorPending)
	if err != nil {
		return fmt.Errorf("baseline of %s: %w", d.in.Name, err)
	}
	d.past.stamp, d.past.pending, d.past.digests = stamp, map[string]bool{}, map[tagName]string{}
	for _, key := range strings.Fields(pending) {
		d.past.pending[key] = true
	}
	if stamp == "" || stamp == BaselineWanted {
		return nil
	}
	tags, err := d.store.Baseline(ctx, d.in.ID)
	if err != nil {
		return err
	}
	for _, t := range tags {
		d.past.digests[tagName{t.Key, t.Image, t.Tag}] = t.Digest
	}
	return nil
}

// wantedKeys are the repositories to list: those that were asked for, else those
// that were there at the start where that list is fixed.
func (d *Discoverer) wantedKeys() []string {
	if len(d.in.Repositories) == 0 && d.opts.Fixed && len(d.past.keys) > 0 {
		return d.past.keys
	}
	return d.in.Repositories
}

// choose decides what of a full listing counts: what differs from the baseline,
// is tracked already, or was pushed in the window of a backfill.
func (d *Discoverer) choose(ctx context.Context, look *inventory.Look, l artifactory.Listing, selected []inventory.RepositoryKey, w *window) error {
	if err := d.remember(ctx); err != nil {
		return err
	}
	d.fix(l, selected)
	if !d.begins() && len(d.past.pending) == 0 && w == nil {
		d.leaveOut(look, nil)
		return nil
	}
	tracked, err := d.tracked(ctx)
	if err != nil {
		return err
	}
	pass := map[tagName]bool{}
	if w != nil {
		if pass, err = d.sift(ctx, look, w, selected, tracked); err != nil {
			return err
		}
	}
	d.found(look, l, selected, tracked, pass)
	d.leaveOut(look, pass)
	return nil
}

// fix remembers the images that each repository has when it is first listed.
func (d *Discoverer) fix(l artifactory.Listing, selected []inventory.RepositoryKey) {
	if !d.opts.Fixed {
		return
	}
	if d.past.keys == nil {
		for _, r := range selected {
			d.past.keys = append(d.past.keys, r.Key)
		}
		d.past.images, d.past.fixed = map[inventory.Repository]bool{}, map[string]bool{}
	}
	for _, s := range l.Tags {
		if !d.past.fixed[s.Key] {
			d.past.images[inventory.Repository{Key: s.Key, Image: s.Image}] = true
		}
	}
	for key, complete := range l.Complete {
		d.past.fixed[key] = d.past.fixed[key] || complete && l.Problems[key] == nil
	}
}

// tracked are the tags that the ledger follows, with their digests.
func (d *Discoverer) tracked(ctx context.Context) (map[tagName]string, error) {
	live, err := d.store.LiveTags(ctx, d.in.ID, "")
	if err != nil {
		return nil, err
	}
	out := make(map[tagName]string, len(live))
	for _, t := range live {
		out[tagName{t.Key, t.Image, t.Tag}] = t.Digest
	}
	return out, nil
}

// found puts into the look's baseline what is there and counts for nothing yet.
// With All it is only what filters leave out.
func (d *Discoverer) found(look *inventory.Look, l artifactory.Listing, selected []inventory.RepositoryKey, tracked map[tagName]string, pass map[tagName]bool) {
	if d.opts.All {
		for _, s := range look.Sightings {
			pass[nameOf(s)] = true
		}
	}
	first, pending := d.begins(), []string(nil)
	due := map[string]bool{}
	for _, r := range selected {
		known := l.Complete[r.Key] && l.Problems[r.Key] == nil
		due[r.Key] = known && (first || d.past.pending[r.Key])
		if !known && (first || d.past.pending[r.Key]) {
			pending = append(pending, r.Key)
		}
	}
	for _, s := range l.Tags {
		if _, follows := tracked[nameOf(s)]; due[s.Key] && !follows && !pass[nameOf(s)] {
			look.Baseline = append(look.Baseline, s)
		}
	}
	if first {
		look.Cursors[CursorBaseline] = l.At.UTC().Format(time.RFC3339)
	}
	if first || len(d.past.pending) > 0 {
		look.Cursors[cursorPending] = strings.Join(pending, "\n")
	}
}

// leaveOut drops sightings that are as they were at the baseline, and images that
// joined a list that is fixed. What is in pass stays.
func (d *Discoverer) leaveOut(look *inventory.Look, pass map[tagName]bool) {
	fresh := make(map[tagName]string, len(look.Baseline))
	for _, s := range look.Baseline {
		fresh[nameOf(s)] = s.Digest
	}
	before := len(look.Sightings)
	look.Sightings = slices.DeleteFunc(look.Sightings, func(s inventory.Sighting) bool {
		name := nameOf(s)
		switch {
		case pass[name]:
			return false
		case d.past.fixed[s.Key] && !d.past.images[inventory.Repository{Key: s.Key, Image: s.Image}]:
			return true
		case d.opts.All:
			return false
		}
		return d.past.digests[name] == s.Digest || fresh[name] == s.Digest
	})
	look.NotSelected += before - len(look.Sightings)
}

// recorded keeps what is remembered in step with a look that the ledger took.
func (d *Discoverer) recorded(look inventory.Look) {
	for _, s := range look.Baseline {
		d.past.digests[nameOf(s)] = s.Digest
	}
	for _, s := range look.Sightings {
		delete(d.past.digests, nameOf(s)) // tracked from now on
	}
	if stamp, ok := look.Cursors[CursorBaseline]; ok {
		d.past.stamp = stamp
	}
	if pending, ok := look.Cursors[cursorPending]; ok {
		d.past.pending = map[string]bool{}
		for _, key := range strings.Fields(pending) {
			d.past.pending[key] = true
		}
	}
	if look.Kind == inventory.LookReconcile && len(d.past.pending) == 0 {
		d.opts.All = false
	}
}
