package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

func newStatus(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "The coverage ledger: what was seen, analysed, failed, and why",
		Long: `Prints, for each integration and in all: tags seen = analysed + failed + unsupported +
waiting. Tags that filters leave out and tags that are gone stand apart.`,
		Example: "  tallyman status --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneFormat(cmd, format, "table", "json"); err != nil {
				return err
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			st, err := api.Status(cmd.Context())
			if err != nil {
				return err
			}
			return a.printStatus(st, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func (a *app) printStatus(st inventory.Status, format string) error {
	if format == "json" {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(st)
	}
	return report.StatusTable(a.stdout, st, a.colour(a.stdout))
}
