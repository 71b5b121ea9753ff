package dashboard

import (
	"context"
	"fmt"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// place is one tag that leads, or led, to the image of the page.
type place struct {
	inventory.Place
	Link string
	Here bool // it is the tag of the page
	By   bool // by way of an index that lists the image
}

// placesListed is how many places a page names.
const placesListed = 30

// places is every tag that points, or pointed, to what the page shows: to the digest
// of the tag, and, where that is an index, to the platform's image itself.
func (d *Dashboard) places(ctx context.Context, of inventory.Dossier) ([]place, error) {
	var out []place
	digests := []string{of.Tag.Digest}
	if of.Image.Digest != "" && of.Image.Digest != of.Tag.Digest {
		digests = append(digests, of.Image.Digest)
	}
	for _, digest := range digests {
		list, err := d.Store.Places(ctx, digest, placesListed)
		if err != nil {
			return nil, fmt.Errorf("places of %s: %w", digest, err)
		}
		for _, one := range list {
			out = append(out, place{
				Place: one, Link: d.reportLink(one.Reference), By: len(digests) > 1 && digest == of.Tag.Digest,
				Here: one.To == nil && one.Reference == of.Tag.Reference && one.Integration == of.Tag.Integration,
			})
		}
	}
	return out[:min(len(out), placesListed)], nil
}
