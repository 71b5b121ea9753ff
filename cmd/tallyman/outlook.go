package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// outlook is one process that watches: the registries that it looks at, and the desk
// that it writes at.
type outlook struct {
	desk       desk
	registries *registries
	log        *slog.Logger
	// alive keeps the watcher's name for this process while others could take it; nil =
	// nobody could.
	alive func(context.Context) error
}

// openOutlook opens the desk that the settings name.
func (a *app) openOutlook(ctx context.Context, w watching) (*outlook, error) {
	o, open := &outlook{log: a.log}, a.openNear
	if a.cfg.Server != "" {
		open = a.openFar
	}
	if err := open(ctx, w, o); err != nil {
		return nil, err
	}
	o.registries = newRegistries(o.desk, a.log, a.cfg.Bandwidth())
	o.registries.looks = w.looks
	return o, nil
}

func (a *app) openFar(ctx context.Context, w watching, o *outlook) error {
	d, err := a.openFarDesk(ctx, w)
	if err != nil {
		return err
	}
	o.desk, o.alive = d, d.alive
	return nil
}

func (a *app) openNear(ctx context.Context, w watching, o *outlook) error {
	p, err := a.openPlatform(ctx)
	if err != nil {
		return err
	}
	o.desk = localDesk{p.store, p}
	if a.cfg.Database == "" || w.name == "" {
		return nil
	}
	if o.alive, err = a.holdName(ctx, p, w.name); err != nil {
		p.close()
	}
	return err
}

const (
	// nameHeld is how long a watcher's name is kept for it in a store that others share,
	// and renewName how often that is renewed.
	nameHeld  = 2 * time.Minute
	renewName = 30 * time.Second
)

// holdName makes this process the only watcher of a name in a store that others share.
func (a *app) holdName(ctx context.Context, p *platform, name string) (alive func(context.Context) error, err error) {
	holder, err := a.holder()
	if err != nil {
		return nil, err
	}
	if err := p.store.HoldWatcher(ctx, name, holder, nameHeld); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		tick := time.NewTicker(renewName)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return p.store.FreeWatcher(context.WithoutCancel(ctx), name, holder)
			case <-tick.C:
			}
			err := p.store.HoldWatcher(ctx, name, holder, nameHeld)
			if errors.Is(err, inventory.ErrConflict) {
				return err
			}
			if err != nil && ctx.Err() == nil {
				a.log.WarnContext(ctx, "the watcher's name is not renewed", slog.Any("error", err))
			}
		}
	}, nil
}

// unlessNotFound forgets an error that only says that something is not there.
func unlessNotFound(err error) error {
	if errors.Is(err, inventory.ErrNotFound) {
		return nil
	}
	return err
}
