package main

import (
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

// comparing are the flags of compare.
type comparing struct {
	targets
	format, output, to string
	exitOn             []string
	filter             report.Filter
	severities, types  []string
}

func newCompare(a *app) *cobra.Command {
	var o comparing
	cmd := &cobra.Command{
		Use:     "compare A B",
		Aliases: []string{"diff"},
		Short:   "What changed between two images: findings, packages, configuration",
		Long: `Compares image A (what was) with image B (what is). With --to the one argument is what is,
and --to names what it is compared to, as Docker Scout has it.

` + whatRefs,
		Example: `  tallyman compare team/app:1.0 team/app:1.1
  tallyman compare oci-dir:build/image --to acme.jfrog.io/docker-local/team/app:latest --format markdown
  tallyman compare team/app:1.0 team/app:1.1 --exit-on vulnerability`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && o.to != "":
				args = []string{o.to, args[0]}
			case len(args) != 2 || o.to != "":
				return wrongArgs(cmd, "A B, or B --to A", args)
			}
			return a.compare(cmd, args[0], args[1], &o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "compare the one argument to this image")
	f.StringVar(&o.format, "format", "text", "text, markdown or json")
	f.StringVarP(&o.output, "output", "o", "", "write to this file instead of stdout")
	f.StringArrayVarP(&o.exitOn, "exit-on", "x", nil, "exit with 2 if something of this is worse: vulnerability, package")
	f.StringArrayVar(&o.severities, "only-severity", nil, "only findings of these severities")
	f.StringArrayVar(&o.types, "only-package-type", nil, "only findings in packages of these purl types")
	f.BoolVar(&o.filter.Fixed, "only-fixed", false, "only findings with a fixed version")
	f.BoolVar(&o.filter.Unfixed, "only-unfixed", false, "only findings without one")
	f.BoolVar(&o.filter.IgnoreBase, "ignore-base", false, "without what the base images brought")
	o.flags(f)
	return cmd
}

func (a *app) compare(cmd *cobra.Command, refA, refB string, o *comparing) error {
	if err := oneFormat(cmd, o.format, "text", "markdown", "json"); err != nil {
		return err
	}
	on := split(o.exitOn)
	for _, what := range on {
		if what != "vulnerability" && what != "package" {
			return inventory.Errorf(inventory.ErrInvalid, "--exit-on knows no %q", what).WithRemedy("use vulnerability, package")
		}
	}
	o.filter.Severities, o.filter.Types = split(o.severities), split(o.types)
	if err := o.filter.Validate(); err != nil {
		return err
	}
	ctx := cmd.Context()
	api, done, err := a.backend(ctx)
	if err != nil {
		return err
	}
	defer done()
	before, err := a.dossier(ctx, api, refA, &o.targets)
	if err != nil {
		return err
	}
	after, err := a.dossier(ctx, api, refB, &o.targets)
	if err != nil {
		return err
	}
	before.Report, after.Report = o.filter.Apply(before.Report), o.filter.Apply(after.Report)
	c := report.Compare(before, after)
	show := report.Options{Color: o.output == "" && a.colour(a.stdout)}
	if err := a.output(o.output, func(w io.Writer) error { return report.WriteComparison(w, o.format, c, show) }); err != nil {
		return err
	}
	if slices.Contains(on, "vulnerability") && inventory.Count(c.New).Total() > 0 || slices.Contains(on, "package") && len(c.Packages) > 0 {
		return &codeError{code: exitFindings}
	}
	return nil
}
