package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

const (
	// errandTime bounds one attempt at an image.
	errandTime = time.Hour
	// errandsAhead is how many images are taken for each worker at a time.
	errandsAhead = 4
	mostWait     = 5 * time.Minute
)

// work takes images that the server wants indexed, a few at a time, until ctx ends. What
// is taken and not done when it ends stays on the server's list.
func (d *farDesk) work(ctx context.Context, x *fetcher, j jobs) error {
	if err := os.MkdirAll(d.cfg.scratch, 0o700); err != nil {
		return inventory.Errorf(inventory.ErrForbidden, "%s: %w", d.cfg.scratch, err)
	}
	ix := index.New(j.ledger, index.Options{TempDir: d.cfg.scratch, Logger: d.log})
	todo := make(chan inventory.Errand)
	var crew sync.WaitGroup
	defer crew.Wait()
	defer close(todo)
	for range d.cfg.workers {
		crew.Go(func() {
			for e := range todo {
				d.do(ctx, x, ix, e, j.attempts)
			}
		})
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.Wanted():
		}
		if err := d.takeAll(ctx, todo); err != nil {
			return err
		}
	}
}

// takeAll takes errands until there are none.
func (d *farDesk) takeAll(ctx context.Context, todo chan<- inventory.Errand) error {
	for {
		d.mu.Lock()
		held := slices.Collect(maps.Keys(d.held))
		d.mu.Unlock()
		list, err := d.Errands(ctx, held, errandsAhead*d.cfg.workers)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			d.log.WarnContext(ctx, "no images are taken", slog.Any("error", err))
			return nil // the next look or sign of life tells what is due
		case len(list) == 0:
			return nil
		}
		d.mu.Lock()
		for _, e := range list {
			d.held[e.Digest] = true
		}
		d.mu.Unlock()
		for _, e := range list {
			select {
			case todo <- e:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// do indexes one image and tells what became of it.
func (d *farDesk) do(ctx context.Context, x *fetcher, ix *index.Indexer, e inventory.Errand, attempts int) {
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.held, e.Digest)
	}()
	if attempts == 0 {
		attempts = queue.DefaultMaxAttempts
	}
	o := inventory.Outcome{Digest: e.Digest}
	if err := d.attempt(ctx, x, ix, e); err != nil {
		if ctx.Err() != nil {
			return
		}
		o.Problem, o.Retry = sentence(err), mayPass(err)
		if errors.Is(err, inventory.ErrUnavailable) && e.Attempt < attempts {
			o.AgainS = again(e.Attempt)
		}
		d.log.DebugContext(ctx, "image not indexed", slog.String("digest", e.Digest), slog.Any("error", err))
	}
	if _, err := d.Outcome(ctx, o); err != nil && ctx.Err() == nil {
		d.log.WarnContext(ctx, "what became of an image is not told", slog.String("digest", e.Digest), slog.Any("error", err))
	}
}

// again is after how many seconds to try again: twice as long each time, spread.
func again(attempt int) int {
	wait := min(mostWait, time.Second<<min(attempt, 10))
	return 1 + int((wait/2 + rand.N(wait)).Seconds())
}

// attempt is one try; a panic costs the one image.
func (d *farDesk) attempt(ctx context.Context, x *fetcher, ix *index.Indexer, e inventory.Errand) (err error) {
	inner, cancel := context.WithTimeout(ctx, errandTime)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			d.log.ErrorContext(ctx, "indexing panicked", slog.String("digest", e.Digest), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("indexing panicked: %v", v)
		}
	}()
	err = x.index(inner, ix, e.Sources, e.Digest)
	if err != nil && ctx.Err() == nil && inner.Err() != nil {
		return inventory.Errorf(inventory.ErrUnavailable, "indexing took longer than %s: %w", errandTime, err)
	}
	return err
}
