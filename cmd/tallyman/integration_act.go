package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// newIntegrationAct is one of pause, resume and disconnect.
func newIntegrationAct(a *app, verb, short string, act func(*client.Client, context.Context, string) (inventory.Integration, error)) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " NAME",
		Short:   short,
		Example: "  tallyman integration " + verb + " acme",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			in, err := act(api, cmd.Context(), args[0])
			if err != nil {
				return err
			}
			tell(a.stdout, "%s is %s", in.Name, in.State)
			return nil
		},
	}
}

func newIntegrationDelete(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete NAME --yes",
		Short: "Delete an integration and what no other integration holds",
		Long: `Deletes the integration, its tags and their history, and every image, layer and finding
that no other integration holds. It cannot be undone: disconnect keeps the data.`,
		Example: "  tallyman integration delete acme --yes",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return inventory.Errorf(inventory.ErrInvalid, "deleting %s deletes its history and findings for good", args[0]).
					WithRemedy("say --yes, or use `tallyman integration disconnect %s`, which keeps them", args[0])
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if err := api.DeleteIntegration(cmd.Context(), args[0]); err != nil {
				return err
			}
			tell(a.stdout, "deleted %s and its data", args[0])
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, delete the data")
	return cmd
}
