package main

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// finish waits until everything that was seen is analysed or given up, prints the
// tally, and fails with exitIncomplete if something could not be analysed.
func (a *app) finish(ctx context.Context, p *platform, ids []int64, queueToo bool) error {
	if err := a.drain(ctx, p, ids, queueToo); err != nil {
		return err
	}
	var all inventory.Status
	for _, id := range ids {
		st, err := p.statusOf(ctx, id)
		if err != nil {
			return err
		}
		all.Integrations = append(all.Integrations, st)
		add(&all.Tally, st.Tally)
	}
	whole, err := p.store.Status(ctx)
	if err != nil {
		return err
	}
	all.Advisories = whole.Advisories
	if err := a.printStatus(all, "table"); err != nil {
		return err
	}
	if all.Waiting > 0 || all.Failed > 0 || troubled(all) {
		return &codeError{code: exitIncomplete}
	}
	return nil
}

// troubled says that some repository could not be read.
func troubled(st inventory.Status) bool {
	for _, in := range st.Integrations {
		if in.State == inventory.IntegrationDegraded || in.State == inventory.IntegrationError {
			return true
		}
	}
	return false
}

// drain waits until no tag of the integrations waits; with queueToo, or if what waits
// has no job any more, until the queue is empty.
func (a *app) drain(ctx context.Context, p *platform, ids []int64, queueToo bool) error {
	var bar *progress
	for idle := 0; idle < 2; {
		seen, waiting := 0, 0
		for _, id := range ids {
			st, err := p.statusOf(ctx, id)
			if err != nil {
				return err
			}
			seen, waiting = seen+st.TagsSeen, waiting+st.Waiting
		}
		if bar == nil {
			bar = a.newProgress("indexing", seen)
			defer bar.done()
		}
		bar.at(seen - waiting)
		if waiting == 0 && !queueToo {
			break
		}
		busy, err := p.busy(ctx)
		if err != nil {
			return err
		}
		if busy {
			idle = 0
		} else {
			idle++
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return p.countAll(ctx)
}

// countAll brings the counts of findings up to date before the process ends.
func (p *platform) countAll(ctx context.Context) error {
	for {
		more, err := p.store.RefreshCounts(ctx, recountStep)
		if err != nil || !more {
			return err
		}
	}
}

// busy says that images wait to be indexed or matched, or are now.
func (p *platform) busy(ctx context.Context) (bool, error) {
	stats, err := p.store.Queue().Stats(ctx)
	if err != nil {
		return false, err
	}
	for _, s := range stats {
		if (s.Kind == store.JobIndex || s.Kind == store.JobMatch) && s.Waiting+s.Planned+s.Running+s.Retrying > 0 {
			return true, nil
		}
	}
	return false, nil
}

// statusOf is one integration's part of the coverage ledger.
func (p *platform) statusOf(ctx context.Context, id int64) (inventory.IntegrationStatus, error) {
	in, err := p.store.IntegrationByID(ctx, id)
	if err != nil {
		return inventory.IntegrationStatus{}, err
	}
	st, err := p.store.Status(ctx)
	if err != nil {
		return inventory.IntegrationStatus{}, err
	}
	for _, one := range st.Integrations {
		if one.Name == in.Name {
			return one, nil
		}
	}
	return inventory.IntegrationStatus{}, inventory.Errorf(inventory.ErrNotFound, "there is no integration %s", in.Name)
}

func add(sum *inventory.Tally, t inventory.Tally) {
	sum.TagsSeen += t.TagsSeen
	sum.Analysed += t.Analysed
	sum.Failed += t.Failed
	sum.Unsupported += t.Unsupported
	sum.Waiting += t.Waiting
	sum.NotSelected += t.NotSelected
	sum.Gone += t.Gone
	sum.LayerBytes += t.LayerBytes
	sum.LayersRead += t.LayersRead
	if sum.Requests == nil {
		sum.Requests = map[string]int64{}
	}
	for class, n := range t.Requests {
		sum.Requests[class] += n
	}
}
