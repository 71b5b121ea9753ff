package discover

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// mostImages is how many images hints may name before one poll is cheaper than
// a query for each.
const mostImages = 8

// Hints looks at what webhooks named. Hints for repositories that are not
// watched cost nothing; all of them are answered, whatever they named.
func (d *Discoverer) Hints(ctx context.Context, hints []inventory.Hint) (inventory.LookResult, error) {
	release, err := d.take(ctx)
	if err != nil {
		return inventory.LookResult{}, err
	}
	defer release()
	if d.selected == nil {
		if result, err := d.reconcile(ctx); err != nil || len(hints) == 0 {
			return result, err
		}
	}
	look := d.look(inventory.LookHint, time.Time{})
	for _, h := range hints {
		look.HintsUpTo = max(look.HintsUpTo, h.ID)
	}
	places := d.places(hints)
	if err := d.visit(ctx, &look, places); err != nil {
		return inventory.LookResult{}, d.failed(ctx, "look at", err)
	}
	if look.At.IsZero() {
		look.At = d.opts.Now().UTC().Truncate(time.Second) // nothing was asked: only the hints are answered
	}
	d.leaveOut(&look, nil)
	return d.record(ctx, look)
}

// Hint looks at one image because somebody says that it changed.
func (d *Discoverer) Hint(ctx context.Context, key, image string) (inventory.LookResult, error) {
	return d.Hints(ctx, []inventory.Hint{{Key: key, Image: image}})
}

// place is an image to look at.
type place struct {
	repo  inventory.RepositoryKey
	image string
	tags  []string // that the hints named
}

// places turns hints into images of watched repositories, each once. An event
// names the repository that holds the file: of a remote its cache, of a virtual
// one of its members.
func (d *Discoverer) places(hints []inventory.Hint) []*place {
	var out []*place
	for _, h := range hints {
		for _, r := range d.watched(h.Key) {
			if !d.filter.wantsImage(r.Key, h.Image) {
				continue
			}
			at := slices.IndexFunc(out, func(p *place) bool { return p.repo.Key == r.Key && p.image == h.Image })
			if at < 0 {
				at = len(out)
				out = append(out, &place{repo: r, image: h.Image})
			}
			if h.Tag != "" && !slices.Contains(out[at].tags, h.Tag) {
				out[at].tags = append(out[at].tags, h.Tag)
			}
		}
	}
	return out
}

func (d *Discoverer) watched(key string) []inventory.RepositoryKey {
	var virtuals []inventory.RepositoryKey
	for _, r := range d.selected {
		switch {
		case !r.OK:
		case r.Key == key, r.Class == artifactory.ClassRemote && r.Key == strings.TrimSuffix(key, "-cache"):
			return []inventory.RepositoryKey{r}
		case r.Class == artifactory.ClassVirtual:
			virtuals = append(virtuals, r)
		}
	}
	return virtuals
}

func (d *Discoverer) visit(ctx context.Context, look *inventory.Look, places []*place) error {
	if len(places) <= mostImages {
		for _, p := range places {
			if err := d.visitImage(ctx, look, p); err != nil {
				return err
			}
		}
		return nil
	}
	return d.visitMany(ctx, look, places)
}

// visitImage lists one image and compares.
func (d *Discoverer) visitImage(ctx context.Context, look *inventory.Look, p *place) error {
	l, err := d.client.Tags(ctx, artifactory.Ask{Keys: []inventory.RepositoryKey{p.repo}, Image: p.image})
	if err != nil {
		return err
	}
	if look.At.IsZero() || l.At.Before(look.At) {
		look.At = l.At
	}
	kept, _ := d.filter.keep(l.Tags)
	look.Sightings = append(look.Sightings, kept...)
	if !l.Complete[p.repo.Key] {
		return nil // its problem is the next poll's to tell
	}
	live, err := d.store.LiveTags(ctx, d.in.ID, p.repo.Key)
	if err != nil {
		return err
	}
	absent := slices.DeleteFunc(slices.Clone(live), func(t inventory.LiveTag) bool {
		return t.Image != p.image || slices.ContainsFunc(l.Tags, func(s inventory.Sighting) bool { return s.Image == t.Image && s.Tag == t.Tag })
	})
	return d.confirmFew(ctx, look, p.repo, absent, len(live))
}

// visitMany asks once what changed, and then for the tags that were named and
// neither changed lately nor look as the ledger has them.
func (d *Discoverer) visitMany(ctx context.Context, look *inventory.Look, places []*place) error {
	since, err := d.since(ctx)
	if err != nil {
		return err
	}
	changed, err := d.changes(ctx, since)
	if err != nil {
		return err
	}
	look.At, look.Cursors, look.Sightings = changed.At, changed.Cursors, changed.Sightings
	for _, p := range places {
		live, err := d.store.LiveTags(ctx, d.in.ID, p.repo.Key)
		if err != nil {
			return err
		}
		var named []inventory.LiveTag
		for _, tag := range p.tags {
			if slices.ContainsFunc(changed.Sightings, func(s inventory.Sighting) bool {
				return s.Key == p.repo.Key && s.Image == p.image && s.Tag == tag
			}) || !d.filter.Decide(p.repo.Key, p.image, tag).Selected {
				continue
			}
			named = append(named, inventory.LiveTag{Key: p.repo.Key, Image: p.image, Tag: tag})
		}
		if err := d.confirmFew(ctx, look, p.repo, named, len(live)); err != nil {
			return err
		}
	}
	return nil
}

// confirmFew asks for tags one by one. If that shows that too many are gone, none
// is declared gone: the next reconcile tells.
func (d *Discoverer) confirmFew(ctx context.Context, look *inventory.Look, r inventory.RepositoryKey, tags []inventory.LiveTag, of int) error {
	if len(tags) == 0 {
		return nil
	}
	before := len(look.Gone)
	if err := d.confirm(ctx, look, r, tags, false); err != nil {
		return err
	}
	lost := len(look.Gone) - before
	if lost == 0 {
		return nil
	}
	if err := d.client.CheckAccess(ctx, r); err != nil || tooMany(lost, of) {
		d.opts.Logger.InfoContext(ctx, "tags are not found; the next reconcile tells whether they are gone",
			"integration", d.in.Name, "key", r.Key, "tags", lost, "error", err)
		look.Gone = look.Gone[:before]
	}
	return ctx.Err()
}
