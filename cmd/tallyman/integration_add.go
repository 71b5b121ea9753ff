package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newIntegrationAdd(a *app) *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "add NAME --url URL",
		Short: "Test a connection and save it",
		Long: `Tests the connection and every repository key, and saves it only if all is well.
The secret comes from standard input (--secret-stdin) or from the variable
TALLYMAN_ARTIFACTORY_API_PASSWORD; it is sealed at rest and never shown again.`,
		Example: `  tallyman integration add acme --url https://acme.jfrog.io --secret-stdin < token
  tallyman integration add onprem --url http://artifactory.internal:8082 --username ci \
      --secret-stdin --repositories "docker-local; docker-prod" < api-key`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if c.url == "" {
				return inventory.Errorf(inventory.ErrInvalid, "--url is missing").WithRemedy("give the address of the registry, as you type it in a browser")
			}
			change, err := c.read(a)
			if err != nil {
				return err
			}
			change.Name = args[0]
			api, done, err := a.backend(ctx)
			if err != nil {
				return err
			}
			defer done()
			// The name first: a login is not spent on what cannot be saved.
			if _, err := api.Integration(ctx, args[0]); err == nil {
				return inventory.Errorf(inventory.ErrConflict, "there is an integration %q already", args[0]).
					WithRemedy("choose another name, or change that one: tallyman integration update %s", args[0])
			} else if !errors.Is(err, inventory.ErrNotFound) {
				return err
			}
			result, err := api.TestConnection(ctx, inventory.ConnectionTest{IntegrationChange: change})
			if err != nil {
				return err
			}
			if err := printTest(a.stderr, "table", result); err != nil {
				return err
			}
			in, err := api.AddIntegration(ctx, change)
			if err != nil {
				return err
			}
			tell(a.stdout, "added %s (%s); `tallyman serve` or `tallyman watch` looks at it", in.Name, in.URL)
			return nil
		},
	}
	c.flags(cmd)
	return cmd
}
