package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

func newRecommendations(a *app) *cobra.Command {
	var t targets
	var format, output string
	cmd := &cobra.Command{
		Use:   "recommendations REF",
		Short: "Newer bases of an image among the known ones, and what they would change",
		Long: `Looks at the nearest known base of an image: what its own tag points to now (a refresh),
and newer tags of the same kind in its repository (an update), each with the findings,
size and age that it would bring. Only images of the inventory are considered: watch the
repositories that your bases are in.

` + whatRefs,
		Example: `  tallyman recommendations acme.jfrog.io/docker-local/team/app:1.0
  tallyman recommendations team/app:1.0 --format json`,
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
			advice, err := a.advice(ctx, api, args[0], &t)
			if err != nil {
				return err
			}
			show := report.Options{Color: output == "" && a.colour(a.stdout)}
			return a.output(output, func(w io.Writer) error { return report.WriteAdvice(w, format, advice, show) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "text", "text, markdown or json")
	f.StringVarP(&output, "output", "o", "", "write to this file instead of stdout")
	t.flags(f)
	return cmd
}

// advice asks for an image of the ledger by name, for another by the base it has there.
func (a *app) advice(ctx context.Context, api *client.Client, ref string, t *targets) (inventory.Advice, error) {
	kind, rest, err := way(ref)
	if err != nil {
		return inventory.Advice{}, err
	}
	if kind == byLedger {
		advice, err := api.Recommendations(ctx, rest, t.platform)
		if !elsewhere(err, rest) {
			return advice, err
		}
	}
	d, err := a.dossier(ctx, api, ref, t)
	if err != nil {
		return inventory.Advice{}, err
	}
	return adviceOn(ctx, api, d)
}

// adviceOn asks what the nearest known base of d could be replaced by.
func adviceOn(ctx context.Context, api *client.Client, d inventory.Dossier) (advice inventory.Advice, err error) {
	if len(d.SBOM.Base) > 0 && d.SBOM.Base[0].Digest != "" {
		advice, err = api.RecommendationsFor(ctx, d.SBOM.Base[0].Digest)
	}
	advice.Reference, advice.Digest = d.SBOM.Reference, d.SBOM.Digest
	return advice, err
}
