package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/report"
)

func newExplain(a *app) *cobra.Command {
	var format, output, platform string
	cmd := &cobra.Command{
		Use:   "explain REF CVE",
		Short: "Why an image has a flaw, or why it has not",
		Long: `Tells which package, file, layer and instruction brought a flaw, which range of which
advisory decided, by which order of versions; or why packages that the advisory names do
not have it. CVE may be any id of the flaw: CVE, GHSA, the advisory's own.`,
		Example: `  tallyman explain acme.jfrog.io/docker-local/team/app:1.0 CVE-2021-44228
  tallyman explain team/app:1.0 GHSA-jfh8-c2jp-5v3q --format json`,
		Args: exactly("REF", "CVE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneFormat(cmd, format, "text", "json"); err != nil {
				return err
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			told, err := api.Explain(cmd.Context(), args[0], platform, args[1])
			if err != nil {
				return err
			}
			show := report.Options{Color: output == "" && a.colour(a.stdout)}
			return a.output(output, func(w io.Writer) error { return report.WriteExplained(w, format, told, show) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "text", "text or json")
	f.StringVarP(&output, "output", "o", "", "write to this file instead of stdout")
	f.StringVar(&platform, "platform", "", "of an index: linux/arm64, …")
	return cmd
}
