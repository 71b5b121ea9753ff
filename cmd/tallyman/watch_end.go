package main

import (
	"context"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// finish waits until everything that was seen is analysed or given up, prints the
// tally, and fails with exitIncomplete if something could not be analysed.
func (a *app) finish(ctx context.Context, o *outlook, ids []int64, queueToo bool) error {
	if err := a.drain(ctx, o, ids, queueToo); err != nil {
		return err
	}
	var all inventory.Status
	for _, id := range ids {
		st, err := o.statusOf(ctx, id)
		if err != nil {
			return err
		}
		all.Integrations = append(all.Integrations, st)
		all.Add(st.Tally)
	}
	whole, err := o.desk.Status(ctx)
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
func (a *app) drain(ctx context.Context, o *outlook, ids []int64, queueToo bool) error {
	var bar *progress
	for idle := 0; idle < 2; {
		seen, waiting := 0, 0
		for _, id := range ids {
			st, err := o.statusOf(ctx, id)
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
		busy, err := o.desk.busy(ctx)
		if err != nil {
			return err
		}
		if busy {
			idle = 0
		} else {
			idle++
		}
		if err := wait(ctx, o.desk.pace()); err != nil {
			return err
		}
	}
	return o.desk.settle(ctx)
}

// statusOf is one integration's part of the coverage ledger.
func (o *outlook) statusOf(ctx context.Context, id int64) (inventory.IntegrationStatus, error) {
	in, err := o.desk.IntegrationByID(ctx, id)
	if err != nil {
		return inventory.IntegrationStatus{}, err
	}
	st, err := o.desk.Status(ctx)
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
