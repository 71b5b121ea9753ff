package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
	"github.com/tallyman-dev/tallyman/internal/store"
)

const (
	pollEvery      = time.Minute
	recountEvery   = 5 * time.Second
	checkDiskEvery = 10 * time.Second
	recountStep    = 500 // stacks of layers counted at a time
)

// work does jobs until ctx ends. Every active integration is looked at when it starts,
// so whatever was missed while nobody worked is found at once. more are jobs besides.
func (p *platform) work(ctx context.Context, more queue.Handlers) error {
	all, err := p.store.Integrations(ctx)
	if err != nil {
		return err
	}
	for _, in := range all {
		if active(in) && in.Watcher == "" {
			if err := p.nudge(ctx, in.ID); err != nil {
				return err
			}
		}
	}
	handlers := queue.Handlers{store.JobLook: {Do: p.look, Again: true, Timeout: 30 * time.Minute}}
	maps.Copy(handlers, more)
	return p.workJobs(ctx, &fetcher{p.registries, p.log}, jobs{ledger: p.store, handlers: handlers})
}

// jobs says how one process works them.
type jobs struct {
	ledger   index.Ledger
	attempts int            // at an image that cannot be reached; 0 = as many as usual
	handlers queue.Handlers // besides indexing and matching
}

// workJobs indexes and matches what is queued until ctx ends, and does what j adds.
func (p *platform) workJobs(ctx context.Context, x *fetcher, j jobs) error {
	if err := os.MkdirAll(p.scratch(), 0o700); err != nil {
		return inventory.Errorf(inventory.ErrForbidden, "%s: %w", p.scratch(), err)
	}
	ix := index.New(j.ledger, index.Options{TempDir: p.scratch(), Logger: p.log})
	if p.cfg.Database == "" {
		if err := p.store.DropLeases(ctx); err != nil {
			return err
		}
	}
	// An import that was cut off left packages unmatched.
	if _, err := p.matcher.Rest(ctx); err != nil {
		return err
	}
	if err := p.teller.startClock(ctx); err != nil {
		return err
	}
	handlers := p.teller.handlers()
	handlers[store.JobIndex] = queue.Handler{Do: p.indexer(x, ix), Failed: p.indexFailed, Timeout: time.Hour, MaxAttempts: j.attempts}
	handlers[store.JobMatch] = queue.Handler{Do: p.match, Timeout: 10 * time.Minute, Again: true}
	handlers[store.JobSpot] = queue.Handler{Do: p.spot, Timeout: 10 * time.Minute}
	maps.Copy(handlers, j.handlers)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.recount(ctx) })
	g.Go(func() error { return p.recordTrend(ctx) })
	full := make(chan error, 1)
	for kind, h := range handlers {
		handlers[kind] = tellFull(h, full)
	}
	g.Go(func() error { return p.checkDisk(ctx, full) })
	g.Go(func() error { return p.store.Queue().Run(ctx, handlers, p.cfg.Workers) })
	return g.Wait()
}

// checkDisk ends the work, with a sentence, when nothing can be recorded any more: going
// on would only read the same layers again.
func (p *platform) checkDisk(ctx context.Context, full <-chan error) error {
	tick := time.NewTicker(checkDiskEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-full:
			return err
		case <-tick.C:
			if err := p.store.Writable(ctx); store.IsFull(err) {
				return err
			}
		}
	}
}

// tellFull makes a handler say when the database has no room left.
func tellFull(h queue.Handler, full chan<- error) queue.Handler {
	do := h.Do
	h.Do = func(ctx context.Context, w queue.Work) error {
		err := do(ctx, w)
		if store.IsFull(err) {
			select {
			case full <- err:
			default: // somebody said it already
			}
		}
		return err
	}
	return h
}

// recount brings the severity counts of images up to date behind changed verdicts.
func (p *platform) recount(ctx context.Context) error {
	for {
		more, err := p.store.RefreshCounts(ctx, recountStep)
		if err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "recount", slog.Any("error", err))
		}
		if !more && err == nil {
			if err := p.store.Tidy(ctx); err != nil && ctx.Err() == nil {
				p.log.WarnContext(ctx, "tidy the ledger", slog.Any("error", err))
			}
		}
		if !more || err != nil {
			if err := wait(ctx, recountEvery); err != nil {
				return nil //nolint:nilerr // the end of the process is no failure
			}
		}
	}
}

