package main

import (
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newIntegrationUpdate(a *app) *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "update NAME",
		Short: "Change settings; what is not named stays, a blank secret keeps the old one",
		Example: `  tallyman integration update acme --repositories docker-local,docker-prod
  tallyman integration update acme --secret-stdin < new-token
  tallyman integration update acme --webhook-secret-stdin < secret`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			typed, err := c.read(a)
			if err != nil {
				return err
			}
			api, done, err := a.backend(ctx)
			if err != nil {
				return err
			}
			defer done()
			old, err := api.Integration(ctx, args[0])
			if err != nil {
				return err
			}
			change := merge(cmd, old, typed)
			if !c.secretStdin {
				change.Secret = ""
			}
			in, err := api.UpdateIntegration(ctx, args[0], change)
			if err != nil {
				return err
			}
			tell(a.stdout, "updated %s", in.Name)
			return nil
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&c.webhookStdin, "webhook-secret-stdin", false, "read the webhook's secret from standard input")
	return cmd
}

// merge takes from typed what was named by a flag, and the rest from old.
func merge(cmd *cobra.Command, old inventory.Integration, typed inventory.IntegrationChange) inventory.IntegrationChange {
	out := inventory.IntegrationChange{Integration: old, Secret: typed.Secret, WebhookSecret: typed.WebhookSecret}
	for flag, take := range map[string]func(){
		"url":            func() { out.URL = typed.URL },
		"type":           func() { out.Kind = typed.Kind },
		"username":       func() { out.Username = typed.Username },
		"repositories":   func() { out.Repositories = typed.Repositories },
		"include":        func() { out.Include = typed.Include },
		"exclude":        func() { out.Exclude = typed.Exclude },
		"tag":            func() { out.Tags = typed.Tags },
		"ca-file":        func() { out.CAFile = typed.CAFile },
		"proxy":          func() { out.Proxy = typed.Proxy },
		"auth-host":      func() { out.AuthHosts = typed.AuthHosts },
		"subdomain-mode": func() { out.SubdomainMode = typed.SubdomainMode },
	} {
		if cmd.Flags().Changed(flag) {
			take()
		}
	}
	return out
}
