package main

import (
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

// cvesFlags are the filters and forms of a findings report, named as Docker Scout's are.
type cvesFlags struct {
	targets
	format, output         string
	pkg                    string
	filter                 report.Filter
	severities, types, ids []string
	layer                  int
	exitCode               bool
	show                   report.Options
}

func newCVEs(a *app) *cobra.Command {
	var o cvesFlags
	cmd := &cobra.Command{
		Use:   "cves REF",
		Short: "What is wrong with an image, and whether there is a fix",
		Long: `Prints the findings of an image. Packages that could not be assessed are named, never
counted clean.

` + whatRefs + `
sbom:FILE assesses a CycloneDX or SPDX document of any tool.`,
		Example: `  tallyman cves acme.jfrog.io/docker-local/team/app:1.0
  tallyman cves team/app:1.0 --only-severity critical,high --only-fixed --exit-code
  tallyman cves team/app:1.0 --format json --output report.json
  tallyman cves archive:image.tar
  tallyman cves sbom:app.cdx.json`,
		Args: exactly("REF"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.cves(cmd, args[0], &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "table", strings.Join(report.Formats(), ", "))
	f.StringVarP(&o.output, "output", "o", "", "write to this file instead of stdout")
	o.flags(f)
	f.StringArrayVar(&o.severities, "only-severity", nil, "critical, high, medium, low, unspecified")
	f.BoolVar(&o.filter.Fixed, "only-fixed", false, "only findings with a fixed version")
	f.BoolVar(&o.filter.Unfixed, "only-unfixed", false, "only findings without one")
	f.StringVar(&o.pkg, "only-package", "", "only packages whose name matches this regular expression")
	f.StringArrayVar(&o.types, "only-package-type", nil, "only packages of these purl types: deb, npm, …")
	f.StringArrayVar(&o.ids, "only-cve-id", nil, "only these flaws, by CVE id or alias")
	f.BoolVar(&o.filter.KEV, "only-cisa-kev", false, "only flaws known to be exploited")
	f.BoolVar(&o.filter.OnlyBase, "only-base", false, "only what the base image brought")
	f.BoolVar(&o.filter.IgnoreBase, "ignore-base", false, "without what the base image brought")
	f.IntVar(&o.layer, "layer", 0, "only what this layer introduced, by its index")
	f.BoolVar(&o.show.EPSS, "epss", false, "show exploit prediction scores")
	f.BoolVar(&o.show.Locations, "locations", false, "show files and layers")
	f.BoolVar(&o.show.Details, "details", false, "show summaries and why each finding matches")
	f.BoolVarP(&o.exitCode, "exit-code", "e", false, "exit with 2 if any finding is left")
	return cmd
}

func (a *app) cves(cmd *cobra.Command, ref string, o *cvesFlags) error {
	if err := oneFormat(cmd, o.format, report.Formats()...); err != nil {
		return err
	}
	filter, err := o.read(cmd.Flags().Changed("layer"))
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	api, done, err := a.backend(ctx)
	if err != nil {
		return err
	}
	defer done()
	full, err := a.report(ctx, api, ref, &o.targets)
	if err != nil {
		return err
	}
	left := filter.Apply(full)
	o.show.Color = o.output == "" && a.colour(a.stdout)
	o.show.Version = buildVersion().Version
	if err := a.output(o.output, func(w io.Writer) error { return report.Write(w, o.format, left, o.show) }); err != nil {
		return err
	}
	if n := len(left.Unknown); n > 0 && (o.format != "table" || o.output != "") {
		a.say("%d packages are not assessed: no advisories cover them", n)
	}
	return o.verdict(left)
}

// verdict is what the report means for a pipeline. Without any advisories nothing can be
// said, and that is no pass.
func (o *cvesFlags) verdict(left inventory.Report) error {
	switch {
	case !o.exitCode:
		return nil
	case left.Summary.Total() > 0:
		return &codeError{code: exitFindings}
	case left.AdvisoriesAsOf == nil && len(left.Unknown) > 0:
		return &codeError{exitIncomplete, inventory.Errorf(inventory.ErrUnavailable, "no advisories are known: whether %s has findings cannot be said", left.Reference).
			WithRemedy("take some in: tallyman advisories sync")}
	}
	return nil
}

// read puts the filter together and refuses what cannot be meant.
func (o *cvesFlags) read(oneLayer bool) (*report.Filter, error) {
	f := o.filter
	f.Severities, f.Types, f.IDs = split(o.severities), split(o.types), split(o.ids)
	if o.pkg != "" {
		re, err := regexp.Compile(o.pkg)
		if err != nil {
			return nil, inventory.Errorf(inventory.ErrInvalid, "--only-package %q is no regular expression: %w", o.pkg, err)
		}
		f.Package = re
	}
	if oneLayer {
		f.Layer = &o.layer
	}
	return &f, f.Validate()
}
