package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/discover"
)

// planned is what would be done about some tags of one image.
type planned struct{ image, does, why string }

// planWatch prints what watching would do, image by image, and does nothing.
func (a *app) planWatch(ctx context.Context, w watching) error {
	o, err := a.openOutlook(ctx, w)
	if err != nil {
		return err
	}
	defer o.desk.close()
	for _, t := range w.targets {
		tags, err := o.plan(ctx, t, w.looks)
		if err != nil {
			return err
		}
		if err := a.printPlan(t.in.Name, tags); err != nil {
			return err
		}
	}
	return nil
}

// plan asks the registry and compares, without saving the target.
func (o *outlook) plan(ctx context.Context, t target, looks discover.Options) ([]discover.Planned, error) {
	t, err := o.desk.Known(ctx, t)
	if err != nil {
		return nil, err
	}
	opts := artifactory.OptionsFor(t.in, t.secrets)
	opts.Logger = o.log
	c, err := artifactory.New(opts)
	if err != nil {
		return nil, err
	}
	looks.Logger = o.log
	d, err := discover.New(t.in, c, o.desk, looks)
	if err != nil {
		return nil, err
	}
	return d.Plan(ctx)
}

func (a *app) printPlan(name string, tags []discover.Planned) error {
	counts := map[planned]int{}
	would := 0
	for _, t := range tags {
		one := planned{image: t.Key + "/" + t.Image, does: "leave", why: t.Rule}
		switch {
		case t.Selected && t.Known:
			one.does = "known"
		case t.Selected:
			one.does = "index"
			would++
		}
		if t.Key == "" {
			one.image = t.Image
		}
		counts[one]++
	}
	rows := make([]planned, 0, len(counts))
	for one := range counts {
		rows = append(rows, one)
	}
	slices.SortFunc(rows, func(x, y planned) int {
		return cmp.Or(cmp.Compare(x.image, y.image), cmp.Compare(x.does, y.does), cmp.Compare(x.why, y.why))
	})
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	if len(rows) > 0 {
		fmt.Fprintln(w, "WOULD\tIMAGE\tTAGS\tBECAUSE")
	}
	for _, one := range rows {
		row(w, one.does, one.image, counts[one], one.why)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	tell(a.stdout, "%s: %d of %d tags would be indexed; nothing was done", name, would, len(tags))
	return nil
}
