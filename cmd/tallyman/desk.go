package main

import (
	"cmp"
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/internal/discover"
	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// desk is where a process that watches writes: the local store, or a server far away.
// The stages are the same.
type desk interface {
	discover.Store
	index.Ledger
	// Adopt saves a target, and that what is there now is its baseline.
	Adopt(ctx context.Context, in inventory.Integration, secrets inventory.Secrets, baseline bool) (int64, error)
	// Known gives a target the id and the credentials that it has here, if it was adopted
	// before, and changes nothing.
	Known(ctx context.Context, t target) (target, error)
	IntegrationByID(ctx context.Context, id int64) (inventory.Integration, error)
	Secrets(ctx context.Context, id int64) (inventory.Secrets, error)
	Hints(ctx context.Context, id int64) ([]inventory.Hint, error)
	AddHint(ctx context.Context, id int64, h inventory.Hint) error
	Status(ctx context.Context) (inventory.Status, error)
	Tags(ctx context.Context, f inventory.TagFilter) (inventory.TagPage, error)

	// work indexes what looks find until ctx ends.
	work(ctx context.Context, x *fetcher, j jobs) error
	// busy says that images wait to be indexed or matched, or are now.
	busy(ctx context.Context) (bool, error)
	// pace is how often it may be asked whether it is done.
	pace() time.Duration
	// settle brings up to date what is derived, before the process ends.
	settle(ctx context.Context) error
	close()
}

// localDesk is the store beside the watcher.
type localDesk struct {
	*store.Store
	p *platform
}

// Adopt implements desk.
func (d localDesk) Adopt(ctx context.Context, in inventory.Integration, secrets inventory.Secrets, baseline bool) (int64, error) {
	return d.p.hub.Adopt(ctx, in, secrets, baseline)
}

// Known implements desk.
func (d localDesk) Known(ctx context.Context, t target) (target, error) {
	old, err := d.Integration(ctx, t.in.Name)
	if err != nil {
		return t, unlessNotFound(err)
	}
	t.in.ID, t.in.AuthHosts = old.ID, old.AuthHosts
	t.in.CAFile, t.in.Proxy = cmp.Or(t.in.CAFile, old.CAFile), cmp.Or(t.in.Proxy, old.Proxy)
	if t.secrets.Password == "" {
		t.secrets, err = d.Secrets(ctx, old.ID)
	}
	return t, err
}

func (d localDesk) work(ctx context.Context, x *fetcher, j jobs) error {
	return d.p.workJobs(ctx, x, j)
}

func (d localDesk) busy(ctx context.Context) (bool, error) {
	stats, err := d.Queue().Stats(ctx)
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

func (localDesk) pace() time.Duration { return 100 * time.Millisecond }

// settle brings the counts of findings up to date.
func (d localDesk) settle(ctx context.Context) error {
	for {
		more, err := d.RefreshCounts(ctx, recountStep)
		if err != nil || !more {
			return err
		}
	}
}

func (d localDesk) close() { d.p.close() }
