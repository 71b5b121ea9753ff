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
	known := map[[3]string]string{}
	for _, r := range selected {
		live, err := d.store.LiveTags(ctx, d.in.ID, r.Key)
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", d.in.Name, err)
		}
		for _, t := range live {
			known[[3]string{t.Key, t.Image, t.Tag}] = t.Digest
		}
	}
	out := make([]Planned, 0, len(l.Tags))
	for _, s := range l.Tags {
		out = append(out, Planned{
			Sighting: s, Decision: d.filter.Decide(s.Key, s.Image, s.Tag),
			Known: known[[3]string{s.Key, s.Image, s.Tag}] == s.Digest,
		})
	}
	return out, nil
}
