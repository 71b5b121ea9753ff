package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

func newQuickview(a *app) *cobra.Command {
	var t targets
	var format, output string
	cmd := &cobra.Command{
		Use:     "quickview REF",
		Aliases: []string{"qv"},
		Short:   "An image at a glance: its findings, its base's, and those of a newer base",
		Long:    whatRefs,
		Example: `  tallyman quickview acme.jfrog.io/docker-local/team/app:1.0
  tallyman quickview archive:image.tar --format markdown`,
		Args: exactly("REF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneFormat(cmd, format, "text", "markdown", "json"); err != nil {
				return err
			}
			ctx := cmd.Context()
			api, done, err := a.backend(ctx)
			if err != nil {
				return err
			}
			defer done()
			q, err := a.quickview(ctx, api, args[0], &t)
			if err != nil {
				return err
			}
			show := report.Options{Color: output == "" && a.colour(a.stdout)}
			return a.output(output, func(w io.Writer) error { return report.WriteQuickview(w, format, q, show) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "text", "text, markdown or json")
	f.StringVarP(&output, "output", "o", "", "write to this file instead of stdout")
	t.flags(f)
	return cmd
}

func (a *app) quickview(ctx context.Context, api *client.Client, ref string, t *targets) (report.Quickview, error) {
	d, err := a.dossier(ctx, api, ref, t)
	if err != nil {
		return report.Quickview{}, err
	}
	if len(d.SBOM.Base) == 0 || d.SBOM.Base[0].Digest == "" {
		return report.QuickviewOf(d, nil), nil
	}
	base, err := fromLedger(ctx, api, d.SBOM.Base[0].Digest, "")
	// A base whose tags are gone is known by its layers only.
	if err != nil && !errors.Is(err, inventory.ErrNotFound) && !errors.Is(err, inventory.ErrUnavailable) && !errors.Is(err, inventory.ErrUnsupported) {
		return report.Quickview{}, err
	}
	q := report.QuickviewOf(d, nil)
	if err == nil {
		if ref := d.SBOM.Base[0].Reference; ref != "" {
			base.Report.Reference = ref
		}
		q = report.QuickviewOf(d, &base)
	}
	advice, err := adviceOn(ctx, api, d)
	if err != nil {
		return report.Quickview{}, err
	}
	q.Refreshed = advice.Refresh
	if len(advice.Updates) > 0 {
		q.Updated = &advice.Updates[0]
	}
	return q, nil
}
