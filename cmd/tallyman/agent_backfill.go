package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// backfill takes in what was pushed since from, waits until it is analysed, and fails
// with exitIncomplete if some of it could not be.
func (a *app) backfill(ctx context.Context, w watching, from time.Time, force bool) error {
	return a.withWorkers(ctx, w, workersFor(true, force), func(ctx context.Context, o *outlook) error {
		var ids []int64
		taken := map[inventory.Repository]map[string]bool{}
		incomplete := false
		for _, t := range w.targets {
			id, err := o.desk.Adopt(ctx, t.in, t.secrets, true)
			if err != nil {
				return err
			}
			ids = append(ids, id)
			in, err := o.desk.IntegrationByID(ctx, id)
			if err != nil {
				return err
			}
			d, err := o.registries.discoverer(ctx, in)
			if err != nil {
				return err
			}
			b, err := d.Backfill(ctx, from, force)
			if err != nil {
				return err
			}
			for _, s := range b.Taken {
				repo := inventory.Repository{Key: in.Name + "\x00" + s.Key, Image: s.Image}
				if taken[repo] == nil {
					taken[repo] = map[string]bool{}
				}
				taken[repo][s.Tag] = true
			}
			a.sayBackfilled(in, from, b.At, len(b.Taken), b.Result.Queued, b.Undecided)
			after, err := o.desk.IntegrationByID(ctx, id)
			if err != nil {
				return err
			}
			if after.Problem != "" && after.State != inventory.IntegrationConnected {
				incomplete = true
				a.say("warning: %s: %s; %s", in.Name, after.Problem, after.Remedy)
			}
		}
		if err := a.drain(ctx, o, ids, force); err != nil {
			return err
		}
		failed, err := a.sayFailures(ctx, o, w, taken)
		if err != nil {
			return err
		}
		if failed || incomplete {
			return &codeError{code: exitIncomplete}
		}
		return nil
	})
}

// sayBackfilled prints what a backfill of one registry found, and each tag about
// which it cannot tell.
func (a *app) sayBackfilled(in inventory.Integration, from, at time.Time, taken, queued int, undecided []inventory.Sighting) {
	tell(a.stdout, "%s: %d tags pushed from %s to %s; %d images to analyse",
		in.Name, taken, from.Format(time.RFC3339), at.Format(time.RFC3339), queued)
	for _, s := range undecided {
		dated := "without date"
		if !s.Pushed.IsZero() {
			dated = "dated " + s.Pushed.UTC().Format(time.RFC3339)
		}
		tell(a.stdout, "not decidable: %s (%s; this registry does not say whether it was promoted or copied since)",
			artifactory.Reference(in, s.Key, s.Image, s.Tag), dated)
	}
}

// sayFailures prints what was taken and could not be analysed.
func (a *app) sayFailures(ctx context.Context, o *outlook, w watching, taken map[inventory.Repository]map[string]bool) (bool, error) {
	failed := false
	for _, t := range w.targets {
		for _, state := range []string{inventory.StateFailed, inventory.StateWaiting} {
			page, err := o.desk.Tags(ctx, inventory.TagFilter{Integration: t.in.Name, State: state})
			if err != nil {
				return false, err
			}
			for _, row := range page.Rows {
				if !taken[inventory.Repository{Key: t.in.Name + "\x00" + row.RepositoryKey, Image: row.Image}][row.Tag] {
					continue
				}
				failed = true
				why := row.Problem
				if state == inventory.StateWaiting {
					why = "still waits"
				}
				tell(a.stdout, "failed: %s: %s", row.Reference, why)
			}
		}
	}
	a.log.DebugContext(ctx, "backfill done", slog.Bool("failed", failed))
	return failed, nil
}
