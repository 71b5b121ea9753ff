package discover

import (
	"context"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Backfilled is what a backfill took.
type Backfilled struct {
	At     time.Time // the server's clock when it began: what is pushed later is not asked for
	Result inventory.LookResult
	Taken  []inventory.Sighting // pushed in the window, known before or not
	// Undecided are tags with dates before the window that may have been promoted
	// or copied in it: a copy keeps the dates of its source, and this registry
	// does not say when it was made.
	Undecided []inventory.Sighting
}

// window is the time that a backfill asks for.
type window struct {
	from             time.Time
	force            bool
	taken, undecided []inventory.Sighting
}

// Backfill records all that was pushed since from, and queues what was not
// analysed yet; with force everything that it takes. What is older becomes the
// baseline, if none is recorded.
func (d *Discoverer) Backfill(ctx context.Context, from time.Time, force bool) (Backfilled, error) {
	release, err := d.take(ctx)
	if err != nil {
		return Backfilled{}, err
	}
	defer release()
	w := &window{from: from, force: force}
	look, err := d.everything(ctx, w)
	if err != nil {
		return Backfilled{}, d.failed(ctx, "backfill", err)
	}
	if from.After(look.At.Add(time.Second)) { // its clock has no fractions
		return Backfilled{}, inventory.Errorf(inventory.ErrInvalid, "backfill %s: %s lies ahead of the registry's clock, which says %s",
			d.in.Name, from.Format(time.RFC3339), look.At.Format(time.RFC3339))
	}
	look.Force = look.Force || force
	result, err := d.record(ctx, look)
	return Backfilled{At: look.At, Result: result, Taken: w.taken, Undecided: w.undecided}, err
}

// sift sorts the wanted tags into those of the window and the others.
func (d *Discoverer) sift(ctx context.Context, look *inventory.Look, w *window, selected []inventory.RepositoryKey, tracked map[tagName]string) (map[tagName]bool, error) {
	pass := map[tagName]bool{}
	var older []inventory.Sighting
	for _, s := range look.Sightings {
		if s.Pushed.IsZero() || s.Pushed.Before(w.from) {
			older = append(older, s)
			continue
		}
		pass[nameOf(s)] = true
		w.taken = append(w.taken, s)
	}
	if len(older) > 0 {
		changed, decided, err := d.client.PropertiesChanged(ctx, selected, w.from)
		if err != nil {
			return nil, fmt.Errorf("ask when copies were made: %w", err)
		}
		since := make(map[tagName]bool, len(changed))
		for _, s := range changed {
			since[nameOf(s)] = true
		}
		for _, s := range older {
			switch {
			case since[nameOf(s)]:
				pass[nameOf(s)] = true
				w.taken = append(w.taken, s)
			case !decided && tracked[nameOf(s)] != s.Digest && !d.wasThere(nameOf(s), s.Digest, w.from):
				w.undecided = append(w.undecided, s)
			}
		}
	}
	if w.force { // else everything that is tracked would be analysed anew
		var kept []inventory.Sighting
		for _, s := range look.Sightings {
			if pass[nameOf(s)] {
				kept = append(kept, s)
			}
		}
		look.NotSelected += len(look.Sightings) - len(kept)
		look.Sightings = kept
	}
	return pass, nil
}

// wasThere says that a tag was as it is now before the window began.
func (d *Discoverer) wasThere(name tagName, digest string, from time.Time) bool {
	at, err := time.Parse(time.RFC3339, d.past.stamp)
	return err == nil && !at.After(from) && d.past.digests[name] == digest
}
