package discover

import (
	"context"
	"fmt"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Planned is what a look would do about one tag, and why.
type Planned struct {
	inventory.Sighting
	Decision
	// Known: the ledger has the tag with this digest, so that nothing has to be done.
	Known bool
}

// Plan is what a reconcile would see, decided and recorded nowhere: the dry run.
func (d *Discoverer) Plan(ctx context.Context) ([]Planned, error) {
	release, err := d.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	selected, err := d.client.Select(ctx, d.in.Repositories)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", d.in.Name, err)
	}
	l, err := d.client.Tags(ctx, artifactory.Ask{Keys: selected, Images: d.filter.exactImages()})
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", d.in.Name, err)
	}
	if err := d.remember(ctx); err != nil {
		return nil, err
	}
	tracked, err := d.tracked(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", d.in.Name, err)
	}
	out := make([]Planned, 0, len(l.Tags))
	for _, s := range l.Tags {
		p := Planned{Sighting: s, Decision: d.filter.Decide(s.Key, s.Image, s.Tag), Known: tracked[nameOf(s)] == s.Digest}
		if _, follows := tracked[nameOf(s)]; p.Selected && !follows && !d.opts.All && (d.begins() || d.past.digests[nameOf(s)] == s.Digest) {
			p.Decision = Decision{false, "it was there before watching began"}
		}
		out = append(out, p)
	}
	return out, nil
}
