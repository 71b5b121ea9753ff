package main

import (
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newIntegrationTest(a *app) *cobra.Command {
	var c connection
	var format string
	cmd := &cobra.Command{
		Use:   "test [NAME]",
		Short: "Test a saved connection, or one given by flags alone",
		Long: `Checks the credentials, then every repository key, and names each that fails with
what to do about it. Nothing is saved.`,
		Example: `  tallyman integration test acme
  tallyman integration test --url https://acme.jfrog.io --secret-stdin --repositories docker-local < token`,
		Args: atMost("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneFormat(cmd, format, "table", "json"); err != nil {
				return err
			}
			ctx := cmd.Context()
			if len(args) == 0 && c.url == "" {
				return inventory.Errorf(inventory.ErrInvalid, "name a saved integration, or give --url")
			}
			api, done, err := a.backend(ctx)
			if err != nil {
				return err
			}
			defer done()
			var result inventory.TestResult
			if len(args) == 1 {
				result, err = api.TestIntegration(ctx, args[0])
			} else {
				var change inventory.IntegrationChange
				if change, err = c.read(a); err != nil {
					return err
				}
				result, err = api.TestConnection(ctx, inventory.ConnectionTest{IntegrationChange: change})
			}
			if err != nil {
				return err
			}
			return printTest(a.stdout, format, result)
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}
