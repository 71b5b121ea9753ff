package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

const (
	// jobSync synchronises the feeds that are due; one process at a time does.
	jobSync = "advisories-sync"
	// askFeedsEvery is how often it is looked whether a feed is due.
	askFeedsEvery = time.Minute
	// retryFeed is when a feed that could not be had is tried again, if it is not due before.
	retryFeed = 30 * time.Minute
)

// feeding is which feeds are synchronised, and how often.
type feeding struct {
	p     *platform
	every time.Duration // 0 = never
	from  advisory.Options
}

// feeding is what the settings say.
func (a *app) feeding(p *platform) (feeding, error) {
	o, err := a.feedOptions()
	return feeding{p, a.cfg.SyncEvery(), o}, err
}

// keep queues a synchronisation whenever a feed is due, until ctx ends. A source that
// cannot be reached leaves a word at its feed and breaks nothing.
func (f feeding) keep(ctx context.Context) error {
	if f.every == 0 {
		return nil
	}
	tick := time.NewTicker(askFeedsEvery)
	defer tick.Stop()
	for {
		due, err := f.due(ctx, false)
		if err == nil && due.any() {
			err = f.p.store.Enqueue(ctx, queue.Job{Kind: jobSync, Args: syncArgs{}, Unique: "sync"})
		}
		if err != nil && ctx.Err() == nil {
			f.p.log.WarnContext(ctx, "advisories are not synchronised", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// syncArgs says whether every feed is asked, or only those whose time has come.
type syncArgs struct {
	All bool `json:"all,omitempty"`
}

// syncNow lets a worker ask every feed, soon.
func (p *platform) syncNow(ctx context.Context) error {
	if p.cfg.SyncEvery() == 0 {
		return inventory.Errorf(inventory.ErrUnsupported, "this server fetches no advisories").
			WithRemedy("take files in with `tallyman advisories import PATH`")
	}
	return p.store.Enqueue(ctx, queue.Job{Kind: jobSync, Args: syncArgs{All: true}, Unique: "sync now", Priority: queue.Urgent})
}

// do synchronises what is due, or everything where somebody asked for it.
func (f feeding) do(ctx context.Context, w queue.Work) error {
	if f.every == 0 {
		return nil
	}
	var args syncArgs
	if err := json.Unmarshal(w.Args, &args); err != nil {
		return inventory.Errorf(inventory.ErrInvalid, "%s job: %w", w.Kind, err)
	}
	due, err := f.due(ctx, args.All)
	if err != nil || !due.any() {
		return err
	}
	_, err = f.p.sync(ctx, due.Options)
	return err
}

// dueFeeds are options that name only what is due.
type dueFeeds struct{ advisory.Options }

func (d dueFeeds) any() bool { return len(d.Ecosystems) > 0 || d.KEV != "" || d.EPSS != "" }

// due answers the feeds whose time has come: those of the ecosystems that the inventory
// holds, and the scores for them; all, where somebody asked. An empty inventory needs none.
func (f feeding) due(ctx context.Context, all bool) (due dueFeeds, err error) {
	held, err := f.p.store.HeldEcosystems(ctx)
	if err != nil || len(held) == 0 {
		return due, err
	}
	states, err := f.p.store.FeedStates(ctx)
	if err != nil {
		return due, fmt.Errorf("feeds that are due: %w", err)
	}
	now := time.Now()
	late := func(name string) bool { return all || f.late(states[name], now) }
	due.Options = f.from
	due.Optional = true
	due.Ecosystems = slices.DeleteFunc(held, func(ecosystem string) bool { return !late("osv/" + ecosystem) })
	if !late("kev") {
		due.KEV = ""
	}
	if !late("epss") {
		due.EPSS = ""
	}
	return due, nil
}

func (f feeding) late(state inventory.FeedState, now time.Time) bool {
	if state.Tried == nil {
		return true
	}
	wait := f.every
	if state.Status == inventory.FeedFailed {
		wait = min(wait, retryFeed)
	}
	return now.Sub(*state.Tried) >= wait
}