// recordTrend keeps the history of what the fleet has.
func (p *platform) recordTrend(ctx context.Context) error {
	for {
		if err := p.store.RecordTrend(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "history", slog.Any("error", err))
		}
		if err := wait(ctx, store.TrendEvery); err != nil {
			return nil //nolint:nilerr // the end of the process is no failure
		}
	}
}

func active(in inventory.Integration) bool {
	return in.State != inventory.IntegrationPaused && in.State != inventory.IntegrationDisconnected
}

// look looks at one integration and plans the next look.
func (p *platform) look(ctx context.Context, w queue.Work) error {
	var args store.LookArgs
	if err := json.Unmarshal(w.Args, &args); err != nil {
		return inventory.Errorf(inventory.ErrInvalid, "look job: %w", err)
	}
	in, err := p.store.IntegrationByID(ctx, args.Integration)
	switch {
	case errors.Is(err, inventory.ErrNotFound):
		return nil
	case err != nil:
		return err
	case !active(in) || in.Watcher != "":
		return nil // resuming it plans a look; one that is watched from afar is not ours to look at
	}
	next := time.Now().Add(pollEvery)
	if err := p.lookAt(ctx, in); err != nil {
		if ctx.Err() != nil {
			return err
		}
		p.log.WarnContext(ctx, "look", slog.String("integration", in.Name), slog.Any("error", err))
	} else if late, err := p.store.Hints(ctx, in.ID); err != nil || len(late) > 0 {
		next = time.Now() // a hint that came while this look began found it waiting, and planned none
	}
	return p.store.Enqueue(ctx, store.LookJob(in.ID, next))
}

// lookAt answers the hints that wait, then polls.
func (p *platform) lookAt(ctx context.Context, in inventory.Integration) error {
	d, err := p.registries.discoverer(ctx, in)
	if err != nil {
		return errors.Join(err, p.store.SetIntegrationState(ctx, in.ID, inventory.IntegrationError, err.Error(), ""))
	}
	hints, err := p.store.Hints(ctx, in.ID)
	if err != nil {
		return err
	}
	if len(hints) > 0 {
		if _, err := d.Hints(ctx, hints); err != nil {
			return fmt.Errorf("hints: %w", err)
		}
	}
	if len(hints) > 0 && in.LastPoll != nil && time.Since(*in.LastPoll) < pollEvery {
		return nil // the hint was why we look; the poll has its own time
	}
	_, err = d.Poll(ctx) // reconciles when that is due
	return err
}

// indexer indexes one digest from the first place that still has it.
func (p *platform) indexer(x *fetcher, ix *index.Indexer) func(context.Context, queue.Work) error {
	return func(ctx context.Context, w queue.Work) error {
		digest, err := digestOf(w)
		if err != nil {
			return err
		}
		sources, err := p.store.Sources(ctx, digest)
		if err != nil {
			return err
		}
		return x.index(ctx, ix, sources, digest)
	}
}

// indexFailed records why an image could not be indexed; what may pass is tried again
// at the next reconcile.
func (p *platform) indexFailed(ctx context.Context, w queue.Work, cause error) error {
	digest, err := digestOf(w)
	if err != nil {
		return err
	}
	return p.store.FailImage(ctx, digest, sentence(cause), mayPass(cause))
}

// mayPass says that another day may bring another answer: an outage ends, a right is
// given back, a policy changes, a manifest shows that was listed too early.
func mayPass(err error) bool {
	for _, kind := range []error{inventory.ErrUnavailable, inventory.ErrForbidden, inventory.ErrUnauthorized, inventory.ErrNotFound} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// sentence is an error as people should read it beside a tag.
func sentence(err error) string {
	var e *inventory.Error
	if errors.As(err, &e) {
		return e.Error()
	}
	return err.Error()
}

// match matches the packages of one image that were not matched yet.
func (p *platform) match(ctx context.Context, w queue.Work) error {
	digest, err := digestOf(w)
	if err != nil {
		return err
	}
	return p.matcher.Image(ctx, digest)
}

// spot asks the watches of one image that was analysed.
func (p *platform) spot(ctx context.Context, w queue.Work) error {
	digest, err := digestOf(w)
	if err != nil {
		return err
	}
	return p.api.AskWatches(ctx, digest)
}

func digestOf(w queue.Work) (string, error) {
	var args store.DigestArgs
	if err := json.Unmarshal(w.Args, &args); err != nil {
		return "", inventory.Errorf(inventory.ErrInvalid, "%s job: %w", w.Kind, err)
	}
	return args.Digest, nil
}
