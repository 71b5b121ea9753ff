package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tallyman-dev/tallyman/internal/discover"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// onceAttempts is how often a pass with an end tries an image that cannot be reached.
const onceAttempts = 4

// target is one registry to watch.
type target struct {
	in      inventory.Integration
	secrets inventory.Secrets
	port    int // to listen on for webhooks; 0 = none
}

// watching is what one process watches, and how.
type watching struct {
	name    string    // of the watcher; "" = the token's, or none
	token   string    // for a server, if none is given otherwise
	payload io.Writer // of what is sent to a server; nil = nobody looks
	targets []target
	every   time.Duration
	once    bool
	looks   discover.Options
}

// watch works the targets until ctx ends, or until one pass is done.
func (a *app) watch(ctx context.Context, w watching) error {
	return a.withWorkers(ctx, w, workersFor(w.once, false), func(ctx context.Context, o *outlook) error {
		var ids []int64
		for _, t := range w.targets {
			id, err := o.desk.Adopt(ctx, t.in, t.secrets, !w.looks.All)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		for i, id := range ids {
			if err := a.begin(ctx, o, id, w.targets[i].in, w.once); err != nil {
				return err
			}
		}
		if w.once {
			return a.finish(ctx, o, ids, false)
		}
		return a.follow(ctx, o, w, ids)
	})
}

// workersFor says how jobs are worked: with an end, an image that cannot be reached
// is not waited for long.
func workersFor(ends, afresh bool) jobs {
	j := jobs{}
	if ends {
		j.attempts = onceAttempts
	}
	if afresh {
		j.ledger = &forgetful{}
	}
	return j
}

// withWorkers runs act over a desk while its jobs are worked; it holds the data
// directory's lock.
func (a *app) withWorkers(ctx context.Context, w watching, j jobs, act func(context.Context, *outlook) error) error {
	if a.cfg.Database == "" || a.cfg.Server != "" {
		release, err := a.lockData()
		if err != nil {
			return err
		}
		defer release() //nolint:errcheck // the kernel lets go of it anyway
	}
	o, err := a.openOutlook(ctx, w)
	if err != nil {
		return err
	}
	defer o.desk.close()
	if f, ok := j.ledger.(*forgetful); ok {
		f.Ledger = o.desk
	} else {
		j.ledger = o.desk
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	g, working := errgroup.WithContext(working)
	g.Go(func() error { return o.desk.work(working, &fetcher{o.registries, a.log}, j) })
	if o.alive != nil {
		g.Go(func() error { return o.alive(working) })
	}
	err = act(working, o)
	stop()
	if worked := g.Wait(); worked != nil && !errors.Is(worked, context.Canceled) {
		return worked
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // Ctrl-C is how it ends
	}
	return err
}

// begin looks for the first time. What no waiting cures ends the program; with
// hurry, an outage does too.
func (a *app) begin(ctx context.Context, o *outlook, id int64, in inventory.Integration, hurry bool) error {
	err := o.lookOnce(ctx, id, true)
	if err != nil {
		if ctx.Err() == nil && !hurry && errors.Is(err, inventory.ErrUnavailable) {
			a.log.WarnContext(ctx, "the registry cannot be reached; it is tried again", slog.String("integration", in.Name), slog.Any("error", err))
			return nil
		}
		return err
	}
	now, err := o.desk.IntegrationByID(ctx, id)
	if err != nil {
		return err
	}
	if now.State == inventory.IntegrationError {
		return inventory.Errorf(inventory.ErrForbidden, "%s: %s", in.Name, now.Problem).WithRemedy("%s", now.Remedy)
	}
	if now.Problem != "" {
		a.say("warning: %s: %s; %s", in.Name, now.Problem, now.Remedy)
	}
	st, err := o.statusOf(ctx, id)
	if err != nil {
		return err
	}
	a.say("%s: %d tags are followed, %d are left out (filters, or there before watching began)", in.Name, st.TagsSeen, st.NotSelected)
	return nil
}

// follow looks at each target again and again, sooner when a webhook comes.
func (a *app) follow(ctx context.Context, o *outlook, w watching, ids []int64) error {
	g, ctx := errgroup.WithContext(ctx)
	ears, err := a.listenForHooks(ctx, o.desk, w, ids)
	if err != nil {
		return err
	}
	for _, e := range ears {
		g.Go(func() error { return e.serve(ctx) })
	}
	for i, id := range ids {
		wake := make(chan struct{}, 1)
		for _, e := range ears {
			e.wakes(id, wake)
		}
		g.Go(func() error { return o.keepLooking(ctx, id, w.targets[i].in.Name, w.every, wake) })
	}
	a.say("watching %s every %s; Ctrl-C ends it, nothing is lost meanwhile", w.names(), w.every)
	return g.Wait()
}

// keepLooking looks when it is time or when it is woken. It ends with ctx, or when
// there is nothing left to look at.
func (o *outlook) keepLooking(ctx context.Context, id int64, name string, every time.Duration, wake <-chan struct{}) error {
	due := time.NewTicker(every)
	defer due.Stop()
	for {
		poll := true
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
			poll = false
		case <-due.C:
		}
		err := o.lookOnce(ctx, id, poll)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, errNothingLeft), errors.Is(err, inventory.ErrNotFound):
			return inventory.Errorf(inventory.ErrConflict, "%s was disconnected or deleted: nothing is left to watch", name)
		default:
			o.log.WarnContext(ctx, "look", slog.String("integration", name), slog.Any("error", err))
		}
	}
}

var errNothingLeft = errors.New("disconnected")

// lookOnce answers the hints that wait, and polls where that is asked for.
func (o *outlook) lookOnce(ctx context.Context, id int64, poll bool) error {
	in, err := o.desk.IntegrationByID(ctx, id)
	switch {
	case err != nil:
		return err
	case in.State == inventory.IntegrationDisconnected:
		return errNothingLeft
	case in.State == inventory.IntegrationPaused:
		return nil
	}
	d, err := o.registries.discoverer(ctx, in)
	if err != nil {
		return err
	}
	hints, err := o.desk.Hints(ctx, id)
	if err != nil {
		return err
	}
	if len(hints) > 0 {
		if _, err := d.Hints(ctx, hints); err != nil {
			return fmt.Errorf("hints: %w", err)
		}
	}
	if poll {
		_, err = d.Poll(ctx)
	}
	return err
}
